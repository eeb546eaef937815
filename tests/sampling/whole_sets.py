"""The label contract over whole columns: what `oracle` asserts of a row, of a million at once.

Like the oracle it knows rows and trajectories and nothing of how rows are drawn. Only for rows that show one episode or
two of one task (no wrong instruction, no reference).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sampling.oracle import GAP, THRESHOLD

from rfm.trajectories.catalog import Catalog


@dataclass(frozen=True)
class Shown:
    """The clips of m rows: trajectories, and all f shown frames one after the other."""

    at: np.ndarray
    frames: np.ndarray
    starts: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        return np.diff(self.starts)

    @property
    def first(self) -> np.ndarray:
        return self.frames[self.starts[:-1]]

    @property
    def end(self) -> np.ndarray:
        return self.frames[self.starts[1:] - 1]

    def distinct(self) -> np.ndarray:
        """How many different frames each clip shows."""
        row = np.repeat(np.arange(len(self.at)), self.counts)
        held = np.unique(row * (int(self.frames.max()) + 1) + self.frames) // (int(self.frames.max()) + 1)
        return np.bincount(held, minlength=len(self.at))

    def moves(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether each clip goes forward anywhere, and back anywhere."""
        step = np.diff(self.frames, append=0)
        step[self.starts[1:] - 1] = 0
        return tuple(np.logical_or.reduceat(way, self.starts[:-1]) for way in (step > 0, step < 0))


def shown(catalog: Catalog, rows: pa.RecordBatch, prefix: str, max_frames: int) -> Shown:
    """The clips of `prefix`, whose frames lie in their episodes, and whose shapes are true."""
    at = pc.index_in(rows[f"{prefix}trajectory_id"], catalog.ids).to_numpy(zero_copy_only=False).astype(np.int64)
    lists = rows[f"{prefix}frame_indices"]
    clips = Shown(at, lists.flatten().to_numpy(), np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())]))
    assert ((clips.counts >= 2) & (clips.counts <= max_frames)).all()
    assert (clips.frames >= 0).all()
    assert (clips.frames < np.repeat(catalog.num_frames[at], clips.counts)).all()
    shape = rows[f"{prefix}frames_shape"].flatten().to_numpy().reshape(-1, 4)
    assert (shape == np.column_stack([clips.counts, catalog.frames_shape[at, 1:]])).all()
    return clips


def progress_at(catalog: Catalog, at: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Recorded, by time for successful episodes, partial success at the end of others; else NaN."""
    last = frame == catalog.num_frames[at] - 1
    value = np.where(catalog.quality[at] == 2, (frame + 1) / catalog.num_frames[at], np.nan)
    value = np.where((catalog.quality[at] != 2) & last, catalog.partial_success[at], value)
    recorded = np.diff(catalog.progress_offsets)[at] > 0
    value[recorded] = catalog.progress_values[catalog.progress_offsets[at[recorded]] + frame[recorded]]
    return value


def check_scores(catalog: Catalog, rows: pa.RecordBatch, max_frames: int) -> None:
    """Assert the rules of progress rows with their own instruction."""
    clips = shown(catalog, rows, "", max_frames)
    assert pc.equal(rows["task"], catalog.texts.take(pa.array(catalog.text_code[clips.at]))).false_count == 0
    truth = progress_at(catalog, clips.at, clips.end)
    np.testing.assert_allclose(rows["end_progress"].to_numpy(zero_copy_only=False), truth, atol=1e-6)
    answers = rows["answer"].cast(pa.int64()).to_numpy()
    assert (answers == np.floor(np.round(100 * truth, 4) + 0.5)).all()
    known = progress_at(catalog, np.repeat(clips.at, clips.counts), clips.frames)
    targets = rows["target_progress"].flatten().to_numpy(zero_copy_only=False)
    np.testing.assert_allclose(targets, known, atol=1e-6)  # NaN, as null is, where nothing is known
    forward, back = clips.moves()
    strategy = rows["data_gen_strategy"].to_numpy(zero_copy_only=False)
    assert (forward == (strategy != "reverse_progress")).all()
    assert (back == ~np.isin(strategy, ["forward_progress", "prefix_progress", "whole_progress"])).all()


def check_pairs(catalog: Catalog, rows: pa.RecordBatch, max_frames: int) -> None:
    """Assert the rules of preference rows of one task."""
    one, two = (shown(catalog, rows, prefix, max_frames) for prefix in ("first_", "second_"))
    assert (one.counts == two.counts).all()
    assert (one.distinct() == two.distinct()).all()
    first = rows["answer"].to_numpy(zero_copy_only=False) == "1"
    assert (rows["chosen_is_first"].to_numpy(zero_copy_only=False) == first).all()
    better, worse = np.where(first, one.at, two.at), np.where(first, two.at, one.at)
    same = better == worse
    strategy = rows["data_gen_strategy"].to_numpy(zero_copy_only=False)
    by_quality = strategy == "suboptimal"
    assert same[np.isin(strategy, ["rewind", "reverse_progress"])].all()
    assert not same[by_quality | (strategy == "same_task_progress")].any()
    assert (one.first == two.first)[same].all()
    ends = [progress_at(catalog, clips.at, clips.end) for clips in (one, two)]
    apart = np.where(first, ends[0] - ends[1], ends[1] - ends[0])
    assert (apart[~by_quality] >= GAP - 1e-5).all()
    for clips in (one, two):
        assert (clips.end == catalog.num_frames[clips.at] - 1)[by_quality].all()
        assert not clips.moves()[1][~same].any()
    partial = [np.where(catalog.quality[at] == 2, 1.0, catalog.partial_success[at]) for at in (better, worse)]
    better_label = (catalog.quality[worse] >= 0) & (catalog.quality[better] > catalog.quality[worse])
    assert (better_label | (partial[0] - partial[1] >= THRESHOLD - 1e-5))[by_quality].all()
