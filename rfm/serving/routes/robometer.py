"""Robometer's protocol: its clients ask this server as they ask their own.

`/evaluate_batch_npy` takes a form: `sample_{i}` are JSON objects in which `{"__numpy_file__": NAME}` stands for the
.npy that comes as part NAME. `/evaluate_batch` takes the same samples as JSON, frames as nested lists. A progress
sample is answered by a value for each of its frames: what the model says of the frames up to it, with
`use_frame_steps` and without, since this model judges every prefix by itself. Values lie in [0, 1].
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from rfm.errors import DataError
from rfm.files.documents.json_documents import parse_json
from rfm.frames.spacing import EVENLY
from rfm.scoring.given_frames import Clip
from rfm.serving import documents
from rfm.serving.admission import Held
from rfm.serving.fleet import Fleet
from rfm.serving.problems import not_usable
from rfm.serving.questions import Ask
from rfm.serving.requests.body import Arriving
from rfm.serving.requests.clips import clip_of_npy, is_npy, of_frames
from rfm.serving.requests.fields import Fields
from rfm.serving.requests.multipart import Part
from rfm.serving.requests.sent import FORM, JSON, content_type, received_form, received_json
from rfm.serving.routes.asking import pair_answer, whole_curve
from rfm.serving.routes.taking import answered, as_json, service_of
from rfm.serving.service import Service

router = APIRouter(tags=["Robometer's protocol"])

_SAMPLE = re.compile(r"sample_(0|[1-9]\d{0,5})")
_FILE = "__numpy_file__"
_STEPS = ("true", "false", True, False)
_CHOSEN = 1
"""What `predictions` and `preference_labels` call the chosen trajectory; the rejected one is 0."""


class _Asked(NamedTuple):
    """A sample: one clip of a progress, two of a preference, the chosen one first."""

    ask: Ask
    clips: tuple[Clip, ...]


@router.post("/evaluate_batch_npy", **documents.EVALUATE_BATCH_NPY)
async def evaluate_batch_npy(request: Request) -> Response:
    """Answer a batch of samples sent as a form with .npy files."""
    service = service_of(request)

    async def receive(arriving: Arriving) -> list[_Asked]:
        content_type(request, [FORM])
        form = await received_form(arriving)
        return _asked(_samples_of_form(form), _Frames(service, form))

    return await answered(request, receive, _work)


@router.post("/evaluate_batch", **documents.EVALUATE_BATCH)
async def evaluate_batch(request: Request) -> Response:
    """Answer a batch of samples sent as JSON."""
    service = service_of(request)

    async def receive(arriving: Arriving) -> list[_Asked]:
        content_type(request, [JSON])
        said = await received_json(arriving)
        samples = said.get("samples") if isinstance(said, dict) else said
        if not isinstance(samples, list):
            raise not_usable("the body must be a list of samples, or an object with `samples`, but is something else")
        if isinstance(said, dict):
            _steps(said.get("use_frame_steps"))
        return await asyncio.to_thread(_asked, samples, _Frames(service, {}))  # lists of numbers take their time

    return await answered(request, receive, _work)


@router.get("/gpu_status", **documents.GPU_STATUS)
async def gpu_status(request: Request) -> Response:
    """The workers, which Robometer's clients know as GPUs."""
    fleet = service_of(request).fleet
    stats = {
        str(at): {"device": worker.device, "status": "processing" if worker.busy else "ready"}
        for at, worker in enumerate(fleet.workers)
        if worker.alive
    }
    return as_json({"total_gpus": len(fleet.workers), "available_gpus": fleet.idle, "gpu_stats": stats})


@router.get("/model_info", **documents.MODEL_INFO)
async def model_info(request: Request) -> Response:
    """The model that answers."""
    said = service_of(request).fleet.description
    return as_json({"model_path": said.name, "num_gpus": len(service_of(request).fleet.workers)} | said.to_json())


async def _work(fleet: Fleet, samples: Sequence[_Asked], held: Held) -> dict[str, Any]:
    progress = [one for one in samples if len(one.clips) == 1]
    pairs = [one for one in samples if len(one.clips) == 2]
    curves, preferences = await asyncio.gather(
        asyncio.gather(*(whole_curve(fleet, one.ask, one.clips[0], None, EVENLY) for one in progress)),
        asyncio.gather(*(pair_answer(fleet, one.ask, *one.clips) for one in pairs)),
    )
    wanted = fleet.description.success.threshold
    likely = [
        curve.distribution.probabilities[:, curve.distribution.answers >= wanted - 1e-9].sum(axis=1) for curve in curves
    ]
    chosen = [_within(said.a) for said in preferences]
    return {
        "outputs_preference": {
            "predictions": [_CHOSEN if share > 0.5 else 1 - _CHOSEN for share in chosen],
            "prediction_probs": chosen,
            "preference_labels": [_CHOSEN] * len(pairs),
        }
        if pairs
        else None,
        "outputs_progress": {"progress_pred": [[_within(value) for value in curve.expected] for curve in curves]},
        "outputs_success": {"success_probs": [[_within(value) for value in values] for values in likely]},
    }


def _within(value: float) -> float:
    """Return a share without the rounding of sums, which may be a little over 1."""
    return min(max(float(value), 0.0), 1.0)


class _Frames:
    """Frames as samples give them: the name of a file, or nested lists."""

    def __init__(self, service: Service, form: Mapping[str, Part]) -> None:
        self._service, self._form = service, form

    def clip(self, given: Any, name: str) -> Clip:
        """Return the clip; Problem where there is none."""
        bounds = self._service.bounds
        if isinstance(given, dict) and isinstance(given.get(_FILE), str):
            clip = clip_of_npy(self._file(given[_FILE], name), name, bounds)
        elif isinstance(given, list):
            clip = _of_lists(given, name, self._service)
        else:
            raise not_usable(f'{name} must be {{"{_FILE}": NAME}}, the name of a part, or nested lists, but is neither')
        self._service.metrics.frames.inc(len(clip))
        return clip

    def _file(self, part: str, name: str) -> memoryview:
        found = self._form.get(part)
        if found is None:
            raise not_usable(f"{name} must be a part of the form, but there is no `{part[:80]}`")
        if not (found.filename or "").endswith(".npy") or not is_npy(found.data):
            raise not_usable(f"`{part[:80]}` must be an .npy, and its file name end in .npy, but is not")
        return found.data


def _of_lists(given: list[Any], name: str, service: Service) -> Clip:
    try:
        values = np.array(given)
        if values.dtype.kind in "iu" and values.size and values.min() >= 0 and values.max() <= 255:
            values = values.astype(np.uint8)
        return of_frames(values, name, service.bounds)
    except (DataError, ValueError, OverflowError) as error:
        text = str(error) if isinstance(error, DataError) else f"{name} must be of one shape: {error}"
        raise not_usable(text) from None


def _samples_of_form(form: Mapping[str, Part]) -> list[Any]:
    """Return the samples in order, which must be numbered from 0 on without a gap."""
    numbers = sorted(int(match[1]) for name in form if (match := _SAMPLE.fullmatch(name)))
    if numbers != list(range(len(numbers))):
        raise not_usable("samples must be numbered from 0 on without a gap, as sample_0, sample_1, …, but are not")
    if "use_frame_steps" in form:
        _steps(form["use_frame_steps"].text("use_frame_steps").strip().lower())
    try:
        return [parse_json(form[f"sample_{at}"].text(f"sample_{at}"), f"`sample_{at}`") for at in numbers]
    except DataError as error:
        raise not_usable(str(error)) from None


def _steps(given: Any) -> None:
    """Check a flag that changes nothing: prefixes are judged by themselves in any case."""
    if given is not None and given not in _STEPS:
        raise not_usable("`use_frame_steps` must be true or false, but is neither")


def _asked(samples: Sequence[Any], frames: _Frames) -> list[_Asked]:
    if not 1 <= len(samples) <= documents.MOST_SAMPLES:
        raise not_usable(f"a batch must have 1 to {documents.MOST_SAMPLES} samples, but has {len(samples)}")
    return [_sample(sample, f"sample_{at}", frames) for at, sample in enumerate(samples)]


def _sample(sample: Any, name: str, frames: _Frames) -> _Asked:
    kind = sample.get("sample_type") if isinstance(sample, dict) else None
    sides = {"progress": ("trajectory",), "preference": ("chosen_trajectory", "rejected_trajectory")}
    if not isinstance(kind, str) or kind not in sides:
        raise not_usable(f"`{name}` must have a `sample_type` of progress or preference, but has neither")
    trajectories = []
    for side in sides[kind]:
        if not isinstance(sample.get(side), dict):
            raise not_usable(f"`{name}` must have a `{side}`, but has none")
        trajectories.append(sample[side])
    tasks = {trajectory.get("task") for trajectory in trajectories if isinstance(trajectory.get("task"), str)}
    if len(tasks) > 1:
        raise not_usable(f"both trajectories of `{name}` must be of one task, but are of two")
    ask = Fields({"task": next(iter(tasks), None)}).ask()
    clips = [
        frames.clip(trajectory.get("frames"), f"`frames` of {name}_{side}")
        for side, trajectory in zip(sides[kind], trajectories, strict=True)
    ]
    return _Asked(ask, tuple(clips))
