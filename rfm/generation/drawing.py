"""Draw rows in chunks of fixed size, in this process or in several.

Each chunk is a function of its number, so shards, workers and interruptions change neither rows nor their hashes.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from rfm.configs.experiment_configs import ExperimentConfig
from rfm.generation.columns import as_rows
from rfm.processes import worker_pool
from rfm.sampling.eval_sets import EvalSet
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog
from rfm.trajectories.opposites import with_cut_off_opposites
from rfm.vqa.schema import SCHEMA

CHUNK = 32_768
"""Rows drawn and hashed at a time; part of the format, since the content hash is taken over chunks.

A third of the time at 8,192 rows went into calling numpy for a few hundred rows of each strategy.
"""


@dataclass(frozen=True)
class Plan:
    """Everything that determines the rows; sent to worker processes."""

    catalog: Catalog
    config: ExperimentConfig
    seed: int
    num_samples: int | None
    """Rows; of an evaluation set at most, None: all."""
    eval_mode: bool = False
    eval_set: str | None = None
    cutoffs: Mapping[str, float] | None = None
    """Success cut-offs by data source."""

    def drawer(self) -> Sampler | EvalSet:
        """Return what the rows are drawn from."""
        data, seed = self.config.data, self.seed
        catalog = with_cut_off_opposites(self.catalog, self.cutoffs or {})
        if self.eval_set is not None:
            return EvalSet(catalog, data, self.eval_set, limit=self.num_samples, seed=seed, cutoffs=self.cutoffs)
        assert self.num_samples is not None
        return Sampler(catalog, data, total=self.num_samples, seed=seed, eval_mode=self.eval_mode, cutoffs=self.cutoffs)


class Chunk(NamedTuple):
    """The rows of one chunk, and their sha256 (`rfm.generation.columns.Rows.digest`)."""

    number: int
    rows: pa.RecordBatch
    digest: str


def draw_chunks(plan: Plan, drawer: Sampler | EvalSet, start: int, stop: int, workers: int = 1) -> Iterator[Chunk]:
    """Yield the chunks that hold rows `start` to `stop` - 1, whole and in order."""
    numbers = range(start // CHUNK, -(-stop // CHUNK) if start < stop else 0)
    if workers <= 1:
        yield from (_chunk(plan, drawer, number) for number in numbers)
        return
    for number, (serialised, digest) in zip(numbers, _parallel(plan, drawer, numbers, workers), strict=True):
        yield Chunk(number, pa.ipc.read_record_batch(serialised, SCHEMA), digest)


_Drawn = tuple[pa.Buffer, str]
"""A chunk as a worker hands it over."""


def _parallel(plan: Plan, drawer: Sampler | EvalSet, numbers: range, workers: int) -> Iterator[_Drawn]:
    """Draw chunks in other processes, in order, with a bounded number under way.

    A forked process shares the drawer's memory; any other is sent the plan and makes a drawer of its own.
    """
    start = multiprocessing.get_start_method()
    shared = drawer if start == "fork" else None
    with worker_pool(workers, start, _start_worker, (plan, shared)) as pool:
        under_way: deque[Future[_Drawn]] = deque()
        for number in numbers:
            under_way.append(pool.submit(_work, number))
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


_worker: tuple[Plan, Sampler | EvalSet] | None = None


def _start_worker(plan: Plan, drawer: Sampler | EvalSet | None) -> None:
    global _worker
    _worker = plan, drawer or plan.drawer()


def _work(number: int) -> _Drawn:
    assert _worker is not None
    chunk = _chunk(*_worker, number)
    return chunk.rows.serialize(), chunk.digest


def _chunk(plan: Plan, drawer: Sampler | EvalSet, number: int) -> Chunk:
    block = drawer.draw(number * CHUNK, min((number + 1) * CHUNK, drawer.quotas.total))
    rows = as_rows(drawer, block, discrete=plan.config.data.discrete_progress)
    return Chunk(number, rows.batch(), rows.digest())
