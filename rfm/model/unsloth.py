"""Training through unsloth's kernels: another loader for the same weights.

Unsloth needs a GPU even to be imported, patches transformers when it is, and wants versions of its own (transformers
<= 5.17, datasets < 5 as of its release 2026.10): install it in an environment of its own. Everything but loading and
adapters (batches, Trainer, saving) is the same as without it.

Written against release 2026.10.9: `FastVisionModel.from_pretrained`, `get_peft_model`, `for_training`. Its own default
of checkpointing is given at both of the first two, since the second would switch it on again; 16-bit LoRA is asked for
by name. It loads `unsloth/…-bnb-4bit` in place of a hub model where it has one in 4 bits; `use_exact_model_name` keeps
the model that was named, so that the adapter's base is the one in the options. What has been imported before it
(transformers, peft) is patched less thoroughly, and it says so: `rfm train` imports it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rfm.errors import ConfigError
from rfm.files import seal
from rfm.model import tiny
from rfm.model.freeze import freeze_vision_tower, projector_names
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.load import LoadedModel, check_files
from rfm.model.stock.files import load_tokenizer, model_config
from rfm.model.stock.hub_names import pinned, place_of
from rfm.model.stock.preprocessing import family_of, read_processor_files, read_spec
from rfm.model.unsloth_import import check_unsloth, import_unsloth
from rfm.model.weights.fingerprint import is_weights
from rfm.model.weights.tensors import check_values, files_of

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
    check_unsloth()
    if name in tiny.PRESETS:
        raise ConfigError(
            f"`use_unsloth` must not be given with the model `{name}`, which is drawn and not loaded; "
            "remove --use_unsloth"
        )
    fast = import_unsloth()
    place = place_of(name)
    plain, revision = pinned(place)
    config = model_config(place, trust_remote_code)
    family = family_of(config)
    if Path(place).is_dir():
        check_files(Path(place))
        files_of(Path(place))
        seal.check(Path(place), is_weights)
    model, _ = fast.from_pretrained(
        plain,
        **revision,
        dtype=dtype,
        max_seq_length=LONGEST,
        load_in_4bit=options.quantization,
        load_in_16bit=options.rank > 0 and not options.quantization,
        full_finetuning=options.rank == 0,
        use_gradient_checkpointing="unsloth" if options.gradient_checkpointing else False,
        trust_remote_code=trust_remote_code,
        use_exact_model_name=True,
        random_state=options.seed,
    )
    check_values(model.named_parameters(), place)
    spec = read_spec(place, config)
    accept_uint8(model, spec)
    tokenizer = load_tokenizer(place, trust_remote_code)
    model = fast.for_training(_adapted(fast, model, options))
    return LoadedModel(model, tokenizer, spec, place, None, read_processor_files(place, family))


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
        use_gradient_checkpointing="unsloth" if options.gradient_checkpointing else False,
        random_state=options.seed,
    )
