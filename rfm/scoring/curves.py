"""A model's progress over an episode: its score at growing prefixes, beside the recorded progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64, Int64

from rfm.errors import DataError
from rfm.sampling.clips.table import evenly
from rfm.trajectories.catalog import Catalog
from rfm.trajectories.record import QUALITY_LABELS, UNKNOWN_QUALITY
from rfm.vqa.answers import parse_answer
from rfm.vqa.prompts import PERSON, ROBOT, prompt


class Answers(Protocol):
    """Anything that answers rows, as `rfm.inference.predictor.Predictor` does."""

    def predict(self, rows: Any, batch_size: int, max_new_tokens: int) -> Any:
        """Return an object with a `text` for each row."""
        ...


@dataclass(frozen=True)
class EpisodeCurve:
    """One episode's scores in [0, 100] at the ends of its prefixes; NaN where an answer could not be parsed."""

    trajectory_id: str
    task: str
    quality: str
    end: Int64[np.ndarray, " p"]
    predicted: Float64[np.ndarray, " p"]
    recorded: Float64[np.ndarray, " p"]


def prefix_rows(catalog: Catalog, trajectory: int, max_frames: int, *, discrete: bool = False) -> list[dict[str, Any]]:
    """Return a progress row for every prefix of at least two frames; `discrete` asks for a score from 1 to 5."""
    ends = np.arange(1, int(catalog.num_frames[trajectory]))
    clips = evenly(
        np.full(len(ends), trajectory), np.zeros_like(ends), ends, np.minimum(ends + 1, max_frames), max_frames
    )
    task = catalog.texts[int(catalog.text_code[trajectory])].as_py()
    actor = ROBOT if catalog.is_robot[trajectory] else PERSON
    row = {
        "sample_type": "progress",
        "prompt": prompt("progress", task, discrete=discrete, actor=actor),
        "npz_path": catalog.frames_path[trajectory].as_py(),
    }
    return [
        {**row, "frame_indices": indices[:count].tolist()}
        for indices, count in zip(clips.indices, clips.count, strict=True)
    ]


def progress_curve(
    model: Answers, catalog: Catalog, trajectory: int, max_frames: int, batch_size: int = 16
) -> EpisodeCurve:
    """Ask the model for the progress at every prefix of an episode; its progress must be recorded."""
    low, high = catalog.progress_offsets[trajectory : trajectory + 2]
    if low == high:
        raise DataError(f"`progress` of trajectory `{catalog.ids[trajectory]}` must be recorded, but is not")
    rows = prefix_rows(catalog, trajectory, max_frames)
    said = model.predict(rows, batch_size, 10)
    scores = [parse_answer("progress", one.text) for one in said]
    ends = np.array([row["frame_indices"][-1] for row in rows])
    return EpisodeCurve(
        catalog.ids[trajectory].as_py(),
        catalog.texts[int(catalog.text_code[trajectory])].as_py(),
        _quality(int(catalog.quality[trajectory])),
        ends,
        np.array([np.nan if score is None else score for score in scores], np.float64),
        100.0 * catalog.progress_values[low:high][ends].astype(np.float64),
    )


def _quality(code: int) -> str:
    return "unknown quality" if code == UNKNOWN_QUALITY else QUALITY_LABELS[code]
