import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.batch.clips import ClipReference
from rfm.evaluation.rivals.gvl import frame_question, percentages

CLIP = ClipReference("a.npz", (0, 10, 20, 30))


def ask(clip=CLIP, seed=0):
    return frame_question(clip, "open the door", np.random.default_rng(seed))


def test_the_start_comes_first_and_the_others_in_random_order():
    question = ask()
    assert question.frames[0] == 0
    assert sorted(question.frames[1:].tolist()) == [10, 20, 30]
    assert question.frames[1:].tolist() == [CLIP.indices[place] for place in question.order]
    assert question.texts[0].startswith("You judge how far a robot has got with a task: open the door\n")
    assert question.texts[1:] == ("Frame 1:", "Frame 2:", "Frame 3:")
    assert "For each of the frames 1 to 3, write its completion percentage" in question.request
    assert {tuple(ask(seed=seed).order) for seed in range(50)} == {
        (a, b, c) for a in (1, 2, 3) for b in (1, 2, 3) for c in (1, 2, 3) if len({a, b, c}) == 3
    }


@given(st.lists(st.integers(0, 100), min_size=1, max_size=12), st.integers(0, 99))
def test_percentages_come_back_in_the_order_of_the_clip(values, seed):
    question = ask(ClipReference("a.npz", tuple(range(len(values) + 1))), seed)
    said = "\n".join(f"Frame {number}: {values[place - 1]}%" for number, place in enumerate(question.order, start=1))
    assert percentages(question, said).tolist() == [0, *values]


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ("Frame 1: 10%\nFrame 2: 20%\nFrame 3: 30%", (10, 20, 30)),
        (
            "frame 3 - the door is open: 99.5 percent\nFRAME 1: 0%\nFrame 2: task completion percentage: 50%",
            (0, 50, 99.5),
        ),
        ("Frame 1: 10%\nFrame 1: 90%\nFrame 2: 20%\nFrame 3: 30%", (10, 20, 30)),
        ("Frame 1: 10%\nFrame 2: 20%", None),
        ("Frame 1: 10%\nFrame 2: 20%\nFrame 3: 130%", None),
        ("ANS: 50", None),
        ("", None),
    ],
)
def test_what_models_write(said, values):
    question = ask()
    found = percentages(question, said)
    if values is None:
        assert found is None
    else:
        assert found[question.order].tolist() == list(values)


def test_a_clip_of_one_frame_is_asked_about_itself():
    question = ask(ClipReference("a.npz", (7,)))
    assert (question.frames.tolist(), question.order.tolist()) == ([7, 7], [0])
    assert percentages(question, "Frame 1: 40%").tolist() == [40]
