"""Whether the episodes of a LeRobot dataset show parts of their own of the videos, as the metadata have it.

Datasets that were merged may name one video for all episodes, and then one shows the frames of another. It shows by
parts that overlap, and by videos that no episode uses. Where there are such videos, an episode is trusted only if those
of its video cover it from end to end, as they do when lerobot writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf, isfinite
from typing import NamedTuple

from rfm.errors import DataError
from rfm.frames.video.decoding import shown_until
from rfm.ingest.lerobot.dataset import Camera, Entry, LeRobotDataset
from rfm.ingest.reading import confined

_DRIFT = 0.02
"""Frames by which the end of a part may be wrong, for each part before it: durations are rounded."""
_MOST_LISTED = 3


class Part(NamedTuple):
    """The seconds of a video that an episode shows."""

    start: float
    end: float
    episode: int


class Parts(NamedTuple):
    """What is wrong with the parts that the episodes show."""

    faults: dict[int, str]
    """Why an episode can't be trusted."""
    unused: str
    """Which videos are used by no episode; empty where all are."""
    notes: tuple[str, ...]
    """What is worth a look."""


def checked_parts(dataset: LeRobotDataset, camera: Camera, entries: Iterable[Entry | DataError]) -> Parts:
    """Compare the parts that all episodes show of the camera's videos."""
    by_file: dict[str, list[Part]] = {}
    for entry in entries:
        if isinstance(entry, Entry) and entry.video_path is not None:
            end = inf if entry.end is None else entry.end
            by_file.setdefault(entry.video_path, []).append(Part(entry.start, end, entry.index))
    near = 0.25 / dataset.fps
    faults = {episode: fault for path, parts in by_file.items() for episode, fault in _overlaps(path, parts, near)}
    files = dataset.files(camera) if camera.kind == "video" else []
    unused = [path for path in files if path not in by_file]
    notes = []
    for path, parts in by_file.items():
        odd = _not_covered(dataset, path, parts)
        if odd and unused:
            reason = f"the parts of {path} that episodes show must cover it where other videos are not used, but {odd}"
            faults |= {part.episode: reason for part in parts if part.episode not in faults}
        elif odd:
            notes.append(f"{path}: {odd}")
    return Parts(faults, _listed(unused, camera), tuple(notes))


def _overlaps(path: str, parts: list[Part], near: float) -> Iterator[tuple[int, str]]:
    """(episode, fault) of all that share a moment of the video with another episode."""
    holder: Part | None = None
    for part in sorted(parts):
        if holder is not None and part.episode != holder.episode and part.start < holder.end - near:
            until = min(part.end, holder.end)
            both = "all of it" if until == inf else f"{part.start:.4f} to {until:.4f} s"
            for one, other in ((part, holder), (holder, part)):
                yield (
                    one.episode,
                    f"episode {one.episode} must show a part of its own of {path}, but shows {both} as episode "
                    f"{other.episode} does",
                )
        holder = part if holder is None or part.end > holder.end else holder


def _not_covered(dataset: LeRobotDataset, path: str, parts: list[Part]) -> str:
    """What of the video no episode shows, or what they show beyond its end; empty for a video to itself."""
    if any(not isfinite(part.start) or not isfinite(part.end) for part in parts):
        return ""
    try:
        length = shown_until(confined(dataset.root, path, "`video_path`"))
    except DataError:  # which whoever reads its frames says
        return ""
    near, at = (1 + _DRIFT * len(parts)) / dataset.fps, 0.0
    for part in sorted(parts):
        if part.start > at + near:
            return f"none shows {at:.4f} to {part.start:.4f} s"
        at = max(at, part.end)
    if length is None or abs(length - at) <= near:
        return ""
    return f"none shows {at:.4f} to {length:.4f} s" if at < length else f"it ends at {length:.4f} s, they at {at:.4f} s"


def _listed(unused: list[str], camera: Camera) -> str:
    if not unused:
        return ""
    shown = ", ".join(unused[:_MOST_LISTED]) + (", …" if len(unused) > _MOST_LISTED else "")
    return f"each video of {camera.key} must be shown by an episode, but {len(unused)} are by none: {shown}"
