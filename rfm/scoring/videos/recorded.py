"""Scored recordings as `rfm score --rerun` writes them: the video, and its curves over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rfm.frames.video.stored import plays_as_stored
from rfm.ingest.episode import IngestOptions
from rfm.pages.rerun_file import Episode, Line, Pictures, write_rerun
from rfm.scoring.records import Curve
from rfm.scoring.videos.naming import numbered
from rfm.scoring.videos.recordings import Recording
from rfm.scoring.videos.scored import BAND, Scored, names

__all__ = ["recorded", "write_rerun"]

_AS_PICTURES = IngestOptions(max_frames=300, shortest_side=480)
"""How recordings are read that don't play as they are stored."""


def recorded(drawn: Sequence[tuple[Recording, Scored]]) -> Iterator[Episode]:
    """Yield an episode a recording, called as it is; a number tells those apart that are called alike."""
    called_as = numbered([recording.name for recording, _ in drawn], "{} ({})")
    for name, (recording, scored) in zip(called_as, drawn, strict=True):
        lines = [line for called, (_, curve) in zip(names(scored), scored.curves, strict=True)
                 for line in _lines(called, curve)]  # fmt: skip
        yield Episode((name,), _film(recording), lines, _about(scored))


def _film(recording: Recording) -> Path | Pictures:
    if isinstance(recording.place, Path) and plays_as_stored(recording.place):
        return recording.place
    clip = recording.read(_AS_PICTURES)
    return Pictures(clip.frames, clip.numbered(range(len(clip))), clip.seconds)


def _lines(called: str, curve: Curve) -> Iterator[Line]:
    low, high = (curve.quantile(share) for share in BAND)
    values = {"progress": curve.expected, "low": low, "high": high, "success": curve.success.astype(np.float64)}
    for name, held in values.items():
        yield Line((called, name), curve.frames, held, curve.seconds)


def _about(scored: Scored) -> str:
    said = (
        f"{curve.task}\n{model}: {curve.expected[-1]:.2f} at the end, {'a' if curve.success[-1] else 'no'} success"
        for model, curve in scored.curves
    )
    return "\n\n".join([scored.name, *said])
