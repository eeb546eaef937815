"""Uint8 patches straight into the model: normalised where the model's own device is.

Batches carry patches as uint8 (a quarter of the bytes through loader queues and over the bus). The inner model's
`get_image_features` and `get_video_features` are wrapped to turn them into the normalised floats of the stock
processors; floats pass through untouched. These two are where every path meets: `generate` encodes videos through
them before the first forward pass, so that a hook on `forward` would feed it raw bytes, and adapters call the outer
`forward` past its hooks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from rfm.batch.pictures.patches import VisionSpec, normalise

ENCODERS = ("get_image_features", "get_video_features")


def accept_uint8(model: Any, spec: VisionSpec) -> None:
    """Let a stock conditional-generation model (not wrapped by adapters yet) take uint8 patches."""
    for name in ENCODERS:
        setattr(model.model, name, _normalising(getattr(model.model, name), spec))


def _normalising(encode: Callable[..., Any], spec: VisionSpec) -> Callable[..., Any]:
    def to_float(value: Any) -> Any:
        return normalise(value, spec) if isinstance(value, torch.Tensor) and value.dtype == torch.uint8 else value

    @wraps(encode)
    def encode_uint8(*args: Any, **kwargs: Any) -> Any:
        return encode(*map(to_float, args), **{name: to_float(value) for name, value in kwargs.items()})

    return encode_uint8
