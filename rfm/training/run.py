"""Supervised fine-tuning on a generated dataset with the plain Hugging Face Trainer.

In: `TrainOptions`. Out: `OUTPUT_DIR/final`, beside `checkpoint-*` and TensorBoard logs under `runs/`; each of them
loads with stock classes and holds what prediction needs. No Trainer or model of our own: the collator puts the
answers at the end of every row, so that integer `logits_to_keep` and short labels give the stock loss on answer
tokens alone.

Trade-off: batches are padded, not packed; on a GPU with very unequal rows packing would be faster.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Trainer, TrainingArguments, set_seed

from rfm.batch.collator import VQACollator
from rfm.batch.colour_jitter import with_jitter_seeds
from rfm.batch.conversation import ConversationEncoder
from rfm.batch.frame_store import FrameStore
from rfm.batch.input_format import InputFormat
from rfm.configs.compose import load_config
from rfm.errors import ConfigError, DataError
from rfm.model import tiny
from rfm.model.freeze import check_trainable, freeze_vision_tower, log_parameter_groups
from rfm.model.load import ADAPTER_FILE, BASE_FOLDER, LoadedModel, load_model
from rfm.model.lora import add_lora
from rfm.model.quantization import check_quantized, nf4
from rfm.model.unsloth import UnslothOptions, load_unsloth
from rfm.training import output_dir
from rfm.training.callbacks import SaveProcessor, StopOnInvalidLoss
from rfm.training.dataset import TrainingSet, open_training_set
from rfm.training.optimizer import muon_with_adamw
from rfm.training.options import TrainOptions
from rfm.vqa.provenance import load_hashes

logger = logging.getLogger(__name__)

OPTIONS_FILE = "training_options.json"
TINY_TEXTS = 2000
"""Prompts that a tiny tokenizer is trained on, at most."""


def train(options: TrainOptions) -> Path:
    """Train and return the folder of the final model."""
    _check_devices()
    data = open_training_set(options.dataset_path, options.datasets_root)
    held_out = options.eval_dataset_path and open_training_set(options.eval_dataset_path, options.datasets_root)
    form = input_format(options)
    resume = output_dir.resume_point(options)
    folder = output_dir.prepare(options)
    set_seed(options.seed)
    loaded = load_trainable(options, data.rows, resume)
    saver = SaveProcessor(loaded, form, _trained_on(options, data))
    trainer = make_trainer(options, loaded, form, data, held_out or None, saver)
    logger.info("training on %d rows of %s, frames under %s", len(data.rows), options.dataset_path, data.root)
    _run(trainer, resume)
    return _save_final(trainer, saver, options, folder)


def make_trainer(
    options: TrainOptions,
    loaded: LoadedModel,
    form: InputFormat,
    data: TrainingSet,
    held_out: TrainingSet | None,
    saver: SaveProcessor,
) -> Any:
    """Return the stock Trainer for a loaded model; `held_out` must share the root of `data`."""
    if held_out is not None and held_out.root != data.root:
        raise ConfigError(
            f"`eval_dataset_path` must have its frames under {data.root} as `dataset_path` has, but has "
            f"{held_out.root}; pass --datasets_root with a folder that holds both"
        )
    encoder, frames = ConversationEncoder(loaded.tokenizer, loaded.spec), FrameStore(data.root, loaded.spec, form)
    jitter = load_config(options.config_name, options.config_overrides).data.colour_jitter
    collator = VQACollator(encoder, frames, blank_share=options.blank_share, colour_jitter=jitter)
    return Trainer(
        model=loaded.model,
        args=training_arguments(options, evaluates=held_out is not None),
        data_collator=collator,
        train_dataset=with_jitter_seeds(data.rows, options.seed) if jitter else data.rows,
        eval_dataset=None if held_out is None else held_out.rows,
        processing_class=loaded.tokenizer,
        callbacks=[saver, StopOnInvalidLoss()],
        optimizers=(_optimizer(options, loaded.model), None),
    )


def _trained_on(options: TrainOptions, data: TrainingSet) -> Any:
    """Return the hashes of this run's trajectories and of those that the model it starts from was trained on."""
    before = load_hashes(Path(options.model_name))
    return data.trajectories if before is None else np.union1d(before, data.trajectories)


def _optimizer(options: TrainOptions, model: Any) -> Any:
    """Return Muon where it was asked for; None leaves AdamW to the Trainer."""
    if options.optim == "adamw":
        return None
    return muon_with_adamw(
        model,
        learning_rate=options.learning_rate,
        muon_learning_rate=options.muon_learning_rate,
        betas=(options.adam_beta1, options.adam_beta2),
        weight_decay=options.weight_decay,
    )


def training_arguments(options: TrainOptions, *, evaluates: bool) -> Any:
    """Return the stock TrainingArguments; what was left to the run is decided and logged here."""
    on_gpu = torch.cuda.is_available()
    bf16 = on_gpu if options.bf16 is None else options.bf16
    if options.bf16 is None:
        logger.info("arithmetic: %s", "bfloat16 on the GPU" if bf16 else "float32, there is no GPU")
    eval_strategy = options.eval_strategy if evaluates else "no"
    workers = options.dataloader_num_workers
    return TrainingArguments(
        output_dir=options.output_dir,
        run_name=options.run_name,
        report_to=options.report_to,
        seed=options.seed,
        use_cpu=not on_gpu,
        bf16=bf16,
        **{name: getattr(options, name) for name in SAME_NAME},
        warmup_steps=options.warmup_ratio if options.warmup_steps is None else options.warmup_steps,
        eval_strategy=eval_strategy,
        **_checkpointing(options.gradient_checkpointing),
        dataloader_persistent_workers=workers > 0,
        dataloader_pin_memory=on_gpu,
        remove_unused_columns=False,
        prediction_loss_only=True,
        label_names=["labels"],
        logging_nan_inf_filter=False,
    )


def _checkpointing(wanted: bool) -> dict[str, Any]:
    """Return the arguments under the names that this transformers has for them: they changed between 5.17 and 5.23."""
    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    name = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    return {name: wanted, f"{name}_kwargs": {"use_reentrant": False} if wanted else None}


SAME_NAME = (
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "num_train_epochs",
    "max_steps", "learning_rate", "lr_scheduler_type", "max_grad_norm", "weight_decay", "adam_beta1", "adam_beta2",
    "dataloader_num_workers", "save_strategy", "save_steps", "save_total_limit",
    "logging_steps", "eval_steps",
)  # fmt: skip


def input_format(options: TrainOptions) -> InputFormat:
    """Return frame size, filter and mode.

    Where no size was asked for, a checkpoint of ours keeps its own size and filter and `tiny` takes 32 x 32.
    """
    data = load_config(options.config_name, options.config_overrides).data
    form = InputFormat(data.resized_height, data.resized_width, data.resize_filter, options.use_multi_image)
    if form.resized_height is not None:
        return form
    if options.model_name == tiny.NAME:
        return replace(form, resized_height=tiny.FRAME_SIZE, resized_width=tiny.FRAME_SIZE)
    own = InputFormat.load(Path(options.model_name))
    if own is None:
        return form
    filter_given = any(override.startswith("data.resize_filter=") for override in options.config_overrides)
    kept = replace(own, use_multi_image=options.use_multi_image)
    return replace(kept, resize_filter=form.resize_filter) if filter_given else kept


def weights_dtype(options: TrainOptions) -> torch.dtype:
    """Return the dtype of the weights: bfloat16 where bfloat16 arithmetic runs on a GPU, unless one was asked for."""
    on_gpu = torch.cuda.is_available()
    wanted = options.model_dtype
    if wanted == "auto":
        wanted = "bfloat16" if on_gpu and options.bf16 is not False else "float32"
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32


def load_trainable(options: TrainOptions, rows: Any, resume: Path | None) -> LoadedModel:
    """Load the model with its adapters and frozen parts as the options ask."""
    if options.use_unsloth:
        loaded = _load_unsloth(options)
    else:
        loaded = _load(options, rows, resume)
        loaded = replace(loaded, model=_adapt(loaded.model, options))
    check_trainable(loaded.model, frozen_tower=options.freeze_vision_tower)
    log_parameter_groups(loaded.model)
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
    if options.model_name == tiny.NAME:
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
    if options.quantization:
        nf4(tiny.NAME, torch.float32)
    base = Path(options.output_dir) / BASE_FOLDER
    if resume is not None:
        return load_model(base if options.rank else resume)
    texts = list(dict.fromkeys(rows["prompt"]))[:TINY_TEXTS]
    loaded = load_model(tiny.NAME, seed=options.seed, texts=texts)
    if options.rank == 0:
        return loaded
    loaded.model.save_pretrained(str(base))
    loaded.save_processor(base, input_format(options))
    return load_model(base)


def _adapt(model: Any, options: TrainOptions) -> Any:
    if options.quantization:
        check_quantized(model)
    if options.rank:
        return add_lora(model, rank=options.rank, alpha=options.lora_alpha, tower=not options.freeze_vision_tower)
    if options.freeze_vision_tower:
        freeze_vision_tower(model)
    return model


def _check_devices() -> None:
    """Refuse several GPUs in one process: the Trainer would split batches along the first axis of `position_ids`."""
    if torch.cuda.device_count() > 1 and not torch.distributed.is_torchelastic_launched():
        raise ConfigError(
            f"One process must see one GPU, but sees {torch.cuda.device_count()}; start with `torchrun "
            "--nproc_per_node N` or set CUDA_VISIBLE_DEVICES"
        )


def _run(trainer: Any, resume: Path | None) -> None:
    """Train; a row that a loader's worker could not read is reported without that worker's traceback."""
    try:
        trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    except DataError as error:
        *_, reason = str(error).rpartition(f"{DataError.__module__}.{DataError.__name__}: ")
        raise DataError(reason.strip()) from error


def _save_final(trainer: Any, saver: SaveProcessor, options: TrainOptions, folder: Path) -> Path:
    final = folder / output_dir.FINAL
    trainer.save_model(str(final))
    trainer.save_state()
    if trainer.is_world_process_zero():
        saver.write(final)
        text = json.dumps(dataclasses.asdict(options), indent=2)
        (final / OPTIONS_FILE).write_text(text + "\n", encoding="utf-8")
    logger.info("final model: %s", final)
    return final
