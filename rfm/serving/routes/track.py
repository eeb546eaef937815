"""`/v1/track`: a live session. Frames go in while a robot moves, and the progress by then comes out.

The first message is a JSON object with `task` (and `actor`); each binary message after it is a frame, or several, as an
.npy, or a JPEG or PNG picture, and is answered by the progress of all frames so far: the number that
`RewardModel.tracker` gives. `{"reset": true}` begins a new episode. What can't be used is answered by `detail`, and
the session goes on without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import numpy as np
from fastapi import APIRouter
from jaxtyping import UInt8
from starlette.websockets import WebSocket, WebSocketDisconnect

from rfm.errors import DataError
from rfm.files.documents.json_documents import parse_json
from rfm.frames.pictures import decode_picture, picture_size
from rfm.scoring.given_frames import Clip
from rfm.scoring.remote.description import Description
from rfm.scoring.remote.wire import progress_to_json
from rfm.scoring.seen_as import OtherSizeError
from rfm.scoring.tracker import Episode
from rfm.serving.admission import Held
from rfm.serving.problems import Problem, not_usable
from rfm.serving.questions import Ask, about_the_end, at_the_end
from rfm.serving.requests.clips import clip_of_npy, is_npy, of_frames
from rfm.serving.requests.fields import Fields
from rfm.serving.routes.asking import curve_answer
from rfm.serving.routes.taking import service_of
from rfm.serving.service import Service

router = APIRouter()

_MOST_TEXT = 2**16
"""Characters of a message that is no frame."""
_REPLACED = 1012
"""The close code of a session that has to be begun anew."""


class _Session:
    """The frames of an episode so far, in the size that the model sees where it has one."""

    def __init__(self, service: Service, ask: Ask) -> None:
        self._service, self._ask, self._held = service, ask, Held(service.admission)
        self.seen_as = service.fleet.description.seen_as
        self.reset()

    def reset(self) -> None:
        """Begin a new episode."""
        self._episode = Episode()
        self._held.release()

    async def update(self, data: bytes) -> dict[str, Any]:
        """Take a frame, or several, and return the progress by now."""
        kept = await self._fitting(data)
        async with self._service.fleet.held() as fleet:
            model = fleet.description
            self.check_seen_as(model)
            question = about_the_end(self._ask, self._episode.clip(kept), model.max_frames)
            said = at_the_end(await curve_answer(fleet, question))
            self._episode.keep(kept, self.seen_as)  # not before: what has no answer may be sent again
            return progress_to_json(self._episode.judged(said, model.success)) | {"model": model.fingerprint}

    def check_seen_as(self, model: Description) -> None:
        """Raise OtherSizeError where frames are kept in another size than the one in which this model sees them."""
        if model.seen_as != self.seen_as:
            raise OtherSizeError("the model was replaced by one that sees frames otherwise; begin anew")

    def close(self) -> None:
        """Count its frames no longer."""
        self._held.release()

    async def _fitting(self, data: bytes) -> UInt8[np.ndarray, "t h w 3"]:
        """Return frames that may be kept, as they are shown."""
        try:
            frames = self._episode.fitting(np.asarray((await self._clip(data)).frames))
        except DataError as error:
            raise not_usable(str(error)) from None
        if len(self._episode) + len(frames) > self._service.bounds.frames:
            raise not_usable(f"an episode must have at most {self._service.bounds.frames} frames; reset begins another")
        kept = frames if self.seen_as is None else self.seen_as.resized(frames)
        self._held.take(kept.nbytes)
        self._service.metrics.frames.inc(len(kept))
        return kept

    async def _clip(self, data: bytes) -> Clip:
        name, bounds = f"frame {len(self._episode)}", self._service.bounds
        if is_npy(memoryview(data)):
            return clip_of_npy(memoryview(data), name, bounds)
        height, width = picture_size(data, name)  # a kilobyte may declare a gigabyte
        bounds.check_pixels(1, height, width, name)
        with self._held.lent(3 * height * width):
            return of_frames((await asyncio.to_thread(decode_picture, data, name))[None], name, bounds)


@router.websocket("/v1/track")
async def track(socket: WebSocket) -> None:
    """Serve a session until its client leaves."""
    service = service_of(socket)
    await socket.accept()
    try:
        with service.admission.request(timed=False) as held:
            held.take(service.options.most_message)
            fields = Fields(_object(await _first(socket, service.options.receive_seconds)))
            ask = fields.ask()
            fields.finish()
            await socket.send_json({"model": service.fleet.description.to_json()})
            with contextlib.closing(_Session(service, ask)) as session:
                await _serve(socket, session, service)
    except (WebSocketDisconnect, KeyError):  # KeyError: binary where a text belongs
        await _close(socket, 1003, "the first message must be a JSON object with `task`")
    except Problem as problem:
        await _close(socket, 1013 if problem.status in (429, 503) else 1008, problem.text)


async def _serve(socket: WebSocket, session: _Session, service: Service) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        try:
            session.check_seen_as(service.fleet.description)
            if message.get("bytes") is not None:
                said = await session.update(message["bytes"])
            else:
                _check_reset(_object(message.get("text") or ""))
                session.reset()
                said = {"reset": True}
        except OtherSizeError as error:
            await _close(socket, _REPLACED, str(error))
            return
        except Problem as problem:
            said = {"detail": problem.text, "status": problem.status}
        await socket.send_text(json.dumps(said, allow_nan=False))


async def _first(socket: WebSocket, seconds: float) -> str:
    """Return the first message, which must come as soon as any request: until then a place is held for nothing."""
    try:
        return await asyncio.wait_for(socket.receive_text(), seconds)
    except asyncio.TimeoutError:
        raise not_usable(f"the first message must come within {seconds:.0f} seconds, but did not") from None


def _object(text: str) -> dict[str, Any]:
    if len(text) > _MOST_TEXT:
        raise not_usable(f"a message of text must have at most {_MOST_TEXT} characters, but has {len(text)}")
    try:
        said = parse_json(text, "a message")
    except DataError as error:
        raise not_usable(str(error)) from None
    if not isinstance(said, dict):
        raise not_usable("a message must be a JSON object, or the bytes of a frame")
    return said


def _check_reset(said: dict[str, Any]) -> None:
    if said != {"reset": True}:
        raise not_usable('a message after the first must be the bytes of a frame, or {"reset": true}')


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    """Close a session that its client has not left yet; reasons have at most 123 bytes."""
    try:
        await socket.close(code, reason[:120].encode("ascii", "replace").decode())
    except RuntimeError:  # it has left
        return
