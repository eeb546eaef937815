"""What the OpenAPI description says of each endpoint: forms of requests and answers, statuses, examples that run."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, Field

from rfm.frames.spacing import CHOICES, EVENLY
from rfm.serving.requests.fields import MOST_TASK
from rfm.vqa.prompts import ACTORS, ROBOT

MOST_SAMPLES = 256
"""Of a batch in Robometer's protocol."""
ABOUT = (
    "How far has this robot got, and which of two attempts got further? Clips come as videos, .npz or .npy (uint8, "
    "frames x height x width x 3), in a form or as base64 in JSON. Every answer that is none has `detail` and "
    "`request_id`. Where the server has keys, each request shows one as `Authorization: Bearer KEY`. `/v1/track` is a "
    'websocket: first `{"task": "…"}`, then frames as .npy, JPEG or PNG, each answered by the progress so far.'
)
TAGS = [{"name": "questions"}, {"name": "Robometer's protocol"}, {"name": "operation"}]


class ProblemAnswer(BaseModel):
    """Why there is no answer."""

    detail: str
    request_id: str


def _is(description: str) -> Any:
    return Field(description=description)


class ProgressAnswer(BaseModel):
    """How far a clip got at its last frame, from 0 to 1."""

    task: str
    expected: float = _is("the mean of the distribution")
    median: float
    low: float = _is("5% of the probability lie below")
    high: float = _is("95% of the probability lie below")
    success: bool
    frame: int = _is("the frame judged, by its number in the recording")
    shown: list[int] = _is("the frames that the model was shown")
    answers: list[float] = _is("progress that each answer stands for")
    probabilities: list[float] = _is("of the answers")
    leftover: float = _is("what the model gave to everything that is no answer")
    model: str = _is("the fingerprint of the model")


class CurveAnswer(BaseModel):
    """The same of growing prefixes: a value a point."""

    task: str
    frames: list[int]
    seconds: list[float] | None
    expected: list[float]
    median: list[float]
    low: list[float]
    high: list[float]
    success: list[bool]
    leftover: list[float]
    shown: list[list[int]]
    answers: list[float]
    probabilities: list[list[float]]
    model: str


class PreferenceAnswer(BaseModel):
    """The probability that clip `a` made more progress; `better` is null where neither is more probable."""

    task: str
    better: str | None
    a: float
    agree: bool
    by_order: list[float]
    leftover: float
    model: str


class PreferenceOutputs(BaseModel):
    """1 is the chosen trajectory, 0 the rejected one."""

    predictions: list[int]
    prediction_probs: list[float]
    preference_labels: list[int]


class ProgressOutputs(BaseModel):
    """A value a frame."""

    progress_pred: list[list[float]]


class SuccessOutputs(BaseModel):
    """A probability a frame."""

    success_probs: list[list[float]]


class BatchAnswer(BaseModel):
    """What Robometer's clients read: progress samples and preference samples, each in their order."""

    outputs_preference: PreferenceOutputs | None
    outputs_progress: ProgressOutputs
    outputs_success: SuccessOutputs


class HealthAnswer(BaseModel):
    """That the server lives."""

    status: str
    available_gpus: int
    total_gpus: int


class ReadyAnswer(BaseModel):
    """That questions can be answered."""

    status: str
    workers: int


class ModelsAnswer(BaseModel):
    """The models that answer: one."""

    models: list[dict[str, Any]]


class ReloadAnswer(BaseModel):
    """Whether another checkpoint answers now, and its fingerprint."""

    changed: bool
    model: str


class StatusAnswer(BaseModel):
    """The workers."""

    total_gpus: int
    available_gpus: int
    gpu_stats: dict[str, dict[str, str]]


_REASONS = {
    400: "no HTTP",
    401: "no valid key",
    408: "the request arrived too slowly",
    409: "another model answers than the one expected, or a reload can't be done now",
    413: "too large",
    415: "a content type that is not taken",
    422: "it can't be understood, or its clip can't be shown to the model",
    429: "enough is taken on; `Retry-After` says in how many seconds to ask again",
    500: "the model or the server failed; the log says why",
    503: "no worker is there, the one that was answering died, or too many connections are open; ask again after "
    "`Retry-After`",
}
_OF_QUESTIONS = (400, 401, 408, 409, 413, 415, 422, 429, 500, 503)


def example_clip() -> str:
    """Return two small frames as base64 of an .npy."""
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[1, 2:6, 2:6] = (200, 60, 40)
    stream = io.BytesIO()
    np.save(stream, frames)
    return base64.b64encode(stream.getvalue()).decode()


def _responses(answer: type[BaseModel] | None, statuses: tuple[int, ...]) -> dict[int | str, Any]:
    found: dict[int | str, Any] = {
        status: {"model": ProblemAnswer, "description": _REASONS[status]} for status in statuses
    }
    if 400 in found:
        found[400] = {"description": _REASONS[400], "content": {"text/plain": {"schema": {"type": "string"}}}}
    if answer is not None:
        found[200] = {"model": answer, "description": (answer.__doc__ or "").strip()}
    return found


_TEXT = {"type": "string", "minLength": 1, "maxLength": MOST_TASK, "description": "what the robot is to do"}
_ACTOR = {"type": "string", "enum": [*ACTORS], "default": ROBOT}
_MODEL = {"type": "string", "description": "the fingerprint of the model that must answer, else 409"}
_FRAMES = {"type": "array", "items": {"type": "integer", "minimum": 0}, "description": "the frames' numbers, ascending"}
_SECONDS = {"type": "array", "items": {"type": "number"}, "description": "when each is shown, ascending"}
_POINTS = {"type": "integer", "minimum": 1, "description": "points of the curve, at most; default: every frame read"}
_CHOICE = {"type": "string", "enum": [*CHOICES], "default": EVENLY}
_SHOWN = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
    "description": "in place of `points`, `frame_choice`: the clip's frames that each point shows, by their places",
}
_SHARED = {"task": _TEXT, "actor": _ACTOR, "model": _MODEL}
_CLIP = {"frame_numbers": _FRAMES, "seconds": _SECONDS}


def _body(files: tuple[str, ...], fields: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    binary = {name: {"type": "string", "format": "binary", "description": "video, .npz or .npy"} for name in files}
    text = {name: {"type": "string", "format": "byte", "description": "the same, as base64"} for name in files}

    def schema(of_files: dict[str, Any]) -> dict[str, Any]:
        required = ["task", *files]
        return {"type": "object", "required": required, "properties": of_files | fields, "additionalProperties": False}

    content = {
        "multipart/form-data": {"schema": schema(binary)},
        "application/json": {"schema": schema(text), "example": example | dict.fromkeys(files, example_clip())},
    }
    return {"requestBody": {"required": True, "content": content}}


def _question(answer: type[BaseModel], files: tuple[str, ...], fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "response_model": answer,
        "responses": _responses(answer, _OF_QUESTIONS),
        "openapi_extra": _body(files, _SHARED | fields, {"task": "push the red block to the left"}),
    }


def _operation(answer: type[BaseModel], statuses: tuple[int, ...]) -> dict[str, Any]:
    return {"response_model": answer, "responses": _responses(answer, statuses)}


_SAMPLE = {
    "sample_type": "progress",
    "trajectory": {"task": "push the red block to the left", "frames": np.full((2, 2, 2, 3), 9).tolist()},
}
_SAMPLES = {
    "type": "object",
    "required": ["samples"],
    "properties": {"samples": {"type": "array", "minItems": 1, "maxItems": MOST_SAMPLES, "items": {"type": "object"}}},
}
_SAMPLE_FORM = {
    "type": "object",
    "required": ["sample_0"],
    "properties": {
        "sample_0": {"type": "string", "description": "JSON; sample_1, sample_2, … likewise"},
        "sample_0_trajectory_frames": {"type": "string", "format": "binary", "description": ".npy, named as such"},
        "use_frame_steps": {"type": "string", "enum": ["true", "false"]},
    },
}


def _batch(kind: str, schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    content = {"schema": schema} | ({} if example is None else {"example": example})
    return {
        "response_model": BatchAnswer,
        "responses": _responses(BatchAnswer, _OF_QUESTIONS),
        "openapi_extra": {"requestBody": {"required": True, "content": {kind: content}}},
    }


PROGRESS = _question(ProgressAnswer, ("clip",), _CLIP)
CURVE = _question(CurveAnswer, ("clip",), _CLIP | {"points": _POINTS, "frame_choice": _CHOICE, "shown": _SHOWN})
PREFERENCE = _question(PreferenceAnswer, ("a", "b"), {})
EVALUATE_BATCH_NPY = _batch("multipart/form-data", _SAMPLE_FORM)
EVALUATE_BATCH = _batch("application/json", _SAMPLES, {"samples": [_SAMPLE]})
HEALTH = _operation(HealthAnswer, (400, 503))
READY = _operation(ReadyAnswer, (400, 503))
MODELS = _operation(ModelsAnswer, (400, 401, 503))
GPU_STATUS = _operation(StatusAnswer, (400, 401, 503))
MODEL_INFO: dict[str, Any] = {"responses": _responses(None, (400, 401, 503))}
RELOAD = _operation(ReloadAnswer, (400, 401, 409, 503))
METRICS: dict[str, Any] = {
    "responses": _responses(None, (400, 401, 503))
    | {200: {"description": "counters", "content": {"text/plain": {"schema": {"type": "string"}}}}}
}


def add_security(app: FastAPI) -> None:
    """Say in the description how keys are shown."""
    described = app.openapi()
    described.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    described["security"] = [{"key": []}, {}]
