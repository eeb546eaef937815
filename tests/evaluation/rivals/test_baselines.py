import numpy as np
import pytest
from vqa_fakes import row, write_frames

from rfm.evaluation.options import BASELINES as NAMES
from rfm.evaluation.rivals.baselines import BASELINES, Baseline
from rfm.frames.npz.file import write_npz
from rfm.vqa.answers import parse_answer


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    write_frames(folder, 2)
    levels = np.array([0, 50, 100, 50, 25], np.uint8)
    write_npz(folder / "grey.npz", np.broadcast_to(levels[:, None, None, None], (5, 32, 32, 3)).copy())
    return folder


def say(root, name, *rows, **changes):
    return [one.text for one in Baseline(name, root).predict(rows, progress=False, **changes)]


def progress(*indices, path="grey.npz", prompt="how far?"):
    return row("progress", "1", prompt, clip=(path, list(indices)))


def pair(first, second, **more):
    clips = {name: ("grey.npz", indices) for name, indices in {**more, "first": first, "second": second}.items()}
    return row("similarity" if more else "preference", "1", "which?", **clips)


def test_the_names_are_those_of_the_options():
    assert tuple(BASELINES) == NAMES


def test_constant(root):
    assert say(root, "constant", progress(0, 1), pair([0], [1])) == ["ANS: 50", "ANS: 1"]
    discrete = Baseline("constant", root, discrete=True).predict([progress(0, 1), pair([0], [1])])
    assert [one.text for one in discrete] == ["ANS: 3", "ANS: 1"]


def test_frame_difference_by_hand(root):
    rows = progress(0, 1, 2), progress(0, 2, 1), progress(0, 2, 4), progress(1, 3), progress(2)
    assert say(root, "frame_difference", *rows) == ["ANS: 100", "ANS: 50", "ANS: 25", "ANS: 0", "ANS: 0"]
    pairs = pair([0, 2], [0, 1]), pair([0, 1], [0, 2]), pair([0, 1], [0, 3])
    assert say(root, "frame_difference", *pairs) == ["ANS: 1", "ANS: 2", "ANS: 1"]
    likeness = pair([0, 2], [0, 3], reference=[0, 1]), pair([0, 3], [0, 2], reference=[0, 1])
    assert say(root, "frame_difference", *likeness) == ["ANS: 2", "ANS: 1"]


def test_on_grey_frames_nothing_moves(root):
    assert say(root, "frame_difference", progress(0, 1, 2), pair([0, 1], [0, 2]), blank_frames=True) == [
        "ANS: 0",
        "ANS: 1",
    ]


def test_random_answers_are_valid_spread_evenly_and_do_not_depend_on_the_batch(root):
    rows = [progress(0, 1, prompt=f"{number}") for number in range(2000)]
    said = Baseline("random", root, all_readable=True).predict(rows)
    values = np.array([parse_answer("progress", one.text) for one in said])
    assert values.min() == 0
    assert values.max() == 100
    assert values.mean() == pytest.approx(50, abs=2)
    assert say(root, "random", *rows[:5][::-1]) == [one.text for one in said[:5][::-1]]
    pairs = [{**pair([0], [1]), "prompt": f"{number}"} for number in range(1000)]
    ones = sum(text == "ANS: 1" for text in say(root, "random", *pairs))
    assert 430 < ones < 570


@pytest.mark.parametrize("name", NAMES)
def test_frames_that_cannot_be_read_are_reported_even_by_those_who_do_not_look(root, name):
    [said] = Baseline(name, root).predict([progress(0, path="gone.npz")])
    assert said.text == ""
    assert "gone.npz" in said.unreadable
