"""Whether the frames that rows name are there: each distinct file's header, and every shown index against its length.

An .npz is judged by its directory and headers, which a truncated file lacks (0.1 ms each); of a video the first frame
is decoded and its length taken from the trajectory. Pictures inside a file are not decoded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from rfm.audit.reading.questions import Questions
from rfm.console import tracked
from rfm.errors import DataError
from rfm.frames.npz.file import npz_frames_shape
from rfm.frames.reader import frames_file, read_frames

UNCOUNTED = -1
"""Frames of a video: known by decoding only."""

MISSING, UNREADABLE, OUTSIDE = "missing file", "unreadable file", "frame index outside the file"


@dataclass(frozen=True)
class FileReport:
    """What was found of p distinct files, and which of n rows can't be read for it."""

    files: int
    reasons: dict[int, tuple[str, str]]
    """(kind, text) by path code."""
    bad_rows: Bool[np.ndarray, " n"]
    kinds: dict[str, int] = field(default_factory=dict)
    """Rows by kind of fault; a row may have several."""
    uncounted: int = 0
    """Videos whose length is not known, so that indices could not be held against it."""

    @property
    def share(self) -> float:
        """The share of files that are missing or unreadable."""
        return len(self.reasons) / max(self.files, 1)


def check_files(root: Path, questions: Questions, num_frames: Int64[np.ndarray, " p"]) -> FileReport:
    """Look at every file that rows name; `num_frames` from the trajectories, UNCOUNTED where not known."""
    lengths = np.full(len(questions.paths), UNCOUNTED, np.int64)
    reasons: dict[int, tuple[str, str]] = {}
    used = np.unique(np.concatenate([clip.path for clip in questions.clips.values()]))
    used = used[used >= 0]
    for code in tracked(used.tolist(), "frame files", len(used)):
        path = questions.paths[code]
        try:
            lengths[code] = _length(root, path, int(num_frames[code]))
        except DataError as error:
            reasons[code] = (fault_kind(root, path), str(error))
    return _judge(questions, lengths, reasons, used)


def _length(root: Path, path: str, from_trajectory: int) -> int:
    file = frames_file(root, path)
    if file.suffix.lower() == ".npz":
        return npz_frames_shape(file)[0]
    read_frames(root, path, [0])
    return from_trajectory


def fault_kind(root: Path, path: str) -> str:
    """Return what is wrong with a file of which frames can't be read."""
    try:
        return UNREADABLE if frames_file(root, path).exists() else MISSING
    except DataError:
        return UNREADABLE


def _judge(
    questions: Questions, lengths: Int64[np.ndarray, " p"], reasons: dict[int, tuple[str, str]], used: np.ndarray
) -> FileReport:
    bad_rows = np.zeros(len(questions), bool)
    rows_of: dict[str, np.ndarray] = {kind: np.zeros(len(questions), bool) for kind in (MISSING, UNREADABLE, OUTSIDE)}
    for clip in questions.clips.values():
        here = clip.present
        length = np.append(lengths, UNCOUNTED)[clip.path]
        outside = (clip.frames.highest() >= length) & (length != UNCOUNTED) | (clip.frames.lowest() < 0)
        rows_of[OUTSIDE] |= here & outside
        for kind in (MISSING, UNREADABLE):
            codes = [code for code, (of, _) in reasons.items() if of == kind]
            rows_of[kind] |= here & np.isin(clip.path, codes)
    for rows in rows_of.values():
        bad_rows |= rows
    kinds = Counter({kind: int(rows.sum()) for kind, rows in rows_of.items() if rows.any()})
    uncounted = int((lengths[used] == UNCOUNTED).sum()) - len(reasons)
    return FileReport(len(used), reasons, bad_rows, dict(kinds), uncounted)
