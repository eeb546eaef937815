"""A model's outline: its true architecture on the meta device, adapted and frozen as a run asks, without a weight.

In: `TrainOptions`. Out: a model to count and measure on. Needs no more than `config.json`, from a folder or the hub, so
a model of any size is ready in seconds on any machine.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForImageTextToText

from rfm.model import tiny
from rfm.model.freeze import freeze_vision_tower
from rfm.model.load import load_model
from rfm.model.lora import add_lora
from rfm.model.stock.files import model_config
from rfm.training.budget.memory import BatchSize, Memory, estimate
from rfm.training.options import TrainOptions
from rfm.training.trainable import weights_dtype


def outline(options: TrainOptions, config: Any = None) -> Any:
    """Return the model of a run on the meta device; `config` is that of its model where it is known already."""
    dtype = weights_dtype(options)
    if config is None:
        config = preset_config(options) if options.model_name in tiny.PRESETS else model_config(options.model_name)
    config = type(config).from_dict(config.to_dict())  # without the attention that a loaded model runs with
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    if options.rank:
        return add_lora(
            model, rank=options.rank, alpha=options.lora_alpha, tower=not options.freeze_vision_tower,
            whole_projector=options.whole_projector,
        )  # fmt: skip
    if options.freeze_vision_tower:
        freeze_vision_tower(model)
    return model


def preset_config(options: TrainOptions) -> Any:
    """Return the configuration of a drawn model; its vocabulary is that of no texts, nearly the run's."""
    return load_model(options.model_name).model.config


def estimate_run(options: TrainOptions, size: BatchSize, config: Any = None) -> Memory:
    """Return the memory that a step of a run takes on one GPU."""
    return estimate(
        outline(options, config),
        size,
        optim=options.optim,
        checkpointing=options.gradient_checkpointing,
        dtype=weights_dtype(options),
        four_bit=options.quantization,
    )
