"""Generate a VQA dataset from trajectories: no frame is read, the same seed gives the same bytes.

Rows are drawn in chunks (`drawing`) and written in shards (`store`); shards, workers and interruptions change neither
rows nor content hash. Memory is that of the catalog plus a shard. To split, three frames of each episode are read, see
`rfm.splits.datasets`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from rfm.configs.compose import as_dict, load_config
from rfm.configs.experiment_configs import DataConfig, ExperimentConfig
from rfm.console import progress_bar
from rfm.files.ownership import check_replaceable, workplace
from rfm.generation import drawing
from rfm.generation.columns import HASH_VERSION
from rfm.generation.drawing import Plan, draw_chunks
from rfm.generation.idle_tail import find_cutoffs, suggest_cutoffs
from rfm.generation.options import GenerateOptions
from rfm.generation.parts import Part, PartWriter
from rfm.generation.reporting import report
from rfm.generation.sides import SPLIT_FILE, split_sides
from rfm.generation.sources import open_sources
from rfm.generation.store import VQA_DATASET, DatasetWriter, is_complete
from rfm.generation.verify import verify
from rfm.sampling.eval_sets import EvalSet
from rfm.sampling.progress import read_cutoffs
from rfm.sampling.sampler import NothingToAsk, Sampler
from rfm.splits.deal import is_fold
from rfm.trajectories.catalog import Catalog
from rfm.vqa.prompts import PROMPT_VERSION

__all__ = ["GenerateOptions", "generate"]

logger = logging.getLogger(__name__)

WORTH_A_WORKER = 200_000
"""Rows below which another process costs more than it saves."""


def generate(options: GenerateOptions) -> Path:
    """Write the dataset, or one for each side of a split, and return its path; `verify` compares one that is there.

    Raises:
        ConfigError: a setting is not valid, or asks for what the trajectories cannot give.
        DataError: the output exists, trajectories cannot be read, or a dataset is not what drawing again gives.

    """
    if options.verify is not None:
        return verify(Path(options.verify), **options.moved)
    config = load_config(options.config_name, options.overrides)
    config.data.seed = config.data.seed if options.seed is None else options.seed
    config.data.discrete_progress |= options.discrete_progress
    if not options.divides:
        return _write(options, config)
    with split_sides(options, config) as sides:
        for side in sides:
            with _fold_left_out(side.options):
                _write(side.options, config, side.output)
    return Path(options.output_path)


@contextmanager
def _fold_left_out(options: GenerateOptions) -> Iterator[None]:
    """Let a fold whose episodes support no question go without one: a handful of failures is no reason to stop."""
    try:
        yield
    except NothingToAsk as error:
        if not is_fold(options.drawn_partition):
            raise
        logger.warning("%s is judged on by no question, take fewer folds: %s", options.drawn_partition, error)


def _write(options: GenerateOptions, config: ExperimentConfig, shown: Path | None = None) -> Path:
    """Write one dataset; one that is complete is kept. It is going to be at `shown`, for a side of a split."""
    config = _without_augmentation(options, config)
    sources = open_sources(config, options.drawn_partition)
    plan = Plan(
        sources.catalog,
        config,
        config.data.seed,
        _num_samples(options, config, sources.catalog),
        eval_mode=options.eval_mode,
        eval_set=options.eval_set,
        cutoffs=_cutoffs(sources.catalog, config.data),
    )
    drawer = plan.drawer()
    questions = report(plan, drawer, options.drawn_partition)
    total = drawer.quotas.total
    record = {**_record(options, plan, drawer, sources.hashes), "split": sources.split, "questions": questions}
    output = Path(options.output_path)
    if shown is not None:
        record["config"]["data"]["split_file"] = str(shown.parent / SPLIT_FILE)
    shown = shown or output
    keep = not options.overwrite or shown != output  # a side of an interrupted run was not there before it
    shard_rows = total if options.save_batch_size == -1 else options.save_batch_size
    fingerprint = hashlib.sha256(json.dumps([record, shard_rows], sort_keys=True).encode()).hexdigest()
    if options.shard is not None:
        return _write_part(options, plan, drawer, record, fingerprint, shard_rows)
    with workplace(output, VQA_DATASET.option) as work:
        if keep and is_complete(output, record):
            logger.info("%d samples in %s, complete before", total, shown)
            work.forget_replaced(VQA_DATASET)
            return output
        check_replaceable(output, VQA_DATASET, overwrite=options.overwrite)
        writer = DatasetWriter(work, plan=fingerprint, shard_rows=shard_rows, overwrite=options.overwrite)
        _write_rows(writer, plan, drawer, range(total), _workers(options, total))
        record["content_hash"] = hashlib.sha256("".join(writer.chunk_hashes).encode()).hexdigest()
        writer.finish(record)
    logger.info("%d samples in %s", total, shown)
    return output


def _write_part(
    options: GenerateOptions,
    plan: Plan,
    drawer: Sampler | EvalSet,
    record: dict[str, Any],
    fingerprint: str,
    shard_rows: int,
) -> Path:
    """Write the rows of one job of several; the last one to finish puts the dataset together."""
    output, part, total = Path(options.output_path), Part.parse(options.shard or ""), drawer.quotas.total
    if is_complete(output, record):
        logger.info("%d samples in %s, complete before", total, output)
        return output
    check_replaceable(output, VQA_DATASET, overwrite=False)
    writer = PartWriter(output, part, plan=fingerprint, shard_rows=shard_rows, total=total)
    rows = range(writer.start, writer.stop)
    if not rows:
        logger.warning("shard %s has no rows: %d rows a file make fewer files than shards", options.shard, shard_rows)
    try:
        _write_rows(writer, plan, drawer, rows, _workers(options, len(rows)))
        missing = writer.finish(record)
    except FileNotFoundError:  # the same shard was started twice, and the dataset put together without this one
        missing = [part.number]
    if not missing or is_complete(output, record):
        writer.clean_up()
        logger.info("%d samples in %s", total, output)
    else:
        logger.info("shard %s is done; still to be done: %s", options.shard, ", ".join(map(str, missing)))
    return output


def _without_augmentation(options: GenerateOptions, config: ExperimentConfig) -> ExperimentConfig:
    """Return the configuration with whole clips where a dataset is for evaluation."""
    for_training = options.drawn_partition == "train" and not options.eval_mode and options.eval_set is None
    if for_training or not config.data.frame_dropping:
        return config
    logger.info("data.frame_dropping is for training: it is 0 in this dataset")
    return replace(config, data=replace(config.data, frame_dropping=0.0))


def _cutoffs(catalog: Catalog, data: DataConfig) -> dict[str, float]:
    if data.success_cutoff == "idle":
        return find_cutoffs(catalog, data.seed)
    cutoffs = read_cutoffs(data.dataset_success_cutoff_file)
    suggest_cutoffs(catalog, cutoffs, data.seed)
    return cutoffs


def _num_samples(options: GenerateOptions, config: ExperimentConfig, catalog: Catalog) -> int | None:
    """Return the rows asked for; None: all of an evaluation set."""
    if options.eval_set is not None:
        return options.num_samples if options.samples_asked else None
    if options.num_epochs is None:
        return int(options.num_samples)
    usable = int((catalog.num_frames >= config.data.min_frames_per_trajectory).sum())
    return max(1, options.num_epochs * usable)


def _write_rows(
    writer: DatasetWriter | PartWriter, plan: Plan, drawer: Sampler | EvalSet, rows: range, workers: int
) -> None:
    """Draw and write those of `rows` that are not yet written, hashing the chunks that begin in them on the way."""
    done, first_hashed = writer.journal.rows, -(-rows.start // drawing.CHUNK)
    start = rows.start + done

    def batches() -> Iterator[pa.RecordBatch]:
        for number, batch, digest in draw_chunks(plan, drawer, start, rows.stop, workers):
            if number - first_hashed == len(writer.chunk_hashes):
                writer.chunk_hashes.append(digest)
            begin = max(0, start - number * drawing.CHUNK)
            yield batch.slice(begin, rows.stop - number * drawing.CHUNK - begin)

    with closing(_with_progress(batches(), done, len(rows))) as drawn:  # workers end with what was to take their rows
        writer.write(drawn)


def _workers(options: GenerateOptions, rows: int) -> int:
    asked = os.cpu_count() or 1 if options.num_workers == -1 else options.num_workers
    useful = max(1, rows // WORTH_A_WORKER)
    return min(asked, useful, os.cpu_count() or 1)


def _with_progress(batches: Iterator[pa.RecordBatch], done: int, total: int) -> Generator[pa.RecordBatch]:
    with progress_bar() as bar:
        task = bar.add_task("generate", total=total, completed=done)
        for batch in batches:
            yield batch
            bar.advance(task, batch.num_rows)


def _record(options: GenerateOptions, plan: Plan, drawer: Sampler | EvalSet, sources: dict[str, str]) -> dict[str, Any]:
    """Return what `generation_config.json` says, but for the content hash."""
    quotas = drawer.quotas
    counts: dict[str, dict[str, int]] = {}
    for (kind, name), count in zip(quotas.strategies, quotas.counts, strict=True):
        counts.setdefault(kind, {})[name] = count
    unsupported = {} if isinstance(drawer, EvalSet) else drawer.unsupported
    return {
        "config": as_dict(plan.config),
        "config_name": options.config_name,
        "config_overrides": list(options.overrides),
        "datasets_root": str(plan.catalog.root),
        "partition": options.drawn_partition,
        "eval_mode": options.eval_mode,
        "eval_set": plan.eval_set,
        "num_samples": quotas.total,
        "num_existing": drawer.existing if isinstance(drawer, EvalSet) else None,
        "seed": plan.seed,
        "prompt_version": PROMPT_VERSION,
        "hash_version": HASH_VERSION,
        "counts": {kind: {"total": sum(by_name.values()), "strategies": by_name} for kind, by_name in counts.items()},
        "effective_ratio": {
            f"{kind}/{name}": count / quotas.total
            for (kind, name), count in zip(quotas.strategies, quotas.counts, strict=True)
        },
        "unsupported": {f"{kind}/{name}": reason for (kind, name), reason in unsupported.items()},
        "notes": drawer.notes,
        "trajectories": {
            "used": len(drawer.catalog),
            "too_short": drawer.usable.too_short,
            "contested": drawer.usable.contested,
            "unreadable": list(plan.catalog.unreadable),
        },
        "success_cutoffs": dict(plan.cutoffs or {}),
        "source_hashes": sources,
        "versions": {name: version(name) for name in ("rfm-vqa", "numpy", "pyarrow", "datasets")},
    }
