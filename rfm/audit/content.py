"""How well answers are told by one small picture and the words: of each clip's first shown frame, and of its last.

The last frame and the words are the task itself: who tells progress by them understands, or knows the scene by heart.
The first frame can't show how far a clip gets. What it tells beyond the blind floor is a shortcut, but for one thing:
with the words it shows whether the instruction belongs to another scene, and that is understanding.

Pictures of SIZE x SIZE in colour, as COMPONENTS main components and CELLS x CELLS cells, are learnt and judged as in
`shortcuts`: by trees, held out by trajectory, with one halving. At most MOST_ROWS rows of a type are looked at, drawn
evenly; frames are read once, file by file, in blocks of BLOCK.

Shape legend: n rows, c clips, f features.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from sklearn.decomposition import PCA

from rfm.audit.reading.files import fault_kind
from rfm.audit.reading.questions import Questions
from rfm.audit.shortcuts import LEAST_ROWS, PAIR_CLIPS, Told, judge_by_strategy, usable_rows
from rfm.audit.viewer import words
from rfm.console import tracked
from rfm.errors import DataError
from rfm.frames.reader import read_frames
from rfm.frames.resize import resize_frames

MOST_ROWS = 3000
SIZE, CELLS, COMPONENTS, BLOCK = 16, 8, 24, 32
FRAMES = {"first frame": 0, "last frame": -1}
"""Which shown frame of each clip a picture is of."""


@dataclass(frozen=True)
class Content:
    """What was measured of one sample type, by name of the frame in FRAMES."""

    overall: dict[str, Told]
    by_strategy: dict[str, dict[str, Told]]
    rows: int
    """Rows whose pictures were read."""
    unreadable: dict[str, int] = field(default_factory=dict)
    """Rows that were left out, by what is wrong with a file of theirs."""
    why_not: str = ""


def measure_content(root: Path, questions: Questions, kind: str) -> Content:
    """Return how well the answers of a sample type are told by pictures and words."""
    prefixes = PAIR_CLIPS[kind]
    rows = usable_rows(questions, kind, MOST_ROWS)
    pictures = _Pictures(root, questions, rows, prefixes)
    readable = pictures.readable
    if readable.sum() < LEAST_ROWS:
        why = f"the pictures of {int(readable.sum())} rows can be read; {LEAST_ROWS} are needed"
        return Content({}, {}, int(readable.sum()), pictures.faults, why)
    rows = rows[readable]
    said = words(questions.prompt, rows)
    told = {
        name: judge_by_strategy(questions, rows, kind, [_features(pictures.of(at)[readable], said)], halvings=1)
        for name, at in FRAMES.items()
    }
    overall = {name: one.overall for name, one in told.items() if one.overall is not None}
    why = "" if overall else next(iter(told.values())).why_not
    return Content(overall, {name: one.by_strategy for name, one in told.items()}, len(rows), pictures.faults, why)


def _features(pictures: UInt8[np.ndarray, "n c p"], told: np.ndarray) -> Float64[np.ndarray, "n f"]:
    """Return main components and coarse cells of each clip's picture, the last two's differences, and the words."""
    n, clips, size = pictures.shape
    flat = pictures.reshape(n * clips, size).astype(np.float32)
    parts = PCA(min(COMPONENTS, *flat.shape), random_state=0, svd_solver="randomized").fit_transform(flat)
    coarse = resize_frames(pictures.reshape(n * clips, SIZE, SIZE, 3), CELLS, CELLS).reshape(n * clips, -1)
    each = np.concatenate([parts, coarse], axis=1).reshape(n, clips, -1)
    apart = [each[:, -2] - each[:, -1]] if clips > 1 else []
    return np.concatenate([each.reshape(n, -1), *apart, told], axis=1)


class _Pictures:
    """The small first and last frames of the clips of some rows."""

    def __init__(self, root: Path, questions: Questions, rows: Int64[np.ndarray, " n"], prefixes: tuple[str, ...]):
        clips = [questions.clips[prefix] for prefix in prefixes]
        path = np.stack([clip.path[rows] for clip in clips], axis=1).astype(np.int64)
        frames = {at: np.stack([clip.frames.at(at)[rows] for clip in clips], axis=1) for at in FRAMES.values()}
        span = 1 + max(int(one.max(initial=0)) for one in frames.values())
        keys = {at: path * span + np.maximum(one, 0) for at, one in frames.items()}
        wanted = np.unique(np.concatenate([one.ravel() for one in keys.values()]))
        self._pixels = np.zeros((len(wanted), SIZE * SIZE * 3), np.uint8)
        fault = self._read(root, questions.paths, wanted, span)
        self._place = {at: np.searchsorted(wanted, one) for at, one in keys.items()}
        bad = {name: np.array([one == name for one in fault], bool) for name in sorted({*fault} - {""})}
        rows_of = {
            name: np.logical_or.reduce([one[place].any(axis=1) for place in self._place.values()])
            for name, one in bad.items()
        }
        self.faults = dict(Counter({name: int(one.sum()) for name, one in rows_of.items()}))
        """Rows by what is wrong with a file of theirs."""
        self.readable: Bool[np.ndarray, " n"] = ~np.logical_or.reduce([np.zeros(len(rows), bool), *rows_of.values()])

    def of(self, at: int) -> UInt8[np.ndarray, "n c p"]:
        """Return each clip's picture of the first (0) or last (-1) shown frame."""
        return self._pixels[self._place[at]]

    def _read(self, root: Path, paths: tuple[str, ...], wanted: Int64[np.ndarray, " k"], span: int) -> list[str]:
        """Fill in the pictures of `wanted`, keys of file and frame; returns what is wrong with each, "" if nothing."""
        fault = [""] * len(wanted)
        first = np.flatnonzero(np.diff(wanted // span, prepend=-1))
        blocks = [
            np.arange(low, min(low + BLOCK, past))
            for begin, past in zip(first.tolist(), [*first[1:].tolist(), len(wanted)], strict=True)
            for low in range(begin, past, BLOCK)
        ]
        for block in tracked(blocks, "pictures", len(blocks)):
            path = paths[int(wanted[block[0]] // span)]
            if self._fill(root, path, block, wanted[block] % span):
                continue
            for one in block.tolist():  # one bad index must not cost the others
                if not self._fill(root, path, np.array([one]), wanted[[one]] % span):
                    fault[one] = fault_kind(root, path)
        return fault

    def _fill(self, root: Path, path: str, block: Int64[np.ndarray, " k"], frames: Int64[np.ndarray, " k"]) -> bool:
        try:
            small = resize_frames(read_frames(root, path, frames), SIZE, SIZE)
        except DataError:
            return False
        self._pixels[block] = small.reshape(len(block), -1)
        return True
