"""Which device a model answers on; torch is imported when that is asked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rfm.errors import ConfigError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

AUTO = "auto"
_GPUS = {"cuda": "CUDA GPU", "mps": "Apple GPU"}
"""Kinds of devices that a machine may lack, the preferred one first."""


def resolve_device(device: str) -> torch.device:
    """Return the device asked for; a GPU that is not there becomes the CPU, and the log says so.

    `auto` is a CUDA GPU, else Apple's (mps), else the CPU.
    """
    import torch

    if device == AUTO:
        return torch.device(next((kind for kind in _GPUS if _is_there(kind)), "cpu"))
    kind = device.partition(":")[0]
    if kind in _GPUS and not _is_there(kind):
        logger.warning("`device` is %s, but torch finds no %s here: answering on the CPU", device, _GPUS[kind])
        return torch.device("cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"`device` must be auto, cuda, cuda:N, mps or cpu, but is {device!r}") from error


def _is_there(kind: str) -> bool:
    import torch

    return torch.cuda.is_available() if kind == "cuda" else torch.backends.mps.is_available()
