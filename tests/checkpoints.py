"""A tiny model of random weights, saved as training saves one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rfm.batch.input_format import InputFormat
from rfm.model.load import load_model
from rfm.vqa.provenance import save_hashes


def random_checkpoint(folder: Path, *, images: bool = False, trained_on: np.ndarray | None = None, **form: Any) -> Path:
    """Write a checkpoint that loads, and answers nonsense; `form` are more fields of its input format."""
    folder.mkdir(parents=True, exist_ok=True)
    loaded = load_model("tiny", seed=1)
    if trained_on is not None:
        save_hashes(folder, trained_on)
    loaded.save(folder, InputFormat(32, 32, use_multi_image=images, **form))
    return folder
