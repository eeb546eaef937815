"""Supervised fine-tuning on a generated dataset with the plain Hugging Face Trainer.

In: `TrainOptions`. Out: `OUTPUT_DIR/final`, beside `checkpoint-*` and TensorBoard logs under `runs/`; each of them
loads with stock classes and holds what prediction needs. Logits are computed where answers are and nowhere else:
padded rows end with their answers, of packed rows the batch names the places.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import set_seed

from rfm.batch.as_trained import differences, warning
from rfm.batch.bad_rows import SKIP, BadRows
from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.packing import PackedBatches
from rfm.batch.pictures.augmentation import Augmentation, with_seeds
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.row_lengths import RowLengths, row_lengths
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.configs.compose import load_config
from rfm.errors import ConfigError, RfmError
from rfm.export.hub import check_hub, push_folder
from rfm.export.model_card import write_card
from rfm.export.training_record import write_record
from rfm.inference.known.answers import known_answers
from rfm.model.load import LoadedModel
from rfm.model.weights.saving import written_whole
from rfm.processes import forked_die_with_parent
from rfm.training import loading, processes
from rfm.training.arguments import training_arguments
from rfm.training.budget.dry_run import dry_run
from rfm.training.budget.out_of_memory import explain, is_out_of_memory
from rfm.training.checkpoints import output_dir
from rfm.training.checkpoints.belongings import Belongings
from rfm.training.checkpoints.continuation import check_continuation, judged_alike, settled
from rfm.training.checkpoints.folders import BAD_ROWS, FINAL, UNFINISHED_FINAL, way_on
from rfm.training.checkpoints.parts import CheckpointParts
from rfm.training.dataset import TrainingSet, open_training_set
from rfm.training.monitoring.bad_rows import ReportBadRows
from rfm.training.monitoring.batch_facts import CountingCollator, with_row_numbers
from rfm.training.monitoring.display import watched
from rfm.training.monitoring.evaluation import HeldOut, check_metric
from rfm.training.monitoring.tracker import check_tracker, name_run
from rfm.training.optimizers.choice import optimizer_arguments
from rfm.training.options import TrainOptions
from rfm.training.parcels import Parcelled
from rfm.training.trainable import input_format, load_trainable, weights_dtype
from rfm.training.trainer import VQATrainer
from rfm.vqa.provenance import load_hashes

logger = logging.getLogger(__name__)


def train(options: TrainOptions) -> Path:
    """Train and return the folder of the final model, which a dry run does not write."""
    processes.join()
    if options.dry_run:
        dry_run(options)
        return Path(options.output_dir)
    data = open_training_set(options.dataset_path, options.datasets_root)
    held_out = options.eval_dataset_path and open_training_set(options.eval_dataset_path, options.datasets_root)
    form = input_format(options).put_as(data.shown)
    check_tracker(options)
    if options.push_to_hub:
        check_hub(options.hub_model_id, private=options.hub_private_repo)
    resume = output_dir.resume_point(options)
    if resume is not None:
        check_continuation(resume, options, weights_dtype(options), data, form)
    with ExitStack() as held:
        with processes.first_goes_first() as first:
            if first:
                held.enter_context(output_dir.one_run(options))
            folder = output_dir.prepare(options) if first else Path(options.output_dir)
        return _train(options, data, held_out or None, form, resume, folder)


def _train(
    options: TrainOptions,
    data: TrainingSet,
    held_out: TrainingSet | None,
    form: InputFormat,
    resume: Path | None,
    folder: Path,
) -> Path:
    set_seed(options.seed)
    loaded = load_trainable(options, data.rows, resume)
    if resume is not None and (before := InputFormat.load(resume)) is not None:
        before.check_family(loaded.spec.family)
    parts = CheckpointParts(loaded, form, _trained_on(options, data), _recorder(options, data))
    trainer = make_trainer(options, loaded, form, data, held_out, parts)
    processes.check_sharing(trainer, options)
    trainer.judged_alike = resume is None or judged_alike(resume, options)
    name_run(trainer, options)
    if held_out is not None and trainer.is_world_process_zero():
        _compare(options, form, held_out)
    logger.info("training on %d rows of %s, frames under %s", len(data.rows), options.dataset_path, data.root)
    _run(trainer, resume, options)
    return _save_final(trainer, parts, options, folder)


def _compare(options: TrainOptions, form: InputFormat, held_out: TrainingSet) -> None:
    """Warn where evaluations ask otherwise than training does: their numbers are not those of the model."""
    found = list(differences(form, held_out.shown))
    if found:
        logger.warning("`eval_dataset_path` %s: %s", options.eval_dataset_path, warning(found))


def _collator(
    options: TrainOptions, encoder: ConversationEncoder, frames: FrameStore, bad_rows: BadRows
) -> VQACollator:
    return VQACollator(
        encoder,
        frames,
        packed=options.packing,
        blank_share=options.blank_share,
        augmentation=Augmentation.of(load_config(options.config_name, options.config_overrides).data),
        bad_rows=bad_rows,
    )


def make_trainer(
    options: TrainOptions,
    loaded: LoadedModel,
    form: InputFormat,
    data: TrainingSet,
    held_out: TrainingSet | None,
    parts: CheckpointParts,
) -> Any:
    """Return the Trainer for a loaded model; `held_out` must share the root of `data`."""
    if held_out is not None and held_out.root != data.root:
        raise ConfigError(
            f"`eval_dataset_path` must have its frames under {data.root} as `dataset_path` has, but has "
            f"{held_out.root}; pass --datasets_root with a folder that holds both"
        )
    encoder, frames = ConversationEncoder(loaded.tokenizer, loaded.spec), FrameStore(data.root, loaded.spec, form)
    bad_rows = BadRows(options.on_bad_row, Path(options.output_dir) / BAD_ROWS)
    collator = _collator(options, encoder, frames, bad_rows)
    rows = with_row_numbers(data.rows)
    judged = None if held_out is None else HeldOut(held_out, encoder)
    if judged is not None:
        check_metric(options.metric_for_best_model, judged)
    arguments = training_arguments(options, evaluates=held_out is not None)
    batches = _packed_batches(options, row_lengths(data.rows, encoder, frames), arguments) if options.packing else None
    return VQATrainer(
        complete=parts.write,
        held_out=judged,
        eval_collator=Parcelled(CountingCollator(VQACollator(encoder, frames))),
        batches=batches,
        keep=options.save_total_limit,
        model=loaded.model,
        args=arguments,
        data_collator=Parcelled(CountingCollator(collator)),
        train_dataset=with_seeds(rows, options.seed) if collator.augmentation else rows,
        processing_class=loaded.tokenizer,
        callbacks=[ReportBadRows(bad_rows.file, len(rows))] if options.on_bad_row == SKIP else [],
        **optimizer_arguments(options, loaded.model),
    )


def _packed_batches(options: TrainOptions, lengths: RowLengths, arguments: Any) -> PackedBatches:
    batches = PackedBatches(lengths.tokens, options.max_tokens, options.seed, processes=arguments.world_size)
    logger.info(
        "%d packed batches of %d tokens, %.0f%% full, %.1f rows each on average",
        len(batches), options.max_tokens, 100 * batches.filled, len(lengths.tokens) / len(batches),
    )  # fmt: skip
    return batches


def _trained_on(options: TrainOptions, data: TrainingSet) -> Any:
    """Return the hashes of this run's trajectories and of those that the model it starts from was trained on."""
    before = load_hashes(Path(options.model_name))
    return data.trajectories if before is None else np.union1d(before, data.trajectories)


def _recorder(options: TrainOptions, data: TrainingSet) -> Callable[[Path], None]:
    """Return what writes the record of this training into a checkpoint folder."""
    return partial(
        write_record,
        options=settled(options, weights_dtype(options)),
        dataset_path=options.dataset_path,
        rows=len(data.rows),
        generation=data.generation,
    )


def _run(trainer: Any, resume: Path | None, options: TrainOptions) -> None:
    """Train; what went wrong in a loader's worker, and a lack of memory, are reported as such."""
    try:
        with forked_die_with_parent(), watched(trainer):
            trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    except RfmError as error:
        raise loading.unwrapped(error) from error
    except (RuntimeError, OSError, MemoryError) as error:
        if (fault := loading.explained(error, options)) is not None:
            raise fault from error
        if not is_out_of_memory(error):
            raise
        raise explain(error, trainer, options) from error


def _save_final(trainer: Any, parts: CheckpointParts, options: TrainOptions, folder: Path) -> Path:
    """Write `final` under another name and rename it: a folder of that name is always whole.

    The hub gets this folder, where the Trainer would upload all of `output_dir`.
    """
    final, unfinished = folder / FINAL, folder / UNFINISHED_FINAL
    own = Belongings(folder)
    with written_whole(unfinished, lambda: f"then {way_on(folder)}"):
        if trainer.is_world_process_zero():
            own.claim_anew(unfinished)
        trainer.save_model(str(unfinished), _internal_call=True)
        trainer.save_state()
        if trainer.is_world_process_zero():
            parts.write(unfinished)
            _save_known_answers(parts, options, unfinished)
            write_card(unfinished, place=final)
            own.seal(unfinished)
            output_dir.replace_folder(own, unfinished, final)
    _part(trainer)
    if trainer.is_world_process_zero():
        logger.info("final model: %s", final)
        if parts.base is not None:
            logger.info("it is an adapter, %s", _servable_by_vllm(final, whole_projector=options.whole_projector))
        if options.push_to_hub:
            push_folder(final, options.hub_model_id)
    return final


def _part(trainer: Any) -> None:
    """Wait until all is written, then leave the group of processes.

    A process that ended earlier, still in its group, could abort there; the launcher then kills the one that writes.
    """
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()


def _save_known_answers(parts: CheckpointParts, options: TrainOptions, folder: Path) -> None:
    """Keep what the model says to a few questions, for who serves it; one process can't ask shared-out weights."""
    if processes.shares_weights(options):
        logger.info(
            "known answers, which servers are compared with, are not written with --fsdp: `rfm export vllm` does"
        )
        return
    try:
        known_answers(parts.loaded, parts.form).save(folder)
    except (MemoryError, torch.OutOfMemoryError):
        logger.warning(
            "known answers, which servers are compared with, do not fit in memory: `rfm export vllm` writes them"
        )


def _servable_by_vllm(final: Path, *, whole_projector: bool) -> str:
    if not whole_projector:
        return f"which vLLM loads on its base; `rfm serve-command {final}` prints how"
    return (
        "whose projector is trained in full, which vLLM refuses: before serving it there, "
        f"`rfm export merge {final} --output MERGED`"
    )
