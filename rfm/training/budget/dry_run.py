"""What a run would do, before it does it: `rfm train --dry_run`.

Tokens per row, steps, trainable parameters, the memory of a step, and rows as the model would see them, from the
dataset and the model's configuration alone: no weights are read and nothing is written. A folder with only
`config.json` is enough; text is then counted a token a letter, an upper bound, since there is no tokenizer to ask.
"""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rfm.batch.collator import VQACollator
from rfm.batch.packing import PackedBatches
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.row_lengths import RowLengths, row_lengths
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.batch.tokens.sequences import IGNORE_INDEX
from rfm.model import tiny
from rfm.model.freeze import check_trainable, log_parameter_groups
from rfm.model.load import load_model
from rfm.model.stock.files import load_tokenizer, model_config
from rfm.model.stock.preprocessing import read_spec
from rfm.model.tiny_tokenizer import build_tokenizer
from rfm.training import processes
from rfm.training.budget.memory import BatchSize, estimate
from rfm.training.budget.outline import outline
from rfm.training.dataset import TrainingSet, open_training_set
from rfm.training.options import TrainOptions
from rfm.training.trainable import TINY_TEXTS, input_format, weights_dtype

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """What rows are made into tensors with, without the model."""

    encoder: ConversationEncoder
    frames: FrameStore
    exact: bool
    """Whether the tokenizer is the model's own."""


def dry_run(options: TrainOptions) -> None:
    """Write what a run would do to the log."""
    data = open_training_set(options.dataset_path, options.datasets_root)
    inputs = _inputs(options, data)
    lengths = row_lengths(data.rows, inputs.encoder, inputs.frames)
    _log_lengths(options, data, inputs, lengths)
    _log_steps(options, lengths)
    model = outline(options)
    check_trainable(model, frozen_tower=options.freeze_vision_tower)
    log_parameter_groups(model)
    _log_memory(options, model, batch_size(options, lengths, inputs.encoder.spec.merge_size))
    _log_batch(options, data, inputs)
    logger.info("dry run: nothing was trained or written")


def batch_size(options: TrainOptions, lengths: RowLengths, merge: int) -> BatchSize:
    """Return the sizes of the largest batch there can be."""
    answer = int(lengths.answer.max()) + 1
    if options.packing:
        share = options.max_tokens / lengths.tokens.sum()
        rows, patches = len(lengths.tokens) * share, lengths.visual.sum() * share * merge**2
        return BatchSize(math.ceil(rows), options.max_tokens, math.ceil(patches), answer)
    rows = min(options.per_device_train_batch_size, len(lengths.tokens))
    patches = int(np.sort(lengths.visual)[-rows:].sum()) * merge**2
    return BatchSize(rows, rows * lengths.longest, patches, answer)


def steps_of(options: TrainOptions, lengths: RowLengths) -> tuple[int, int]:
    """Return optimizer steps in all and in an epoch, as the Trainer counts them."""
    shared = processes.count()
    if options.packing:
        batches = len(PackedBatches(lengths.tokens, options.max_tokens, options.seed, processes=shared)) // shared
    else:
        batches = math.ceil(len(lengths.tokens) / (options.per_device_train_batch_size * shared))
    each = max(math.ceil(batches / options.gradient_accumulation_steps), 1)
    return (options.max_steps if options.max_steps > 0 else math.ceil(options.num_train_epochs * each)), each


def _inputs(options: TrainOptions, data: TrainingSet) -> Inputs:
    form = input_format(options)
    if options.model_name in tiny.PRESETS:
        texts = list(dict.fromkeys(data.rows["prompt"]))[:TINY_TEXTS]
        loaded = load_model(options.model_name, seed=options.seed, texts=texts)
        tokenizer, spec = loaded.tokenizer, loaded.spec
    else:
        spec = read_spec(options.model_name, model_config(options.model_name, options.trust_remote_code))
        tokenizer = None if _lacks_tokenizer(options) else load_tokenizer(options.model_name, options.trust_remote_code)
    own = tokenizer is not None
    encoder = ConversationEncoder(tokenizer if own else build_tokenizer(()), spec)
    return Inputs(encoder, FrameStore(data.root, spec, form), own)


def _lacks_tokenizer(options: TrainOptions) -> bool:
    """Look for the files: transformers makes an empty tokenizer where there are none."""
    folder = Path(options.model_name)
    lacks = folder.is_dir() and not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json"))
    if lacks:
        logger.warning("%s has no tokenizer: text counts a token a letter, an upper bound", folder)
    return lacks


def _log_lengths(options: TrainOptions, data: TrainingSet, inputs: Inputs, lengths: RowLengths) -> None:
    logger.info("%d rows of %s, frames under %s", len(data.rows), options.dataset_path, data.root)
    kinds = np.array(data.rows["sample_type"])
    for kind in np.unique(kinds):
        own = lengths.tokens[kinds == kind]
        logger.info(
            "%-10s %8d rows of %d to %d tokens, %.1f on average, %.1f%% of them visual%s",
            kind, len(own), own.min(), own.max(), own.mean(), 100 * lengths.visual[kinds == kind].sum() / own.sum(),
            "" if inputs.exact else " (at most)",
        )  # fmt: skip


def _log_steps(options: TrainOptions, lengths: RowLengths) -> None:
    steps, each = steps_of(options, lengths)
    batch = f"packed batches of {options.max_tokens} tokens" if options.packing else (
        f"{options.per_device_train_batch_size} rows"
    )  # fmt: skip
    logger.info(
        "%d steps, %.2f epochs of %d steps; a step is %s x %d accumulated x %d processes",
        steps, steps / each, each, batch, options.gradient_accumulation_steps, processes.count(),
    )  # fmt: skip
    warm = options.warmup_steps if options.warmup_steps is not None else math.ceil(options.warmup_ratio * steps)
    logger.info("%s schedule, %d steps of warm-up, peak %g", options.lr_scheduler_type, warm, options.learning_rate)


def _log_memory(options: TrainOptions, model: Any, size: BatchSize) -> None:
    found = estimate(
        model,
        size,
        optim=options.optim,
        checkpointing=options.gradient_checkpointing,
        dtype=weights_dtype(options),
        four_bit=options.quantization,
    )
    if processes.shares_weights(options):
        found = found.shared(processes.count())
    logger.info(
        "memory of a step: %s; at most %d rows and %d tokens a batch, %s, checkpointing %s",
        found, size.rows, size.positions, str(weights_dtype(options)).removeprefix("torch."),
        "on" if options.gradient_checkpointing else "off",
    )  # fmt: skip
    if torch.cuda.is_available():
        there = torch.cuda.get_device_properties(0).total_memory
        verdict = "fits" if found.total < 0.9 * there else "is too much, or all but too much,"
        logger.info("that %s for a GPU of %.1f GB", verdict, there / 1e9)


def _log_batch(options: TrainOptions, data: TrainingSet, inputs: Inputs) -> None:
    """Show rows as token text; what stands between [[ and ]] carries loss, and runs of placeholders are counted."""
    if not inputs.exact:
        logger.info("no batch is shown: the model's own tokenizer is needed for that")
        return
    collator = VQACollator(inputs.encoder, inputs.frames)
    for number in range(min(options.per_device_train_batch_size, len(data.rows))):
        batch = collator([data.rows[number]])
        logger.info("row %d: %s", number, marked(inputs.encoder, batch))


def marked(encoder: ConversationEncoder, batch: dict[str, Any]) -> str:
    """Return the text of a batch of one row with its labels between [[ and ]]."""
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    carrying = torch.zeros(len(ids), dtype=torch.bool)
    carrying[len(ids) - len(labels) :] = labels != IGNORE_INDEX
    first = int(carrying.nonzero()[0])
    if not bool(carrying[first:].all()) or not torch.equal(ids[carrying], labels[labels != IGNORE_INDEX]):
        raise AssertionError("labels must be the last tokens of the row")
    text = f"{encoder.decode(ids[:first].tolist())}[[{encoder.decode(ids[first:].tolist())}]]"
    return re.sub(r"(<\|(?:video|image)_pad\|>)(?:\1)+", lambda run: f"{run[1]}x{len(run[0]) // len(run[1])}", text)
