"""Going on with a run: what must be as it began, and what may change but is worth a warning.

In: the options now, and the checkpoint with those it was written with. Weights and moments of another strategy don't
fit, and what lies in the optimizer's state (learning rate, decay) is taken from the checkpoint: a new value would have
no effect. With frames of another size the checkpoint would be trained on two and claim one. Schedules, strategies of
saving and evaluating, and the number of steps may change freely.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rfm.batch.as_trained import differences, warning
from rfm.batch.input_format import OF_FRAMES, InputFormat
from rfm.batch.pictures.augmentation import SETTINGS, Augmentation
from rfm.configs.compose import load_config
from rfm.errors import ConfigError
from rfm.export.training_record import read_record
from rfm.training.dataset import TrainingSet
from rfm.training.options import TrainOptions

logger = logging.getLogger(__name__)

FIXED = (
    "model_dtype", "quantization", "freeze_vision_tower", "lora_rank", "lora_alpha", "lora_projector", "use_unsloth",
    "use_multi_image", "optim", "learning_rate", "muon_learning_rate", "weight_decay", "adam_beta1", "adam_beta2",
)  # fmt: skip
OF_ROWS = ("model_name", "seed", "packing", "max_tokens", "blank_share")
"""What decides which rows come next, or what they are; a model may have moved."""


def settled(options: TrainOptions, dtype: torch.dtype) -> dict[str, Any]:
    """Return the options of a run as checkpoints keep them: with what was left to the run."""
    return dataclasses.asdict(options) | {
        "lora_rank": options.rank,
        "lora_projector": "full" if options.whole_projector else "lora",
        "model_dtype": str(dtype).removeprefix("torch."),
    }


def check_continuation(
    checkpoint: Path, options: TrainOptions, dtype: torch.dtype, data: TrainingSet, form: InputFormat
) -> None:
    """Compare with what a checkpoint was written with; one that doesn't say is taken as it is.

    Raises:
        ConfigError: an option that can't change is another one.

    """
    before, now = read_record(checkpoint), settled(options, dtype)
    if before.options.get("lora_rank"):
        before.options.setdefault("lora_projector", "full")  # of older versions
    fixed = {name: (before.options[name], now[name]) for name in FIXED if name in before.options} | {
        f"data.{name}": values for name, values in _of_inputs(checkpoint, before.options, form, options).items()
    }
    changed = {name: values for name, values in fixed.items() if values[0] != values[1]}
    if changed:
        raise ConfigError("\n".join(_fault(name, *values, checkpoint) for name, values in changed.items()))
    for name in OF_ROWS:
        was = before.options.get(name, now[name])
        if was != now[name]:
            logger.warning("`%s` is %s, but was %s when %s was written", name, now[name], was, checkpoint)
    rows = [_rows_a_step(each) for each in (before.options, now) if "packing" in each and not each["packing"]]
    if len(set(rows)) == 2:
        logger.warning(
            "a step has %d rows a process, but had %d when %s was written: rows of this epoch come twice or not at all",
            rows[1], rows[0], checkpoint,
        )  # fmt: skip
    held = {"content_hash": data.generation.get("content_hash"), "rows": len(data.rows)}
    if any(name in before.data and before.data[name] != value for name, value in held.items()):
        logger.warning("`dataset_path` %s has other rows than %s was trained on", options.dataset_path, checkpoint)
    own = InputFormat.load(checkpoint)
    if own is not None and (found := list(differences(own, data.shown))):
        logger.warning("`dataset_path` %s: %s", options.dataset_path, warning(found))


def _of_inputs(
    checkpoint: Path, before: Mapping[str, Any], form: InputFormat, options: TrainOptions
) -> dict[str, tuple[Any, Any]]:
    """Return how frames were shown and how they are now, by key of the configuration."""
    found: dict[str, tuple[Any, Any]] = {}
    own = InputFormat.load(checkpoint)
    if own is not None:
        found |= {name: (getattr(own, name), getattr(form, name)) for name in OF_FRAMES if name != "use_multi_image"}
    if "config_name" in before:
        was, now = _augmentation(before), _augmentation(dataclasses.asdict(options))
        found |= {name: (getattr(was, name), getattr(now, name)) for name in SETTINGS}
    return found


def _augmentation(options: Mapping[str, Any]) -> Augmentation:
    return Augmentation.of(load_config(options["config_name"], options["config_overrides"]).data)


def judged_alike(checkpoint: Path, options: TrainOptions) -> bool:
    """Tell whether evaluations before were of the same dataset, so that they compare; warns if not."""
    name = "eval_dataset_path"
    was, now = read_record(checkpoint).options.get(name, options.eval_dataset_path), options.eval_dataset_path
    alike = was == now or (was is not None and now is not None and Path(was).resolve() == Path(now).resolve())
    if not alike and options.metric_for_best_model is not None:
        logger.warning(
            "`%s` is %s, but was %s before %s: the best checkpoint is looked for anew", name, now, was, checkpoint
        )
    return alike


def _rows_a_step(options: Mapping[str, Any]) -> int:
    return int(options["per_device_train_batch_size"] * options["gradient_accumulation_steps"])


def _fault(name: str, before: Any, now: Any, checkpoint: Path) -> str:
    before, now = ("null" if value is None else value for value in (before, now))
    return (
        f"`{name}` must be {before} to go on with {checkpoint}, which was written with that, but is {now}; pass it as "
        "it was, or start a new run without --resume_from_checkpoint"
    )
