import numpy as np
import pytest
from PIL import Image

from rfm.inference.answering.distribution import Distribution
from rfm.scoring.plot import Watched, plot_curves
from rfm.scoring.records import Curve

ANSWERS = np.arange(101) / 100


def watched(predicted, level=200):
    """An episode of five frames whose recorded progress rises by a quarter each."""
    count = len(predicted)
    said = Distribution(ANSWERS, np.eye(101)[predicted], np.zeros(count))
    curve = Curve("open the drawer", np.arange(count), None, ((0,),) * count, np.zeros(count, bool), said)
    frames = np.full((count, 16, 24, 3), level, np.uint8)
    return Watched("t0", "failure", frames, np.linspace(0, 1, count).astype(np.float32), curve)


def picture(tmp_path, *episodes):
    path = tmp_path / "new" / "progress.png"
    plot_curves(episodes, path)
    with Image.open(path) as image:
        return image.format, np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("count", [1, 3])
def test_a_column_for_each_episode(tmp_path, count):
    kind, drawn = picture(tmp_path, *[watched([10, 40, 60, 80, 100])] * count)
    assert (kind, drawn.shape) == ("PNG", (506, 550 * count, 3))
    colours = {tuple(colour) for colour in drawn.reshape(-1, 3).tolist()}
    assert {(200, 200, 200), (0, 0, 0), (31, 119, 180)} <= colours


def test_answers_change_the_picture(tmp_path):
    pictures = [picture(tmp_path, watched([10, 40, 60, 80, end]))[1] for end in (100, 0)]
    assert not np.array_equal(*pictures)


@pytest.mark.parametrize(("predicted", "text"), [([0, 25, 50, 75, 100], "0.0"), ([0, 25, 50, 75, 75], "5.0")])
def test_the_error_is_the_mean_over_all_frames(tmp_path, predicted, text, monkeypatch):
    titles = []
    monkeypatch.setattr("matplotlib.axes.Axes.set_title", lambda axis, title, **_: titles.append(title))
    picture(tmp_path, watched(predicted))
    assert titles == ["open the drawer\nt0", f"failure: mean error {text}"]


def test_an_episode_of_one_frame(tmp_path):
    assert picture(tmp_path, watched([30]))[1].shape == (506, 550, 3)
