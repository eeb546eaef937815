import warnings

import numpy as np
import pytest
from PIL import Image

from rfm.scoring.curves import EpisodeCurve
from rfm.scoring.plot import _error, plot_curves


def curve(predicted):
    end = np.arange(1, 5)
    return EpisodeCurve("t0", "open the drawer", "failure", end, np.array(predicted, float), 25.0 * end)


def film(level):
    return np.full((4, 16, 24, 3), level, np.uint8)


@pytest.mark.parametrize("count", [1, 3])
def test_a_column_for_each_episode(tmp_path, count):
    path = tmp_path / "new" / "progress.png"
    plot_curves([curve([10, 40, 80, 100])] * count, [film(200)] * count, path)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (550 * count, 506))
        colours = {colour for _, colour in image.convert("RGB").getcolors(10**6)}
    assert {(200, 200, 200), (0, 0, 0), (31, 119, 180)} <= colours


def test_answers_change_the_picture(tmp_path):
    pictures = []
    for number, answers in enumerate(([10, 40, 80, 100], [10, 40, 80, 0])):
        plot_curves([curve(answers)], [film(200)], tmp_path / f"{number}.png")
        with Image.open(tmp_path / f"{number}.png") as image:
            pictures.append(np.asarray(image))
    assert not np.array_equal(*pictures)


def test_a_curve_without_any_answer_is_drawn_and_says_so(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_curves([curve([np.nan] * 4)], [film(0)], tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (550, 506)


@pytest.mark.parametrize(
    ("predicted", "text"),
    [
        ([25, 50, 75, 100], "mean error 0.0"),
        ([20, 50, 75, 85], "mean error 5.0"),
        ([20, 50, np.nan, np.nan], "mean error 2.5, 2 unparsed"),
        ([np.nan] * 4, "no answer, 4 unparsed"),
    ],
)
def test_the_error_does_not_hide_missing_answers(predicted, text):
    assert _error(curve(predicted)) == text
