"""Generate a VQA dataset from trajectories: no frame is read, the same seed gives the same bytes.

Rows are drawn in chunks of fixed size, each a function of its position, in this process or in several; shards, workers
and interruptions therefore change neither rows nor content hash. Memory is that of the catalog plus a shard.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from rfm.configs.compose import as_dict, load_config
from rfm.configs.experiment_configs import ExperimentConfig
from rfm.console import progress_bar
from rfm.errors import ConfigError
from rfm.ingest.bundled import bundled_root
from rfm.processes import die_with_parent
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog, load_catalog, resolve_root
from rfm.trajectories.record import dataset_folder
from rfm.vqa.columns import record_batch
from rfm.vqa.prompts import PROMPT_VERSION
from rfm.vqa.store import DatasetWriter, hash_batch

logger = logging.getLogger(__name__)

CHUNK = 8192
"""Rows drawn and hashed at a time; part of the format, since the content hash is taken over chunks."""
WORTH_A_WORKER = 200_000
"""Rows below which another process costs more than it saves."""


@dataclass(frozen=True)
class GenerateOptions:
    """Generate a static VQA dataset of prompts, answers and references to frames."""

    output_path: str = field(metadata={"help": "Path to save the generated HuggingFace dataset"})
    num_samples: int = field(default=10000, metadata={"help": "Number of samples to generate"})
    seed: int | None = field(default=None, metadata={"help": "Random seed (default: data.seed, 42)"})
    num_workers: int = field(default=8, metadata={"help": "Parallel workers, at most; -1: as many as CPUs"})
    save_batch_size: int = field(default=10000, metadata={"help": "Save every N samples; -1: all at once"})
    config_name: str = field(default="config", metadata={"help": "Hydra config to use"})
    config_overrides: tuple[str, ...] = field(default=(), metadata={"help": "Config overrides, key=value …"})
    eval_mode: bool = field(
        default=False, metadata={"help": "Real quality differences and whole episodes instead of augmentations"}
    )
    partition: str = field(
        default="train",
        metadata={"help": "Draw from data.train_datasets or data.eval_datasets", "choices": ("train", "eval")},
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace a dataset that exists"})

    def __post_init__(self) -> None:
        faults = [
            f"`{name}` must be {rule}, but is {getattr(self, name)}"
            for name, good, rule in (
                ("num_samples", self.num_samples >= 1, "at least 1"),
                ("num_workers", self.num_workers >= 1 or self.num_workers == -1, "at least 1, or -1 for all CPUs"),
                ("save_batch_size", self.save_batch_size >= 1 or self.save_batch_size == -1, "at least 1, or -1"),
                ("partition", self.partition in ("train", "eval"), "train or eval"),
            )
            if not good
        ]
        if faults:
            raise ConfigError("\n".join(faults))


@dataclass(frozen=True)
class _Plan:
    """Everything that determines the rows; sent to worker processes."""

    catalog: Catalog
    config: ExperimentConfig
    total: int
    seed: int
    eval_mode: bool

    def sampler(self) -> Sampler:
        return Sampler(self.catalog, self.config.data, total=self.total, seed=self.seed, eval_mode=self.eval_mode)


def generate(options: GenerateOptions) -> Path:
    """Write the dataset and return its path.

    Raises:
        ConfigError: a setting is not valid, or asks for what the trajectories cannot give.
        DataError: the output exists, or trajectories cannot be read.

    """
    config = load_config(options.config_name, options.config_overrides)
    seed = config.data.seed if options.seed is None else options.seed
    config.data.seed = seed
    root = resolve_root(config.data.datasets_root) or bundled_root()
    config.data.datasets_root = str(root)
    keys = config.data.train_datasets if options.partition == "train" else config.data.eval_datasets
    catalog = load_catalog(root, keys)
    plan = _Plan(catalog, config, options.num_samples, seed, options.eval_mode)
    sampler = plan.sampler()
    for (kind, name), reason in sampler.unsupported.items():
        logger.warning("%s strategy %s is left out, its share goes to the others: it %s", kind, name, reason)
    record = _record(options, plan, sampler, _source_hashes(root, keys))
    output = Path(options.output_path)
    shard_rows = options.num_samples if options.save_batch_size == -1 else options.save_batch_size
    fingerprint = hashlib.sha256(json.dumps([record, shard_rows], sort_keys=True).encode()).hexdigest()
    writer = DatasetWriter(output, plan=fingerprint, shard_rows=shard_rows, overwrite=options.overwrite)
    writer.write(_with_progress(_rows(plan, sampler, writer, _workers(options)), writer.journal.rows, plan.total))
    record["content_hash"] = hashlib.sha256("".join(writer.chunk_hashes).encode()).hexdigest()
    writer.finish(record)
    logger.info("%d samples in %s", options.num_samples, output)
    return output


def _rows(plan: _Plan, sampler: Sampler, writer: DatasetWriter, workers: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows that are not yet written, hashing whole chunks on the way."""
    done = writer.journal.rows
    first = done // CHUNK
    starts = range(first * CHUNK, plan.total if done < plan.total else 0, CHUNK)
    chunks = _serial(plan, sampler, starts) if workers == 1 else _parallel(plan, starts, workers)
    for number, batch in enumerate(chunks, start=first):
        if number == len(writer.chunk_hashes):
            writer.chunk_hashes.append(hash_batch(batch))
        yield batch.slice(max(0, done - number * CHUNK))


def _serial(plan: _Plan, sampler: Sampler, starts: range) -> Iterator[pa.RecordBatch]:
    return (_draw_chunk(plan, sampler, start) for start in starts)


def _parallel(plan: _Plan, starts: range, workers: int) -> Iterator[pa.RecordBatch]:
    """Draw chunks in other processes, in order, with a bounded number under way."""
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(plan,)) as pool:
        under_way: deque[Future[pa.RecordBatch]] = deque()
        for start in starts:
            under_way.append(pool.submit(_work, start))
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


_worker: tuple[_Plan, Sampler] | None = None


def _start_worker(plan: _Plan) -> None:
    global _worker
    die_with_parent()
    _worker = plan, plan.sampler()


def _work(start: int) -> pa.RecordBatch:
    assert _worker is not None
    return _draw_chunk(*_worker, start)


def _draw_chunk(plan: _Plan, sampler: Sampler, start: int) -> pa.RecordBatch:
    block = sampler.draw(start, min(start + CHUNK, plan.total))
    return record_batch(sampler, block, discrete=plan.config.data.discrete_progress)


def _workers(options: GenerateOptions) -> int:
    asked = os.cpu_count() or 1 if options.num_workers == -1 else options.num_workers
    useful = max(1, options.num_samples // WORTH_A_WORKER)
    return min(asked, useful, os.cpu_count() or 1)


def _with_progress(batches: Iterator[pa.RecordBatch], done: int, total: int) -> Iterator[pa.RecordBatch]:
    with progress_bar() as bar:
        task = bar.add_task("generate", total=total, completed=done)
        for batch in batches:
            yield batch
            bar.advance(task, batch.num_rows)


def _record(options: GenerateOptions, plan: _Plan, sampler: Sampler, sources: dict[str, str]) -> dict[str, Any]:
    """Return what `generation_config.json` says, but for the content hash."""
    quotas = sampler.quotas
    counts: dict[str, dict[str, int]] = {}
    for (kind, name), count in zip(quotas.strategies, quotas.counts, strict=True):
        counts.setdefault(kind, {})[name] = count
    return {
        "config": as_dict(plan.config),
        "config_name": options.config_name,
        "config_overrides": list(options.config_overrides),
        "datasets_root": str(plan.catalog.root),
        "partition": options.partition,
        "eval_mode": options.eval_mode,
        "num_samples": plan.total,
        "seed": plan.seed,
        "prompt_version": PROMPT_VERSION,
        "counts": {kind: {"total": sum(by_name.values()), "strategies": by_name} for kind, by_name in counts.items()},
        "effective_ratio": {
            f"{kind}/{name}": count / plan.total
            for (kind, name), count in zip(quotas.strategies, quotas.counts, strict=True)
        },
        "unsupported": {f"{kind}/{name}": reason for (kind, name), reason in sampler.unsupported.items()},
        "trajectories": {
            "used": len(sampler.catalog),
            "too_short": sampler.left_out,
            "unreadable": list(plan.catalog.unreadable),
        },
        "source_hashes": sources,
        "versions": {name: version(name) for name in ("rfm-vqa", "numpy", "pyarrow", "datasets")},
    }


def _source_hashes(root: Path, keys: list[str]) -> dict[str, str]:
    """Return the sha256 over the Arrow files of each trajectory dataset."""
    hashes = {}
    for key in keys:
        digest = hashlib.sha256()
        for file in sorted((root / dataset_folder(key) / "processed_dataset").glob("*.arrow")):
            with file.open("rb") as stream:
                while piece := stream.read(1 << 22):
                    digest.update(piece)
        hashes[key] = digest.hexdigest()
    return hashes
