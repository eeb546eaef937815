"""4-bit weights (NF4) through bitsandbytes for the language model; vision tower and output head stay as they are.

Source: QLoRA (arXiv:2305.14314), section 3: NF4 with double quantization. The skip list must say `model.visual`: plain
`visual` is ignored without a word. On a CPU every inner size must be a multiple of 64.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from rfm.errors import ConfigError, MissingExtraError

SKIPPED = ["model.visual", "lm_head"]
FILE = "quantization.json"
"""Beside an adapter's weights: that it was trained on 4-bit weights, which `adapter_config.json` does not say."""


def nf4(model_name: str, dtype: torch.dtype) -> Any:
    """Return the transformers configuration that loads a model in 4 bits and computes in `dtype`."""
    if model_name == "tiny":
        raise ConfigError(
            "`quantization` must not be given with the model `tiny`, whose sizes are no multiples of 64; take "
            "--model_name tiny-64 or drop --quantization"
        )
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError(
            "`quantization` needs bitsandbytes, which is not installed; "
            "pip install 'rfm-vqa[quantization]' or drop --quantization"
        )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=SKIPPED,
    )


def is_quantized(model: Any) -> bool:
    """Tell whether a model, or the base of an adapter, has 4-bit weights."""
    return any(type(module).__name__ == "Linear4bit" for module in model.modules())


def mark_quantized(folder: Path) -> None:
    """Note in an adapter's folder that it belongs to 4-bit weights."""
    (folder / FILE).write_text(json.dumps({"base_weights": "nf4"}) + "\n", encoding="utf-8")


def trained_quantized(folder: Path) -> bool:
    """Tell whether an adapter belongs to 4-bit weights."""
    return (folder / FILE).is_file()


def check_quantized(model: Any) -> None:
    """Raise `ConfigError` unless language layers became 4-bit and the tower did not."""
    four_bit = [name for name, module in model.named_modules() if type(module).__name__ == "Linear4bit"]
    if not any(".language_model." in name for name in four_bit) or any(".visual." in name for name in four_bit):
        raise ConfigError(
            f"`quantization` must turn the language model and not the tower into 4 bits, but {len(four_bit)} layers "
            f"are 4-bit: {', '.join(four_bit[:3]) or 'none'}"
        )
