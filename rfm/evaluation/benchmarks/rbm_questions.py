"""Questions about processed evaluation sets of RFM and Robometer, drawn as `rfm generate --eval_set` draws them.

In: a datasets root, keys and options. Out: one exam with the questions of all datasets and sets, each row under its
dataset's key as `data_source`, and what was drawn of each. A set that a dataset can't give says why. Nothing outside
the folder that the user named is read: paths of frames are resolved first, links included.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from datasets.table import InMemoryTable

from rfm.configs.compose import as_dict, load_config
from rfm.configs.experiment_configs import ExperimentConfig
from rfm.errors import ConfigError, DataError
from rfm.evaluation.benchmarks.options import SETS, RbmOptions
from rfm.evaluation.exam import NO_TASKS, Exam, columns_of
from rfm.evaluation.known_tasks import known_tasks
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.generation.drawing import Plan, draw_chunks
from rfm.sampling.progress import SUCCESSFUL
from rfm.trajectories.catalog import Catalog, available_keys, load_catalog
from rfm.trajectories.hashes import source_hashes
from rfm.trajectories.store import PROCESSED, read_columns
from rfm.vqa.prompts import PROMPT_VERSION


@dataclass
class Drawn:
    """Questions of several datasets and sets, as they are drawn."""

    tables: list[pa.Table] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    datasets: dict[str, Numbers] = field(default_factory=dict)
    """By dataset and set: what was drawn, and `why_not` where nothing was."""
    catalogs: list[Catalog] = field(default_factory=list)

    @property
    def without(self) -> list[tuple[str, str, str]]:
        """Dataset, set and reason of what could not be drawn."""
        everything = ((key, name, one) for key, sets in self.datasets.items() for name, one in sets.items())
        return [(key, name, one["why_not"]) for key, name, one in everything if "why_not" in one]


def find_datasets(options: RbmOptions) -> tuple[Path, list[str]]:
    """Return the datasets root and the keys to ask about; PATH is the root, or one dataset in it."""
    path = Path(options.dataset_path)
    single = (path / PROCESSED).is_dir()
    root, there = (path.resolve().parent, [path.resolve().name]) if single else (path, available_keys(path))
    if not there:
        raise ConfigError(
            f"`dataset_path` must hold processed datasets (<name>/{PROCESSED}), but {path} holds none; recordings are "
            "turned into some by `rfm ingest`"
        )
    if unknown := [key for key in options.datasets if key not in there]:
        raise ConfigError(f"`datasets` must be among {', '.join(there)}, but one is {unknown[0]!r}")
    return root, list(dict.fromkeys(options.datasets)) or there


def draw(options: RbmOptions, root: Path, keys: Sequence[str], frames: int, *, discrete: bool) -> tuple[Exam, Drawn]:
    """Draw all questions; ConfigError where no dataset supports any."""
    overrides = (f"data.max_frames={frames}", f"data.prefixes_per_episode={options.prefixes}")
    config = load_config("config", (*overrides, f"data.discrete_progress={str(discrete).lower()}"))
    config.data.datasets_root, config.data.eval_datasets = str(root), list(keys)
    drawn = Drawn()
    for key in keys:
        _check_inside(Path(options.dataset_path), root, key)
        catalog = load_catalog(root, [key])
        drawn.catalogs.append(catalog)
        drawn.datasets[key] = {name: _draw_set(drawn, catalog, config, name, options) for name in options.sets}
    if not drawn.tables:
        reasons = (f"{key} has no {name}: {why}" for key, name, why in drawn.without)
        raise ConfigError("\n".join(["no question can be asked of these datasets:", *reasons]))
    return _exam(drawn, config, root, keys), drawn


def _draw_set(drawn: Drawn, catalog: Catalog, config: ExperimentConfig, name: str, options: RbmOptions) -> Numbers:
    """Draw the questions of one set of one dataset, and return what was drawn, or why nothing was."""
    try:
        batches = _batches(drawn, catalog, config, name, options)
    except ConfigError as error:
        return {"why_not": str(error)}
    table = pa.Table.from_batches(batches)
    if name == "confusion":
        table = _of_first(table, options.episodes)
    table = _under_key(table, catalog.keys[0])
    drawn.tables.append(table)
    return {
        "rows": len(table),
        "episodes": len(table["trajectory_id"].unique()),
        "tasks": len(table["task"].unique()),
        "trajectories": len(catalog),
        "unreadable": len(catalog.unreadable),
        "max_frames": config.data.max_frames,
        **({"prefixes": options.prefixes} if name == "alignment" else {}),
        "seed": options.draw_seed,
    }


def _batches(
    drawn: Drawn, catalog: Catalog, config: ExperimentConfig, name: str, options: RbmOptions
) -> list[pa.RecordBatch]:
    """Return the questions of one set, remembering their hashes; ConfigError where there are none.

    Alignment is the correlation of successes, so `episodes` counts these. Of confusion there are as many rows as so
    many episodes may have at most, of which not all instructions are asked.
    """
    used = catalog.select(catalog.quality == SUCCESSFUL) if name == "alignment" else catalog
    if not len(used):
        raise ConfigError(f"of its {len(catalog)} trajectories that can be used, none is successful")
    limit = {"alignment": options.episodes * options.prefixes, "confusion": options.episodes * len(used.tasks)}
    plan = Plan(used, config, options.draw_seed, limit.get(name), eval_set=SETS[name], cutoffs={})
    drawer = plan.drawer()
    chunks = list(draw_chunks(plan, drawer, 0, drawer.quotas.total))
    drawn.digests += [chunk.digest for chunk in chunks]
    return [chunk.rows for chunk in chunks]


def _of_first(table: pa.Table, episodes: int) -> pa.Table:
    """Return the rows of the first so many episodes, whose rows stand together."""
    _, begin = np.unique(table["trajectory_id"].to_pylist(), return_index=True)
    ends = [*np.sort(begin)[1:], len(table)]
    return table.slice(0, int(ends[min(episodes, len(ends)) - 1]))


def _under_key(table: pa.Table, key: str) -> pa.Table:
    """Return rows whose source and trajectory say of which dataset they are."""
    names = pa.array([key] * len(table), pa.string())
    episodes = pc.binary_join_element_wise(names, table["trajectory_id"], "/")
    for column, values in (("data_source", names), ("trajectory_id", episodes)):
        table = table.set_column(table.schema.get_field_index(column), column, values)
    return table


def _exam(drawn: Drawn, config: ExperimentConfig, root: Path, keys: Sequence[str]) -> Exam:
    dataset = Dataset(InMemoryTable(pa.concat_tables(drawn.tables)))
    hashes = source_hashes(root, keys)
    record: dict[str, Any] = {
        "config": as_dict(config),
        "prompt_version": PROMPT_VERSION,
        "source_hashes": hashes,
        "content_hash": hashlib.sha256("".join([*drawn.digests, *hashes.values()]).encode()).hexdigest(),
    }
    tasks = NO_TASKS
    for catalog in drawn.catalogs:
        tasks = tasks.joined(known_tasks(catalog))
    return Exam(dataset, record, root, columns_of(dataset), {}, tasks)


def _check_inside(folder: Path, root: Path, key: str) -> None:
    """Raise DataError where rows name frames outside the folder; before a frame count is looked up in one."""
    base = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118
    for path in read_columns(root / key, ("frames",))["frames"].unique().to_pylist():
        if not isinstance(path, str) or "\0" in path:
            continue  # the catalog says what is wrong with that row
        full = os.path.realpath(root / path)
        if not full.startswith(base):
            raise DataError(f"`frames` of {root / key} must lie in {folder}, but `{path}` leads to {full}")
