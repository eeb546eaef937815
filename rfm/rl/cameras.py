"""Where the wrappers get pictures from: the environment's renderer, a part of its observation, or a function of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rfm.errors import ConfigError, DataError

Camera = str | Callable[[Any], Any] | None
"""A key of the observation, a function of one environment's observation, or None for `render()`."""


def checked_renderer(env: Any, camera: Camera) -> None:
    """Raise ConfigError where frames are to be rendered, but the environment draws none."""
    mode = getattr(env, "render_mode", None)
    if camera is None and mode != "rgb_array":
        raise ConfigError(
            f"`render_mode` must be rgb_array where frames are rendered, but is {mode}: make the environment with "
            'render_mode="rgb_array", or name the part of its observation that is a picture by `camera`'
        )


def observed(camera: Camera, observation: Any) -> UInt8[np.ndarray, "h w 3"]:
    """Return the picture in one environment's observation."""
    if callable(camera):
        return as_picture(camera(observation), "what `camera` returns")
    if not isinstance(observation, dict) or camera not in observation:
        there = ", ".join(map(str, observation)) if isinstance(observation, dict) else "no parts"
        raise ConfigError(f"`camera` must name a part of the observation, but is {camera!r}; it has {there}")
    return as_picture(observation[camera], f"the observation's {camera!r}")


def as_picture(frame: Any, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Return a frame as it is, once it is known to be a colour picture; a copy, since environments reuse theirs."""
    picture = np.asarray(frame)
    if picture.ndim != 3 or picture.shape[-1] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise DataError(
            f"{name} must be a picture, uint8 of shape (h, w, 3) in RGB, but is {picture.dtype} {picture.shape}"
        )
    return picture.copy()
