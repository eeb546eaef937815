"""`/v1/progress`, `/v1/curve`, `/v1/preference`: one clip or pair and a task in, what the model says out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from rfm.errors import ConfigError
from rfm.scoring.given_frames import Clip
from rfm.scoring.records import Curve, Preference
from rfm.scoring.remote.wire import curve_to_json, progress_to_json
from rfm.serving import documents
from rfm.serving.admission import Held
from rfm.serving.fleet import Fleet
from rfm.serving.problems import Problem, not_usable
from rfm.serving.questions import Ask, Points, about_a_pair, about_the_end, along, at_the_end, in_pieces, joined
from rfm.serving.requests.clips import numbered
from rfm.serving.requests.fields import Fields
from rfm.serving.requests.sent import Sent, sent
from rfm.serving.routes.taking import answered, service_of
from rfm.serving.service import Service

router = APIRouter(tags=["questions"])


@router.post("/v1/progress", **documents.PROGRESS)
async def progress(request: Request) -> Response:
    """How far the robot has got at the end of a clip."""
    service = service_of(request)

    async def work(fleet: Fleet, said: Sent, held: Held) -> Any:
        ask = said.fields.ask()
        clip = await _clip(service, fleet, said, held)
        question = about_the_end(ask, clip, fleet.description.max_frames)
        found = await curve_answer(fleet, question)
        return progress_to_json(at_the_end(found)) | {"model": fleet.description.fingerprint}

    return await answered(request, partial(sent, files=["clip"]), work)


@router.post("/v1/curve", **documents.CURVE)
async def curve(request: Request) -> Response:
    """The progress at the ends of growing prefixes of a clip."""
    service = service_of(request)

    async def work(fleet: Fleet, said: Sent, held: Held) -> Any:
        ask = said.fields.ask()
        points = said.fields.count("points", service.options.max_frames)
        choice = said.fields.frame_choice()
        shown = said.fields.lists_of_whole_numbers("shown")
        if shown is not None and (points is not None or said.fields.optional_text("frame_choice") is not None):
            raise not_usable("`points` and `frame_choice` must be left out with `shown`, which says it of each point")
        clip = await _clip(service, fleet, said, held)
        if shown is None:
            found = await whole_curve(fleet, ask, clip, points, choice)
        else:
            _check_shown(shown, len(clip), service.options.max_frames, fleet.description.max_frames)
            found = await _in_pieces(fleet, in_pieces(ask, clip, iter(shown)))
        return curve_to_json(found) | {"model": fleet.description.fingerprint}

    return await answered(request, partial(sent, files=["clip"]), work)


@router.post("/v1/preference", **documents.PREFERENCE)
async def preference(request: Request) -> Response:
    """Which of two clips made more progress, asked in both orders."""
    service = service_of(request)

    async def work(fleet: Fleet, said: Sent, held: Held) -> Any:
        ask = said.fields.ask()
        _check_model(said.fields, fleet)
        said.fields.finish()
        a, b = [
            await service.clip(said.file(name), f"`{name}`", fleet.description.reading, held) for name in ("a", "b")
        ]
        found = await pair_answer(fleet, ask, a, b)
        return found.to_json() | {"model": fleet.description.fingerprint}

    return await answered(request, partial(sent, files=["a", "b"]), work)


async def whole_curve(fleet: Fleet, ask: Ask, clip: Clip, points: int | None, frame_choice: str) -> Curve:
    """Ask a curve piece by piece, so that others have their turn in between."""
    return await _in_pieces(fleet, along(ask, clip, fleet.description.max_frames, points, frame_choice))


async def _in_pieces(fleet: Fleet, questions: Iterator[Points]) -> Curve:
    return joined([await curve_answer(fleet, question) for question in questions], fleet.description.success)


async def curve_answer(fleet: Fleet, question: Any) -> Curve:
    """Ask points of a curve."""
    said = await fleet.answer(question)
    assert isinstance(said, Curve)
    return said


async def pair_answer(fleet: Fleet, ask: Ask, a: Clip, b: Clip) -> Preference:
    """Ask about a pair."""
    said = await fleet.answer(about_a_pair(ask, a, b, fleet.description.max_frames))
    assert isinstance(said, Preference)
    return said


async def _clip(service: Service, fleet: Fleet, said: Sent, held: Held) -> Clip:
    """Return the clip with what was said of its frames, once all else was found to be right."""
    places, seconds = said.fields.whole_numbers("frame_numbers"), said.fields.numbers("seconds")
    _check_model(said.fields, fleet)
    said.fields.finish()
    try:
        clip = await service.clip(said.file("clip"), "`clip`", fleet.description.reading, held)
    except ConfigError as error:
        raise not_usable(str(error)) from None
    return numbered(clip, places, seconds)


def _check_shown(shown: Sequence[Sequence[int]], count: int, most_points: int, max_frames: int) -> None:
    """Refuse points that are of no frames of the clip, or of more than the server and its model take."""
    if len(shown) > most_points:
        raise not_usable(f"`shown` must be of at most {most_points} points, but is of {len(shown)}")
    ends = [of_point[-1] for of_point in shown]
    if any(later < earlier for earlier, later in pairwise(ends)):
        raise not_usable("`shown` must be of points whose last frames ascend, but do not")
    if ends[-1] >= count:
        raise not_usable(f"`shown` must name frames of the clip, which has {count}, but names {ends[-1]}")
    most = max(map(len, shown))
    if most > max_frames:
        raise not_usable(f"`shown` must be of at most {max_frames} frames a point, but is of {most}")


def _check_model(fields: Fields, fleet: Fleet) -> None:
    """Refuse frames that were prepared for another checkpoint than the one that would answer."""
    expected, found = fields.optional_text("model"), fleet.description.fingerprint
    if expected is not None and expected != found:
        raise Problem(409, f"`model` must be the one that answers, {found}, but is {expected[:60]}; leave it out")
