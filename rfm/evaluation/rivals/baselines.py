"""Baselines in the harness of the models: they answer rows, and are parsed and judged like anyone.

    constant          1 for pairs, the middle of the scale for progress
    random            every valid answer alike; a function of the question, so batches and order change nothing
    frame_difference  progress: how far the last frame is from the first, as a share of the farthest frame shown;
                      pairs: the clip whose last frame is farther from its first (similarity: nearer to the reference's)

`--model_path constant` evaluates one, `--baselines constant random` sets several beside a model. `frame_difference`
is what a robot that moves away and stays there gets right without any understanding.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from typing_extensions import Self

from rfm.batch.clips import ClipReference, Row, clips_of
from rfm.errors import DataError
from rfm.frames.reader import read_frames
from rfm.inference.engines.engine import Engine
from rfm.inference.prediction import Prediction
from rfm.vqa.answers import valid_answers, write_answer

_MIDDLE_GREY = 128
_SIDE = 64
"""Pixels a side at which frames are compared."""
_CLIPS = 2048
"""Clips kept in memory, 12 kB a frame: controls show the same frames again."""


class Baseline(Engine):
    """An engine that needs no model."""

    def __init__(self, name: str, datasets_root: Path, *, discrete: bool = False, all_readable: bool = False) -> None:
        self.name, self.discrete = name, discrete
        self.datasets_root: Path = datasets_root
        self._looks = name == "frame_difference" or not all_readable
        self._read = lru_cache(maxsize=_CLIPS)(self._read_small)

    def under(self, datasets_root: Path) -> Self:
        """Return the same baseline under another root."""
        moved = super().under(datasets_root)
        moved._read = lru_cache(maxsize=_CLIPS)(moved._read_small)
        return moved

    def identity(self) -> dict[str, Any]:
        """Return the baseline's name."""
        return {"engine": "baseline", "model": self.name, "discrete": self.discrete}

    def answer(self, rows: Sequence[Row], max_new_tokens: int, *, blank_frames: bool = False) -> list[Prediction]:
        """Answer rows; one whose frames can't be read says why, even if the baseline would not look at them.

        With `all_readable` that is not tried: the caller knows.
        """
        return [self._answer(row, blank_frames) for row in rows]

    def _answer(self, row: Row, blank: bool) -> Prediction:
        try:
            clips = [self._clip(clip) for clip in clips_of(row)] if self._looks else []
        except DataError as error:
            return Prediction("", unreadable=str(error))
        if blank:
            clips = [np.full_like(clip, _MIDDLE_GREY) for clip in clips]
        answers = valid_answers(row["sample_type"], discrete=self.discrete)
        return Prediction(write_answer(str(BASELINES[self.name](row, clips, answers))))

    def _clip(self, clip: ClipReference) -> UInt8[np.ndarray, "t h w 3"]:
        distinct, place = np.unique(clip.indices, return_inverse=True)
        return self._read(clip.path, tuple(distinct.tolist()))[place.reshape(-1)]

    def _read_small(self, path: str, indices: tuple[int, ...]) -> UInt8[np.ndarray, "t h w 3"]:
        return _sampled(read_frames(self.datasets_root, path, indices))


def _constant(row: Row, clips: Sequence[np.ndarray], answers: tuple[int, ...]) -> int:
    return answers[len(answers) // 2] if row["sample_type"] == "progress" else answers[0]


def _random(row: Row, clips: Sequence[np.ndarray], answers: tuple[int, ...]) -> int:
    question = repr([row["prompt"], *clips_of(row)])
    return int(np.random.default_rng(zlib.crc32(question.encode())).choice(answers))


def _frame_difference(row: Row, clips: Sequence[UInt8[np.ndarray, "t h w 3"]], answers: tuple[int, ...]) -> int:
    if row["sample_type"] == "progress":
        moved = _distances(clips[0], clips[0][0])
        share = moved[-1] / moved.max() if moved.max() > 0 else 0.0
        return answers[int(share * (len(answers) - 1) + 0.5)]
    if row["sample_type"] == "similarity":
        reference, *two = clips
        first, second = (-_distances(clip[-1:], reference[-1])[0] for clip in two)
    else:
        first, second = (_distances(clip[-1:], clip[0])[0] for clip in clips)
    return answers[int(second > first)]


def _distances(frames: UInt8[np.ndarray, "t h w 3"], other: UInt8[np.ndarray, "h w 3"]) -> Float64[np.ndarray, " t"]:
    """Return each frame's mean absolute difference from another one."""
    return np.abs(frames.astype(np.float64) - other).mean(axis=(1, 2, 3))


def _sampled(frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t side side 3"]:
    """Return _SIDE x _SIDE pixels of each frame, evenly spaced: frames of any size can be compared."""
    rows, columns = (((np.arange(_SIDE) + 0.5) * size / _SIDE).astype(int) for size in frames.shape[1:3])
    return frames[:, rows][:, :, columns]


BASELINES: Mapping[str, Callable[[Row, Sequence[np.ndarray], tuple[int, ...]], int]] = MappingProxyType(
    {"constant": _constant, "random": _random, "frame_difference": _frame_difference}
)
"""By the names that `--model_path` and `--baselines` take."""
