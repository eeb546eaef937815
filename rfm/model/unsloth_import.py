"""Importing unsloth: it must come before transformers and peft, which it patches, and only works on a GPU.

Imports nothing of these itself, so that the command line can call it first.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch

from rfm.errors import ConfigError, MissingExtraError


def check_unsloth() -> None:
    """Raise where unsloth is not installed or has no GPU."""
    if find_spec("unsloth") is None:
        raise MissingExtraError(
            "unsloth requested but not installed: pip install unsloth (in an environment with a GPU), "
            "or remove --use_unsloth"
        )
    if not torch.cuda.is_available():
        raise ConfigError("`use_unsloth` must run on a GPU, but torch finds none here; remove --use_unsloth")


def import_unsloth() -> Any:
    """Return unsloth's `FastVisionModel`; raises where it is not installed or has no GPU."""
    check_unsloth()
    from unsloth import FastVisionModel

    return FastVisionModel
