"""A tiny model of random weights, saved as training saves one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rfm.batch.input_format import InputFormat
from rfm.model.load import load_model
from rfm.model.lora import add_lora
from rfm.model.weights.base import record_base
from rfm.vqa.provenance import save_hashes


def random_checkpoint(
    folder: Path,
    *,
    images: bool = False,
    trained_on: np.ndarray | None = None,
    seed: int = 1,
    preset: str = "tiny",
    **form: Any,
) -> Path:
    """Write a checkpoint that loads, and answers nonsense; `form` are more fields of its input format."""
    folder.mkdir(parents=True, exist_ok=True)
    loaded = load_model(preset, seed=seed)
    if trained_on is not None:
        save_hashes(folder, trained_on)
    loaded.save(folder, InputFormat(32, 32, use_multi_image=images, **form))
    return folder


def random_adapter(folder: Path, base: str | Path, *, whole_projector: bool = False) -> Path:
    """Write an adapter on `base` whose every layer changes something."""
    loaded = load_model(base)
    model = add_lora(loaded.model, rank=2, alpha=4, tower=True, whole_projector=whole_projector)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.5, generator=generator)
    folder.mkdir(parents=True)
    record_base(folder, str(base))
    replace(loaded, model=model).save(folder, loaded.form or InputFormat(32, 32))
    return folder
