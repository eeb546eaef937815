"""Training through unsloth's kernels: another loader for the same weights.

Unsloth needs a GPU even to be imported, patches transformers when it is, and wants versions of its own (transformers
<= 5.17, datasets < 5 as of its release 2026.10): install it in an environment of its own. Everything but loading and
adapters (batches, Trainer, saving) is the same as without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AutoConfig

from rfm.errors import ConfigError, MissingExtraError
from rfm.model import tiny
from rfm.model.freeze import freeze_vision_tower, projector_names
from rfm.model.load import LoadedModel, load_tokenizer
from rfm.model.pixels import accept_uint8
from rfm.model.preprocessing import family_of, read_processor_files, read_spec

LONGEST = 32_768
"""Tokens of the longest sequence unsloth prepares for."""


@dataclass(frozen=True)
class UnslothOptions:
    """What the loader has to know; `rank` 0 is full fine-tuning."""

    rank: int
    alpha: int
    quantization: bool
    freeze_vision_tower: bool
    gradient_checkpointing: bool
    seed: int


def load_unsloth(
    name: str, options: UnslothOptions, *, dtype: torch.dtype, trust_remote_code: bool = False
) -> LoadedModel:
    """Load and adapt a model with unsloth; raises where it is not installed, has no GPU, or can't take the model."""
    fast = _fast_vision_model(name)
    config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    family = family_of(config)
    model, _ = fast.from_pretrained(
        name,
        dtype=dtype,
        max_seq_length=LONGEST,
        load_in_4bit=options.quantization,
        full_finetuning=options.rank == 0,
        use_gradient_checkpointing="unsloth" if options.gradient_checkpointing else False,
        trust_remote_code=trust_remote_code,
    )
    spec = read_spec(name, config)
    accept_uint8(model, spec)
    tokenizer = load_tokenizer(name, trust_remote_code)
    model = fast.for_training(_adapted(fast, model, options))
    return LoadedModel(model, tokenizer, spec, name, None, read_processor_files(name, family))


def _adapted(fast: Any, model: Any, options: UnslothOptions) -> Any:
    if options.rank == 0:
        if options.freeze_vision_tower:
            freeze_vision_tower(model)
        return model
    return fast.get_peft_model(
        model,
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=0,
        bias="none",
        finetune_vision_layers=not options.freeze_vision_tower,
        finetune_language_layers=True,
        finetune_attention_modules=True,
        finetune_mlp_modules=True,
        modules_to_save=projector_names(model),
        random_state=options.seed,
    )


def _fast_vision_model(name: str) -> Any:
    if find_spec("unsloth") is None:
        raise MissingExtraError(
            "unsloth requested but not installed: pip install unsloth (in an environment with a GPU), "
            "or remove --use_unsloth"
        )
    if not torch.cuda.is_available():
        raise ConfigError("`use_unsloth` must run on a GPU, but torch finds none here; remove --use_unsloth")
    if name in tiny.PRESETS:
        raise ConfigError(
            f"`use_unsloth` must not be given with the model `{name}`, which is drawn and not loaded; "
            "remove --use_unsloth"
        )
    from unsloth import FastVisionModel

    return FastVisionModel
