"""The model as a run trains it: loaded or drawn, adapted or partly frozen, and the format of its inputs.

In: `TrainOptions`. Out: a `LoadedModel` whose trainable parameters are listed in the log, and an `InputFormat`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rfm.batch.input_format import InputFormat
from rfm.configs.compose import load_config
from rfm.errors import ConfigError
from rfm.model import tiny
from rfm.model.freeze import (
    check_trainable,
    freeze_vision_tower,
    log_parameter_groups,
    run_frozen_tower_without_graph,
)
from rfm.model.kernels.attention import use_packed_segments
from rfm.model.kernels.compilation import compile_layers
from rfm.model.load import LoadedModel, load_model
from rfm.model.lora import add_lora
from rfm.model.quantization import check_quantized, nf4
from rfm.model.stock.files import ADAPTER_FILE
from rfm.model.stock.preprocessing import load_form
from rfm.model.unsloth import UnslothOptions, load_unsloth
from rfm.model.weights.base import BASE_FOLDER
from rfm.model.weights.saving import written_whole
from rfm.training import processes
from rfm.training.checkpoints.belongings import Belongings
from rfm.training.checkpoints.folders import way_on
from rfm.training.options import TrainOptions

logger = logging.getLogger(__name__)

FROM_RANDOM = "--optim muon --learning_rate 1e-3"
"""What the demo trains its random model with."""

TINY_TEXTS = 2000
"""Prompts that a tiny tokenizer is trained on, at most."""


def load_trainable(options: TrainOptions, rows: Any, resume: Path | None) -> LoadedModel:
    """Load the model with its adapters and frozen parts as the options ask."""
    unsloth = options.use_unsloth
    loaded = _load_unsloth(options) if unsloth else prepare_trainable(_load(options, rows, resume), options)
    check_trainable(loaded.model, frozen_tower=options.freeze_vision_tower)
    log_parameter_groups(loaded.model)
    return loaded


def prepare_trainable(loaded: LoadedModel, options: TrainOptions) -> LoadedModel:
    """Adapt or freeze a loaded model as the options ask, and set up how its steps are computed."""
    loaded = replace(loaded, model=_adapt(loaded.model, options))
    _speed_up(loaded.model, options)
    return loaded


def _load_unsloth(options: TrainOptions) -> LoadedModel:
    unsloth = UnslothOptions(
        rank=options.rank,
        alpha=options.lora_alpha,
        quantization=options.quantization,
        freeze_vision_tower=options.freeze_vision_tower,
        gradient_checkpointing=options.gradient_checkpointing,
        seed=options.seed,
    )
    dtype = weights_dtype(options)
    return load_unsloth(options.model_name, unsloth, dtype=dtype, trust_remote_code=options.trust_remote_code)


def _load(options: TrainOptions, rows: Any, resume: Path | None) -> LoadedModel:
    dtype = weights_dtype(options)
    if options.model_name in tiny.PRESETS:
        return _load_tiny(options, rows, resume)
    if (Path(options.model_name) / ADAPTER_FILE).is_file():
        raise ConfigError(
            f"`model_name` must be a full model, but {options.model_name} is an adapter; go on with its run by"
            " --resume_from_checkpoint, or name its base model"
        )
    quantization = nf4(options.model_name, dtype) if options.quantization else None
    return load_model(
        options.model_name, dtype=dtype, quantization=quantization, trust_remote_code=options.trust_remote_code
    )


def _load_tiny(options: TrainOptions, rows: Any, resume: Path | None) -> LoadedModel:
    """Draw a tiny model, or take that of the run that is gone on with; an adapter's base is saved beside it.

    Nobody could draw the base again later: its tokenizer was trained on the rows of this run.
    """
    dtype = weights_dtype(options)
    quantization = nf4(options.model_name, dtype) if options.quantization else None
    base = Path(options.output_dir) / BASE_FOLDER
    if resume is not None:
        return load_model(base if options.rank else resume, dtype=dtype, quantization=quantization)
    _warn_of_random_weights(options)
    texts = list(dict.fromkeys(rows["prompt"]))[:TINY_TEXTS]
    loaded = load_model(options.model_name, seed=options.seed, texts=texts)
    if options.rank == 0:
        for parameter in loaded.model.parameters():  # and not buffers: rotary frequencies stay float32
            parameter.data = parameter.data.to(dtype)
        return loaded
    with processes.first_goes_first() as first:
        if first:
            _save_base(loaded, base, options)
    return load_model(base, dtype=dtype, quantization=quantization)


def _save_base(loaded: LoadedModel, base: Path, options: TrainOptions) -> None:
    own = Belongings(base.parent)
    with written_whole(base, lambda: f"then {way_on(base.parent)}"):
        own.delete([base])
        own.claim(base)
        loaded.save(base, input_format(options))
        own.disown([base])


def _warn_of_random_weights(options: TrainOptions) -> None:
    """Say what flags meant for released weights do to random ones."""
    if options.rank or options.freeze_vision_tower:
        frozen = "everything but the adapters" if options.rank else "the vision tower"
        logger.warning(
            "`model_name` %s starts from random weights, and %s stays as random as it is: answers will hardly be "
            "better than chance; train it in full (drop --lora_rank, --freeze_vision_tower and --quantization) with %s",
            options.model_name, frozen, FROM_RANDOM,
        )  # fmt: skip
    elif options.learning_rate == TrainOptions.learning_rate and options.optim != "muon":
        logger.warning(
            "`model_name` %s starts from random weights, which hardly move at the default --learning_rate %g, meant "
            "for released ones; take %s", options.model_name, options.learning_rate, FROM_RANDOM,
        )  # fmt: skip


def _adapt(model: Any, options: TrainOptions) -> Any:
    if options.quantization:
        check_quantized(model)
    if options.rank:
        return add_lora(
            model, rank=options.rank, alpha=options.lora_alpha, tower=not options.freeze_vision_tower,
            whole_projector=options.whole_projector,
        )  # fmt: skip
    if options.freeze_vision_tower:
        freeze_vision_tower(model)
    return model


def _speed_up(model: Any, options: TrainOptions) -> None:
    """Set up what changes how a step is computed and not what it computes."""
    if run_frozen_tower_without_graph(model):
        logger.info("the vision tower runs without a graph: nothing in it trains")
    if options.packing:
        use_packed_segments(model)
    if options.torch_compile:
        logger.info("%d layers are compiled during the first steps", compile_layers(model))


def input_format(options: TrainOptions) -> InputFormat:
    """Return frame size, filter and mode.

    Where neither size nor budget was asked for, a checkpoint of ours keeps its own and its filter, and `tiny` takes
    32 x 32.
    """
    data = load_config(options.config_name, options.config_overrides).data
    form = InputFormat(
        data.resized_height,
        data.resized_width,
        data.resize_filter,
        options.use_multi_image,
        min_pixels=data.min_pixels,
        max_pixels=data.max_pixels,
    )
    if any(size is not None for size in (form.resized_height, form.min_pixels, form.max_pixels)):
        return form
    if options.model_name in tiny.PRESETS:
        return replace(form, resized_height=tiny.FRAME_SIZE, resized_width=tiny.FRAME_SIZE)
    own = load_form(options.model_name)
    if own is None:
        return form
    filter_given = any(override.startswith("data.resize_filter=") for override in options.config_overrides)
    kept = replace(own, use_multi_image=options.use_multi_image)
    return replace(kept, resize_filter=form.resize_filter) if filter_given else kept


def weights_dtype(options: TrainOptions) -> torch.dtype:
    """Return the dtype of the weights: bfloat16 where bfloat16 arithmetic runs on a GPU, unless one was asked for.

    Muon has no masters for bfloat16 weights (`AdamW` here has): its weights are float32. So are weights that
    FSDP shares out: each process keeps its share as a master and computes in bfloat16 copies.
    """
    on_gpu = torch.cuda.is_available()
    wanted = options.model_dtype
    if wanted == "auto":
        masters = options.optim == "muon" or processes.shares_weights(options)
        wanted = "bfloat16" if on_gpu and options.bf16 is not False and not masters else "float32"
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32
