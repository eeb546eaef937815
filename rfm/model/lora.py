"""LoRA adapters on the language model, on the projector, and on the vision tower unless it is frozen.

In: a stock model on which nothing is adapted yet. Out: a peft model. Names are matched against the modules that the
model really has: targets that match nothing are an error and never a silent no-op (`q_proj` alone matches nothing in
the tower).

The projector's own linear layers get adapters like all others. Trained whole instead (`modules_to_save`), it is 5% of a
4B model's weights in every adapter and in the optimizer, and vLLM refuses to load the adapter. Its norms stay as they
are. Source: LoRA (arXiv:2106.09685); all linear layers as in QLoRA (arXiv:2305.14314), section 4.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from rfm.errors import ConfigError
from rfm.model.freeze import inner_model, projector_names

LANGUAGE = r"model\.language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
PROJECTOR = r"model\.visual\.(merger|deepstack_merger_list\.\d+)\.(linear_fc[12]|mlp\.[02])"
TOWER = r"model\.visual\.blocks\.\d+\.(attn\.(qkv|proj)|mlp\.(linear_fc[12]|gate_proj|up_proj|down_proj))"


def add_lora(model: Any, *, rank: int, alpha: int, tower: bool, whole_projector: bool = False) -> Any:
    """Return the model with adapters of `rank` on the language model and, with `tower`, on the vision tower.

    The projector gets adapters too, or with `whole_projector` trains in full.
    """
    targets = target_modules(model, tower=tower, projector=not whole_projector)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules=targets,
        modules_to_save=projector_names(model) if whole_projector else None,
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
    use_one_dtype(adapted, model.dtype)
    adapted.load_adapter = partial(adapted.load_adapter, autocast_adapter_dtype=False)  # the Trainer's way to resume
    return adapted


def use_one_dtype(model: Any, dtype: torch.dtype) -> None:
    """Give adapters the dtype that the model computes in.

    Peft makes those of a 4-bit layer float32, and loading makes all of them so: without autocast, products with them
    would run at a fraction of the speed. Masters of bfloat16 adapters are with the optimizer.
    """
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(dtype)


def target_modules(model: Any, *, tower: bool, projector: bool = True) -> list[str]:
    """Return the full names of the layers to adapt; raises `ConfigError` where a block has none."""
    names = [name for name, _ in model.named_modules()]
    inner = inner_model(model)
    targets = _matches(names, LANGUAGE, "language_model.layers", len(inner.language_model.layers))
    if tower:
        targets += _matches(names, TOWER, "visual.blocks", len(inner.visual.blocks))
    return [*targets, *_projector_layers(model, names)] if projector else targets


def _projector_layers(model: Any, names: list[str]) -> list[str]:
    found = [name for name in names if re.fullmatch(PROJECTOR, name)]
    without = [part for part in projector_names(model) if not any(name.startswith(f"{part}.") for name in found)]
    if without:
        raise ConfigError(
            f"`lora_projector` must find linear layers to adapt in the projector, but {without[0]} has none that "
            f"matches {PROJECTOR}; pass --lora_projector full to train it whole"
        )
    return found


def _matches(names: list[str], pattern: str, part: str, blocks: int) -> list[str]:
    found = [name for name in names if re.fullmatch(pattern, name)]
    without = [index for index in range(blocks) if not any(f"model.{part}.{index}." in name for name in found)]
    if without:
        raise ConfigError(
            f"`lora_rank` must find layers to adapt in every block of `model.{part}`, but block {without[0]} of "
            f"{blocks} has none that matches {pattern}; pass --lora_rank 0 for full fine-tuning"
        )
    return found
