"""Which device a model answers on."""

from __future__ import annotations

import logging

import torch

from rfm.errors import ConfigError

logger = logging.getLogger(__name__)


def resolve_device(device: str) -> torch.device:
    """Return the device asked for; a GPU that is not there becomes the CPU, and the log says so."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        logger.warning("`device` is %s, but torch finds no CUDA GPU here: answering on the CPU", device)
        return torch.device("cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"`device` must be cuda, cuda:N or cpu, but is {device!r}") from error
