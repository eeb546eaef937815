"""The reward model's answers as JSON and back: the same numbers, bit for bit: JSON's decimals are exact.

What is read from a distribution (expectation, median, ends of the band) is written too, for those who read JSON by
hand; who reads a record back takes the distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from rfm.errors import DataError
from rfm.inference.answering.distribution import Distribution
from rfm.scoring.records import Curve, Preference, Progress

Record = TypeVar("Record")
BAND = (0.05, 0.95)
"""Shares of the probability below `low` and `high`."""


def progress_to_json(said: Progress) -> dict[str, Any]:
    """Return a progress with its distribution."""
    return said.to_json() | {"answers": said.answers.tolist(), "probabilities": said.probabilities.tolist()}


def progress_from_json(said: Any) -> Progress:
    """Return the record; DataError where that is none."""
    return _read(_progress, said)


def curve_to_json(said: Curve) -> dict[str, Any]:
    """Return a curve with the distribution of each point."""
    low, high = (said.quantile(share).tolist() for share in BAND)
    return {
        "task": said.task,
        "frames": said.frames.tolist(),
        "seconds": None if said.seconds is None else said.seconds.tolist(),
        "expected": said.expected.tolist(),
        "median": said.median.tolist(),
        "low": low,
        "high": high,
        "success": said.success.tolist(),
        "leftover": said.leftover.tolist(),
        "shown": [list(frames) for frames in said.shown],
        "answers": said.distribution.answers.tolist(),
        "probabilities": said.distribution.probabilities.tolist(),
    }


def curve_from_json(said: Any) -> Curve:
    """Return the record; DataError where that is none."""
    return _read(_curve, said)


def preference_from_json(said: Any) -> Preference:
    """Return the record that `Preference.to_json` wrote; DataError where that is none."""
    return _read(_preference, said)


def _read(read: Callable[[Any], Record], said: Any) -> Record:
    try:
        return read(said)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"a server must answer with what was asked for, but says {str(said)[:200]}") from error


def _progress(said: Any) -> Progress:
    return Progress(
        task=str(said["task"]),
        expected=float(said["expected"]),
        median=float(said["median"]),
        success=bool(said["success"]),
        frame=int(said["frame"]),
        shown=tuple(int(frame) for frame in said["shown"]),
        answers=_floats(said["answers"]),
        probabilities=_floats(said["probabilities"]),
        leftover=float(said["leftover"]),
    )


def _curve(said: Any) -> Curve:
    return Curve(
        task=str(said["task"]),
        frames=np.array(said["frames"], np.int64),
        seconds=None if said["seconds"] is None else _floats(said["seconds"]),
        shown=tuple(tuple(int(frame) for frame in frames) for frames in said["shown"]),
        success=np.array(said["success"], bool),
        distribution=Distribution(_floats(said["answers"]), _floats(said["probabilities"]), _floats(said["leftover"])),
    )


def _preference(said: Any) -> Preference:
    first, second = said["by_order"]
    return Preference(str(said["task"]), float(said["a"]), (float(first), float(second)), float(said["leftover"]))


def _floats(values: Any) -> np.ndarray:
    return np.array(values, np.float64)
