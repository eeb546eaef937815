"""What a client sends and what it makes of the answer, whoever carries it: no network here.

Frames travel as .npy, only those that the model will be shown, in the size in which it sees them: a clip of 16 frames
at 32 x 32 is 50 kB, whatever the video. They are chosen and shrunk by the code that the model itself uses, so an answer
is the number that a model in this process gives.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from rfm.errors import ConfigError, DataError, ServerError
from rfm.frames.spacing import evenly_spaced, shown_of_pair, shown_of_prefixes
from rfm.scoring.given_frames import Clip
from rfm.scoring.records import Curve, Preference, Progress
from rfm.scoring.remote.description import Description
from rfm.scoring.remote.wire import curve_from_json, preference_from_json, progress_from_json

Record = TypeVar("Record")

RETRIED = (429, 503)
"""Statuses after which the same request may be answered; questions change nothing, so asking again is safe."""
_STALE, _UNUSABLE, _NO_KEY = 409, 422, 401


class StaleModelError(ServerError):
    """The server answers with another checkpoint than the one that frames were prepared for."""


@dataclass(frozen=True)
class Call(Generic[Record]):
    """A request, and how its answer is read."""

    path: str
    fields: dict[str, str]
    files: dict[str, bytes]
    read: Callable[[Any], Record]


def progress_call(clip: Clip, task: str, actor: str, model: Description) -> Call[Progress]:
    """Ask how far the robot is at the end of a clip."""
    shown = evenly_spaced(len(clip), model.max_frames).tolist()
    fields = _fields(task, actor, model) | _numbers(clip, shown)
    return Call("/v1/progress", fields, {"clip": _npy(clip, shown, model)}, progress_from_json)


def curve_call(
    clip: Clip, task: str, actor: str, model: Description, points: int | None, frame_choice: str
) -> Call[Curve]:
    """Ask how far it is at the ends of prefixes."""
    shown = [*shown_of_prefixes(len(clip), model.max_frames, points, frame_choice)]
    needed = sorted({frame for of_point in shown for frame in of_point})
    fields = _fields(task, actor, model) | _numbers(clip, needed)
    if len(needed) < len(clip):
        places = {frame: at for at, frame in enumerate(needed)}
        fields["shown"] = json.dumps([[places[frame] for frame in of_point] for of_point in shown])
    else:
        fields |= {"frame_choice": frame_choice} | ({} if points is None else {"points": str(points)})
    return Call("/v1/curve", fields, {"clip": _npy(clip, needed, model)}, curve_from_json)


def preference_call(a: Clip, b: Clip, task: str, actor: str, model: Description) -> Call[Preference]:
    """Ask which of two clips got further; both show equally many frames."""
    of_a, of_b = shown_of_pair(len(a), len(b), model.max_frames)
    files = {"a": _npy(a, of_a, model), "b": _npy(b, of_b, model)}
    return Call("/v1/preference", _fields(task, actor, model), files, preference_from_json)


def read_answer(status: int, content: bytes, key_name: str) -> Any:
    """Return the JSON of an answer; the error that its status stands for. `key_name` is what the key is called."""
    try:
        said = json.loads(content)
    except ValueError as error:
        raise ServerError(f"a server must answer in JSON, but says {content[:100]!r} with status {status}") from error
    if status == 200:
        return said
    detail = str(said.get("detail", said)) if isinstance(said, dict) else str(said)
    if status == _UNUSABLE:
        raise DataError(detail)
    if status == _NO_KEY:
        raise ConfigError(f"`{key_name}` must be one that the server knows, but it says: {detail}")
    if status == _STALE:
        raise StaleModelError(detail)
    raise ServerError(f"the server answers with status {status}: {detail}")


def _fields(task: str, actor: str, model: Description) -> dict[str, str]:
    return {"task": task, "actor": actor, "model": model.fingerprint}


def _numbers(clip: Clip, frames: Sequence[int]) -> dict[str, str]:
    said = {"frame_numbers": json.dumps([int(number) for number in clip.numbered(frames)])}
    if clip.seconds is not None:
        said["seconds"] = json.dumps(clip.seconds[list(frames)].tolist())
    return said


def _npy(clip: Clip, frames: Sequence[int], model: Description) -> bytes:
    clip.check_seen_as(model.seen_as)
    chosen = np.stack([clip.frames[frame] for frame in frames])
    stream = io.BytesIO()
    np.save(stream, model.as_shown(chosen), allow_pickle=False)
    return stream.getvalue()
