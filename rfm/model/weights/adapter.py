"""A saved LoRA adapter put on its base model, whole or not at all.

PEFT warns of tensors that a file lacks and leaves them as drawn, which for an adapter means: partly untrained.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch

from rfm.model.stock.files import ADAPTER_FILE, usable
from rfm.model.weights.tensors import ADAPTER_WEIGHTS, adapter_tensors, check_names, check_shapes

logger = logging.getLogger(__name__)


def load_adapter(base: Any, folder: Path, *, trainable: bool = False) -> Any:
    """Return `base` with the adapter of a folder; raises `DataError` where its tensors are not those of its config."""
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict  # slow to import, and only adapters need it

    tensors, what = adapter_tensors(folder), f"the adapter in {folder}"
    with warnings.catch_warnings(), usable(what):
        warnings.filterwarnings("ignore", "The PEFT config's `base_model_name_or_path`")  # ours is checked, see `base`
        config = PeftConfig.from_pretrained(str(folder))
        config.inference_mode = not trainable
        model = get_peft_model(base, config, autocast_adapter_dtype=False)
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    place = str(folder / ADAPTER_WEIGHTS)
    check_names(place, set(expected) - set(tensors), set(tensors) - set(expected), [*expected])
    check_shapes(tensors, {name: tuple(value.shape) for name, value in expected.items()}, ADAPTER_FILE)
    with usable(what):
        model.load_adapter(str(folder), "default", is_trainable=trainable, autocast_adapter_dtype=False)
    _warn_if_untrained(get_peft_model_state_dict(model, save_embedding_layers=False), folder)
    return model


def _warn_if_untrained(state: dict[str, torch.Tensor], folder: Path) -> None:
    """Tell an adapter that changes nothing: every `lora_B` is zero, as they are drawn."""
    last = [tensor for name, tensor in state.items() if "lora_B" in name]
    if last and not any(bool(tensor.any()) for tensor in last):
        logger.warning(
            "the adapter in %s was not trained: every lora_B is zero, so its layers answer as those of the base model",
            folder,
        )
