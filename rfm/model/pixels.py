"""Uint8 patches straight into the model: normalised where the model's own device is.

Batches carry patches as uint8 (a quarter of the bytes through loader queues and over the bus). A hook in front of the inner
model turns them into the normalised floats of the stock processors; floats pass through untouched. It sits on the inner model
because adapters call the outer `forward` directly, past its hooks.
"""

from __future__ import annotations

from typing import Any

import torch

from rfm.batch.patches import VisionSpec, normalise

PIXELS = ("pixel_values", "pixel_values_videos")


def accept_uint8(model: Any, spec: VisionSpec) -> None:
    """Let a stock conditional-generation model (not wrapped by adapters yet) take uint8 patches."""

    def to_float(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for name in PIXELS:
            value = kwargs.get(name)
            if isinstance(value, torch.Tensor) and value.dtype == torch.uint8:
                kwargs[name] = normalise(value, spec)
        return args, kwargs

    model.model.register_forward_pre_hook(to_float, with_kwargs=True)
