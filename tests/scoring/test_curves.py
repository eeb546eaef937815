import numpy as np
import pytest
from catalogs import make_catalog

from rfm.errors import DataError
from rfm.inference.predictor import Prediction
from rfm.scoring.curves import prefix_rows, progress_curve
from rfm.vqa.prompts import prompt

PROGRESS = [0.0, 0.1, 0.4, 0.4, 0.9, 1.0]


def catalog(**columns):
    return make_catalog(frames=[4, 6], tasks=[0, 1], progress=[[], PROGRESS], **columns)


class Says:
    """A model that says `answer(row)` and keeps the rows it was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.rows = []

    def predict(self, rows, batch_size, max_new_tokens):
        self.rows = rows
        return [Prediction(self.answer(row)) for row in rows]


def test_every_prefix_of_two_frames_or_more_is_asked_about():
    rows = prefix_rows(catalog(), 1, 4)
    assert [row["frame_indices"] for row in rows] == [[0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 3, 4], [0, 2, 3, 5]]
    for row in rows:
        assert row["sample_type"] == "progress"
        assert row["prompt"] == prompt("progress", "do task 1")
        assert row["npz_path"] == "fake/frames/trajectory_t1.npz"


def test_a_prefix_starts_at_the_first_frame_and_ends_at_its_end():
    long = make_catalog(frames=[50])
    for end, row in enumerate(prefix_rows(long, 0, 5), start=1):
        shown = row["frame_indices"]
        assert (shown[0], shown[-1], len(shown)) == (0, end, min(end + 1, 5))
        assert shown == sorted(set(shown))


def test_a_curve_puts_the_answers_beside_the_record():
    curve = progress_curve(Says(lambda row: f"ANS: {10 * row['frame_indices'][-1]}"), catalog(quality=[2, 1]), 1, 4)
    assert (curve.trajectory_id, curve.task, curve.quality) == ("t1", "do task 1", "suboptimal")
    assert curve.end.tolist() == [1, 2, 3, 4, 5]
    assert curve.predicted.tolist() == [10, 20, 30, 40, 50]
    assert curve.recorded.tolist() == pytest.approx([10, 40, 40, 90, 100])


def test_an_answer_that_cannot_be_parsed_is_no_number():
    curve = progress_curve(Says(lambda row: "ANS: 7" if row["frame_indices"][-1] == 3 else "?"), catalog(), 1, 4)
    assert np.isnan(curve.predicted).tolist() == [True, True, False, True, True]


@pytest.mark.parametrize(
    ("code", "name"), [(2, "successful"), (1, "suboptimal"), (0, "failure"), (-1, "unknown quality")]
)
def test_the_quality_is_named(code, name):
    assert progress_curve(Says(lambda row: "ANS: 1"), catalog(quality=[2, code]), 1, 4).quality == name


def test_an_episode_without_a_record_has_no_curve():
    with pytest.raises(DataError, match="`progress` of trajectory `t0` must be recorded, but is not"):
        progress_curve(Says(lambda row: "ANS: 1"), catalog(), 0, 4)
