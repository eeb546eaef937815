"""Who asks the model about which episodes: pieces of a dataset, each of which becomes a file.

A job is some episodes that follow each other, of `_PREFIXES` frames together or one longer one: which those are
depends on the dataset alone, and so do the batches in which its prefixes are answered. On a CPU each worker computes
with one thread. So values are the same bytes whatever the number of workers and however often a run was killed, on
machines of one kind: other processors, and other batch sizes, differ by the rounding of float32 (1e-4).

Memory: a model, the frames of one job in the size in which the model sees them, and its answers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from rfm.errors import ConfigError, DataError
from rfm.files.documents.json_documents import LARGE, read_json_object
from rfm.files.limits import MOST_FRAMES, within_memory
from rfm.files.staging import staged_file
from rfm.model.device import AUTO
from rfm.processes import worker_number
from rfm.scoring.given_frames import Clip
from rfm.scoring.relabelling.episodes import Asked
from rfm.scoring.reward_model import RewardModel

logger = logging.getLogger(__name__)

_PREFIXES = 256


class Asking(NamedTuple):
    """Which model is asked, and how."""

    model_path: str
    base_model: str | None
    device: str
    max_frames: int | None
    batch_size: int


class Job(NamedTuple):
    """Episodes to ask about, all robots' or all people's, and the file for the answers."""

    episodes: tuple[Asked, ...]
    part: Path
    asking: Asking


class Told(NamedTuple):
    """What came of an episode."""

    id: str
    values: Float32[np.ndarray, " t"] | None
    """Progress in [0, 1] at each frame of the dataset; None where there is none."""
    reason: str = ""
    """Why there is none."""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the record; numbers keep all their digits."""
        values = None if self.values is None else [float(value) for value in self.values]
        return {"id": self.id, "values": values, "reason": self.reason, "notes": list(self.notes)}


class _Read(NamedTuple):
    """An episode whose frames are there."""

    asked: Asked
    clip: Clip
    rows: Int64[np.ndarray, " k"]
    """The frames of the dataset that have a picture of their own."""
    notes: tuple[str, ...]


def make_jobs(episodes: Sequence[Asked], folder: Path, asking: Asking) -> Iterator[Job]:
    """Yield the jobs of a dataset, in its order; their files lie in `folder`."""
    held: list[Asked] = []
    number = 0
    for at, one in enumerate(episodes):
        held.append(one)
        following = episodes[at + 1] if at + 1 < len(episodes) else None
        full = sum(each.count for each in held) + (following.count if following else 0) > _PREFIXES
        if following is None or full or following.actor != one.actor:
            yield Job(tuple(held), folder / f"{number:06d}.json", asking)
            held, number = [], number + 1


def score(job: Job) -> None:
    """Ask about the job's episodes, and write what came of them."""
    if not job.part.parent.is_dir():
        raise ConfigError(f"--output must lie in a folder that all machines share, but {job.part.parent} is not there")
    model = _model(job.asking)
    with _one_thread(), staged_file(job.part) as staged:
        told = _told(job, model)
        staged.write_text(json.dumps({"episodes": [one.to_json() for one in told]}), encoding="utf-8")


def read_part(part: Path) -> list[Told]:
    """Return what came of a job's episodes."""
    return [
        Told(
            one["id"],
            None if one["values"] is None else np.array(one["values"], np.float32),
            one["reason"],
            tuple(one["notes"]),
        )
        for one in read_json_object(part, most=LARGE)["episodes"]
    ]


def forget_model() -> None:
    """Let go of the model that jobs in this process asked."""
    _model.cache_clear()


@lru_cache(maxsize=1)
def _model(asking: Asking) -> RewardModel:
    return RewardModel.from_pretrained(
        asking.model_path, _device(asking.device), base_model=asking.base_model, max_frames=asking.max_frames
    )


def _device(asked: str) -> str:
    """Return the device of this worker: each a GPU of its own, as far as there are any."""
    count = torch.cuda.device_count()
    return f"cuda:{worker_number() % count}" if asked in (AUTO, "cuda") and count > 1 else asked


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch: more share sums otherwise, and give other last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _told(job: Job, model: RewardModel) -> list[Told]:
    read = [_read(one, model) for one in job.episodes]
    answers = iter(_answers([one for one in read if isinstance(one, _Read)], model, job.asking.batch_size))
    return [next(answers) if isinstance(one, _Read) else one for one in read]


def _read(asked: Asked, model: RewardModel) -> _Read | Told:
    try:
        with within_memory(f"the frames of `{asked.id}`"):
            video = asked.source.read(replace(model.reading, max_frames=MOST_FRAMES))
            if video.total != asked.count:
                raise DataError(f"`{asked.id}` must have {asked.count} frames, but has {video.total}")
            return _Read(asked, Clip(model.as_shown(video.frames), f"`{asked.id}`"), video.indices, video.notes)
    except DataError as error:
        return Told(asked.id, None, str(error))


def _answers(read: Sequence[_Read], model: RewardModel, batch_size: int) -> list[Told]:
    """Ask about all of them together; where one can't be answered, one by one."""
    if not read:
        return []
    try:
        curves = model.curve(
            [one.clip for one in read],
            tasks=[one.asked.task for one in read],
            actor=read[0].asked.actor,
            batch_size=batch_size,
        )
    except DataError as error:
        if len(read) == 1:
            return [Told(read[0].asked.id, None, str(error), read[0].notes)]
        return [told for one in read for told in _answers([one], model, batch_size)]
    return [
        Told(one.asked.id, _at_all_frames(curve.expected, one.rows, one.asked.count), notes=one.notes)
        for one, curve in zip(read, curves, strict=True)
    ]


def _at_all_frames(
    values: Float64[np.ndarray, " k"], rows: Int64[np.ndarray, " k"], count: int
) -> Float32[np.ndarray, " t"]:
    """Return progress at all frames; those without a picture of their own lie on the line between their neighbours."""
    return np.interp(np.arange(count), rows, values).astype(np.float32)
