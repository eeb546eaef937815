"""The stock TrainingArguments of a run: options under the same name, and what is left to the run decided and logged."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import torch
from transformers import TrainingArguments

from rfm.batch.room import has_shared_room
from rfm.errors import ConfigError
from rfm.training import processes
from rfm.training.options import TrainOptions
from rfm.training.trainable import weights_dtype

logger = logging.getLogger(__name__)

ROOMY = 2**28
"""Bytes of shared memory that a loader's queue stays below."""

SAME_NAME = (
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "num_train_epochs",
    "max_steps", "learning_rate", "lr_scheduler_type", "max_grad_norm", "weight_decay", "adam_beta1", "adam_beta2",
    "dataloader_num_workers", "save_strategy", "save_steps", "logging_steps", "eval_steps",
)  # fmt: skip


def training_arguments(options: TrainOptions, *, evaluates: bool) -> Any:
    """Return the stock TrainingArguments; what was left to the run is decided and logged here."""
    on_gpu = torch.cuda.is_available()
    bf16 = on_gpu if options.bf16 is None else options.bf16
    if options.bf16 is None:
        logger.info("arithmetic: %s", "bfloat16 on the GPU" if bf16 else "float32, there is no GPU")
    eval_strategy = options.eval_strategy if evaluates else "no"
    workers = options.dataloader_num_workers
    arguments = TrainingArguments(
        output_dir=options.output_dir,
        run_name=options.run_name,
        report_to=options.report_to,
        seed=options.seed,
        use_cpu=not on_gpu,
        bf16=bf16 and _needs_autocast(options),
        **{name: getattr(options, name) for name in SAME_NAME},
        warmup_steps=options.warmup_ratio if options.warmup_steps is None else options.warmup_steps,
        eval_strategy=eval_strategy,
        **_checkpointing(options.gradient_checkpointing),
        dataloader_persistent_workers=workers > 0,
        # through a pipe, a thread that pins would wait for the rest of a killed worker's batch
        dataloader_pin_memory=on_gpu and has_shared_room(ROOMY),
        remove_unused_columns=False,
        prediction_loss_only=False,
        **_best(options),
        **_sharing(options),
        label_names=["labels"],
        logging_nan_inf_filter=False,
        **_hub(options),
    )
    # set afterwards: stock arguments allow it only where no evaluation falls between checkpoints
    arguments.load_best_model_at_end = options.load_best_model_at_end
    return arguments


def _sharing(options: TrainOptions) -> dict[str, Any]:
    """Return how processes share the model: copies, of which every parameter gets a gradient, or shards.

    FSDP wraps the classes that the model itself names as not to be split: each decoder layer and each vision block.
    """
    if processes.shares_weights(options):
        _check_shards(options)
    if not options.fsdp:
        return {"ddp_find_unused_parameters": False}
    if processes.count() == 1:
        raise ConfigError(
            "`fsdp` must have processes to share the model between, but there is one; start with `torchrun "
            "--nproc_per_node N -m rfm train` or `accelerate launch`, or drop --fsdp"
        )
    return {"fsdp": True, "fsdp_config": {"version": 2, "state_dict_type": "FULL_STATE_DICT"}}


def _check_shards(options: TrainOptions) -> None:
    if options.optim != "adamw":
        raise ConfigError(f"`optim` must be adamw with `fsdp`, but is {options.optim}, which needs whole matrices")
    if options.quantization:
        raise ConfigError("`quantization` must not be given with `fsdp`: 4-bit weights are not shared out; drop one")


def _best(options: TrainOptions) -> dict[str, Any]:
    metric = options.metric_for_best_model
    if metric is None:
        return {}
    return {
        "metric_for_best_model": f"eval_{metric}",
        "greater_is_better": metric.endswith("accuracy"),
    }


def _needs_autocast(options: TrainOptions) -> bool:
    """Tell whether bfloat16 arithmetic takes autocast: bfloat16 weights compute in bfloat16 by themselves.

    Autocast over them would only add conversions, such as layer norms in float32. Unsloth expects it.
    """
    return options.use_unsloth or weights_dtype(options) is torch.float32


def _hub(options: TrainOptions) -> dict[str, Any]:
    """Let the Trainer upload checkpoints where that was asked for; the final model is uploaded when it is complete."""
    if not options.push_to_hub or options.hub_strategy == "end":
        return {}
    return {
        "push_to_hub": True,
        "hub_model_id": options.hub_model_id,
        "hub_private_repo": options.hub_private_repo or None,
        "hub_strategy": options.hub_strategy,
    }


def _checkpointing(wanted: bool) -> dict[str, Any]:
    """Return the arguments under the names that this transformers has for them: they changed between 5.17 and 5.23."""
    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    name = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    return {name: wanted, f"{name}_kwargs": {"use_reentrant": False} if wanted else None}
