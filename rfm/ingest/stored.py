"""What is stored of an episode: its chosen frames in one .npz, beside them their places and times in the recording.

In: an episode, the path of its .npz, and options. Out: what the file holds, or the reason why there is none. A file
that a killed run left whole is not made again.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from rfm.errors import ConfigError, DataError
from rfm.files.limits import within_memory
from rfm.frames.npz.file import SOURCE_INDICES, npz_frames_shape, read_beside, write_npz
from rfm.frames.resize import resize_frames
from rfm.ingest.episode import Episode, IngestOptions
from rfm.trajectories.record import named_progress

_TIMES = "source_times"
"""Beside the frames in an .npz: their times as shares of the recording."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 120


class Stored(NamedTuple):
    """What was written of an episode."""

    shape: tuple[int, int, int, int]
    indices: tuple[int, ...]
    """The place of each frame in the recording."""
    times: tuple[float, ...] | None


class Outcome(NamedTuple):
    """What was stored, or the reason why nothing was; what the source has to say about it."""

    stored: Stored | None
    reason: str = ""
    notes: tuple[str, ...] = ()


class Job(NamedTuple):
    """An episode to be stored, and where."""

    episode: Episode
    path: Path
    options: IngestOptions


def file_name(episode: Episode) -> str:
    """The .npz; an id that is no safe file name is made one, and marked with its hash."""
    name = _UNSAFE.sub("_", episode.id)[:_LONGEST_NAME]
    if name != episode.id:
        name = f"{name}-{hashlib.sha256(episode.id.encode()).hexdigest()[:10]}"
    return f"trajectory_{name}.npz"


def store(job: Job) -> Outcome:
    """Write the episode's .npz unless it is there already."""
    if not job.path.parent.is_dir():
        raise ConfigError(f"--output must be a folder that all machines share, but {job.path.parent} is not there")
    if job.path.is_file():
        try:
            return Outcome(_stored(job.path))
        except DataError:  # cut off, by a power cut maybe
            pass
    try:
        with within_memory(f"the frames of `{job.episode.id}`"):
            video = job.episode.source.read(job.options)
        _check_lengths(job.episode, video.total)
    except DataError as error:
        return Outcome(None, str(error))
    size = job.options.sizing(*video.frames.shape[1:3])
    frames = resize_frames(video.frames, *size)  # what its source left as recorded
    times = {} if video.times is None else {_TIMES: video.times}
    write_npz(job.path, frames, job.options.form, {SOURCE_INDICES: video.indices, **times})
    return Outcome(_stored(job.path), notes=video.notes)


def _check_lengths(episode: Episode, total: int) -> None:
    recorded = (("progress", episode.progress), *named_progress(episode.progress_by_task))
    faults = [
        f"`{name}` must have one value a frame of the video ({total}), but has {len(values)}"
        for name, values in recorded
        if values is not None and len(values) != total
    ]
    if faults:
        raise DataError("; ".join(faults))


def _stored(path: Path) -> Stored:
    """What an .npz of this ingest holds, be it of this run or of one that was killed."""
    indices, times = read_beside(path, SOURCE_INDICES), read_beside(path, _TIMES)
    if indices is None:
        raise DataError(
            f"{path} must hold `{SOURCE_INDICES}`, as every ingest writes it, but does not: use --overwrite"
        )
    return Stored(npz_frames_shape(path), tuple(indices.tolist()), None if times is None else tuple(times.tolist()))
