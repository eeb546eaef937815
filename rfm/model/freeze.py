"""Which parameters train: freezing the vision tower, and a table of what is left.

The projector (the merger and, in Qwen3-VL, the DeepStack mergers) lives inside `model.visual` but belongs to what is
trained when the tower is frozen: it translates the tower's features for the language model.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import MethodType
from typing import Any, NamedTuple

import torch

from rfm.errors import ConfigError

logger = logging.getLogger(__name__)

PROJECTORS = ("merger", "deepstack_merger_list")
GROUPS = ("vision tower", "projector", "language model", "adapter")


class ParameterGroup(NamedTuple):
    """How many parameters of one part of a model train."""

    name: str
    trainable: int
    total: int


def inner_model(model: Any) -> Any:
    """Return the module with `visual` and `language_model`, inside adapters or not."""
    stock = model.get_base_model() if hasattr(model, "get_base_model") else model
    return stock.model


def projector_names(model: Any) -> list[str]:
    """Return the projector's modules by their names in the stock model."""
    visual = inner_model(model).visual
    mergers = range(len(getattr(visual, "deepstack_merger_list", ())))
    return ["model.visual.merger", *(f"model.visual.deepstack_merger_list.{index}" for index in mergers)]


def freeze_vision_tower(model: Any) -> None:
    """Freeze the tower of a stock model and keep its projector trainable."""
    visual = inner_model(model).visual
    visual.requires_grad_(False)
    for name in PROJECTORS:
        if hasattr(visual, name):
            getattr(visual, name).requires_grad_(True)


def run_frozen_tower_without_graph(model: Any) -> bool:
    """Run the tower's blocks under `no_grad` where nothing in them trains; returns whether that is so.

    Nothing needs their graph, but one hook that makes embedded inputs require gradients (the usual cure for
    checkpointing with adapters) would build it, keep the tower's activations and go back through all of it.
    """
    blocks = inner_model(model).visual.blocks
    if any(parameter.requires_grad for parameter in blocks.parameters()):
        return False
    for block in blocks:
        block.forward = MethodType(_without_graph, block)
    return True


def _without_graph(block: Any, *args: Any, **options: Any) -> Any:
    with torch.no_grad():
        return type(block).forward(block, *args, **options)


def parameter_groups(model: Any) -> list[ParameterGroup]:
    """Count trainable and all parameters by part; 4-bit weights count as stored."""
    counts = {name: [0, 0] for name in GROUPS}
    for name, parameter in model.named_parameters():
        count = counts[_group(name)]
        count[0] += parameter.numel() if parameter.requires_grad else 0
        count[1] += parameter.numel()
    return [ParameterGroup(name, *count) for name, count in counts.items() if count[1]]


def log_parameter_groups(model: Any) -> None:
    """Write the table of trainable parameters to the log."""
    for group in parameter_groups(model):
        logger.info("%-14s %13d of %13d parameters train", group.name, group.trainable, group.total)


def check_trainable(model: Any, *, frozen_tower: bool) -> None:
    """Raise `ConfigError` where nothing trains, or a tower that should be frozen does."""
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trainable:
        raise ConfigError("Some parameters must be trainable, but none is; check `lora_rank` and `freeze_vision_tower`")
    if frozen_tower and (left := list(_tower(trainable))):
        raise ConfigError(
            f"`freeze_vision_tower` must leave nothing to train in the tower, but {left[0]} and others are"
        )


def _tower(names: list[str]) -> Iterator[str]:
    return (name for name in names if ".visual." in name and not any(part in name for part in PROJECTORS))


def _group(name: str) -> str:
    if "lora_" in name:
        return "adapter"
    if ".visual." not in name:
        return "language model"
    return "projector" if any(part in name for part in PROJECTORS) else "vision tower"
