"""What is told by matching equal frames across the two clips of a pair."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from audit.audits import look
from datasets import Dataset

from rfm.audit.reading.questions import read_questions
from rfm.audit.shortcuts import measure_shortcut
from rfm.audit.viewer import equal_frames

SHARED = Path(__file__).parent / "data" / "shared_frames.parquet"
"""3,000 preference rows of the bundled videos, drawn when two clips of one episode could show the same frames."""

pytestmark = pytest.mark.usefixtures("quick")


def rows_of(pairs: list[tuple[list[int], list[int]]], files: list[tuple[str, str]] | None = None) -> Dataset:
    files = files or [("a.npz", "a.npz")] * len(pairs)
    return Dataset.from_dict(
        {
            "sample_type": ["preference"] * len(pairs),
            "prompt": ["Which?"] * len(pairs),
            "answer": ["1"] * len(pairs),
            **{f"{name}_npz_path": [pair[at] for pair in files] for at, name in enumerate(("first", "second"))},
            **{f"{name}_frame_indices": [pair[at] for pair in pairs] for at, name in enumerate(("first", "second"))},
        }
    )


def compared(*pairs: tuple[list[int], list[int]], files: list[tuple[str, str]] | None = None) -> np.ndarray:
    made = read_questions(rows_of(list(pairs), files))
    return equal_frames(made.clips["first_"], made.clips["second_"], np.arange(len(pairs)))


def test_where_frames_of_one_clip_are_in_the_other() -> None:
    found = compared(([0, 2, 4, 6], [0, 3, 6, 9]), ([0, 1, 2], [0, 5, 7]), ([4, 6, 4], [4, 5, 4]))
    count, end_first, end_last, latest, there, furthest = found[:, :6].T.tolist()
    assert count == [2, 1, 2]
    assert (end_first, end_last) == ([2, -1, 0], [2, -1, 2]), "the end of the first clip, in the second"
    assert (latest, there) == ([3, 0, 2], [2, 0, 0])
    assert furthest == [2, 0, 2]
    assert found[0, 6:12].tolist() == [2, -1, -1, 2, 3, 3], "the second clip's end is not in the first"
    assert np.array_equal(found[:, 12:], found[:, :6] - found[:, 6:12])


def test_frames_of_two_files_are_never_equal() -> None:
    found = compared(([0, 1, 2], [0, 1, 2]), files=[("a.npz", "b.npz")])
    assert found[0, :12].tolist() == [0, -1, -1, -1, -1, -1] * 2


def test_pairs_that_share_frames_are_found() -> None:
    made = read_questions(Dataset(pq.read_table(SHARED)))
    found = measure_shortcut(made, "preference", {prefix: np.zeros(len(made), np.int64) for prefix in made.clips})
    assert found.overall.mean > 0.68
    assert found.by_strategy["rewind"].mean > 0.75
    assert found.by_strategy["reverse_progress"].mean > 0.8
    assert found.by_strategy["suboptimal"].mean < 0.6


def test_the_audit_of_such_a_dataset_fails(tmp_path: Path) -> None:
    Dataset(pq.read_table(SHARED)).save_to_disk(str(tmp_path / "vqa"))
    assert "preference told blindly" in look(tmp_path / "vqa").failed
