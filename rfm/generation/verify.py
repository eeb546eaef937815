"""Draw a dataset again from its `generation_config.json` and compare: `rfm generate --verify PATH`.

Every row and every column is compared, and the hashes of the sources; frames are not read. Memory is that of the
catalog plus a chunk.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa

from rfm.configs.compose import config_from
from rfm.errors import DataError
from rfm.generation import drawing
from rfm.generation.columns import HASH_VERSION
from rfm.generation.drawing import Plan, draw_chunks
from rfm.generation.sources import open_sources
from rfm.vqa.dataset import CONFIG_FILE, load_dataset
from rfm.vqa.prompts import PROMPT_VERSION

logger = logging.getLogger(__name__)

_NEEDED = ("config", "partition", "eval_mode", "num_samples", "seed", "prompt_version", "source_hashes", "content_hash")


def verify(path: Path, datasets_root: str | None = None, split_file: str | None = None) -> Path:
    """Return `path` if drawing again gives the same rows from the same sources; the others say where those are now.

    Raises:
        DataError: something differs; names changed sources and the first row and column that differ.

    """
    dataset, record = load_dataset(path)
    if missing := [name for name in _NEEDED if name not in record]:
        raise DataError(
            f"`verify` {path} must have {', '.join(missing)} in {CONFIG_FILE}, but has not; only datasets made by "
            "`rfm generate` can be drawn again"
        )
    plan, changed = _plan_of(record, datasets_root, split_file)
    faults = [f"source {name} has changed since: {why}" for name, why in changed.items()]
    if record["prompt_version"] != PROMPT_VERSION:
        faults.append(f"prompts are of version {record['prompt_version']}, this package has version {PROMPT_VERSION}")
    if (version := record.get("hash_version", 1)) != HASH_VERSION:
        faults.append(f"its content hash is of version {version}, this package has version {HASH_VERSION}")
    if difference := _first_difference(
        plan, dataset.data.table, record["content_hash"] if version == HASH_VERSION else None
    ):
        faults.append(difference)
    elif faults:
        faults.append("all rows are the same nevertheless")
    if faults:
        raise DataError("\n".join([f"`verify` {path} is not what drawing again gives:", *faults]))
    logger.info("%s: all %d rows and %d sources are the same", path, len(dataset), len(record["source_hashes"]))
    return path


def _plan_of(record: dict[str, Any], datasets_root: str | None, split_file: str | None) -> tuple[Plan, dict[str, str]]:
    """Return what the rows were drawn from, and how each source differs that does."""
    config = config_from(record["config"])
    config.data.datasets_root = datasets_root or record.get("datasets_root")
    config.data.split_file = split_file or config.data.split_file
    if config.data.split_file is not None and not Path(config.data.split_file).is_file():
        raise DataError(
            f"`verify` must read the split that rows were drawn by, but {config.data.split_file} is no file; name it "
            "by --config_overrides data.split_file=…"
        )
    sources = open_sources(config, record["partition"])
    changed = {
        key: f"sha256 {record['source_hashes'].get(key)} then, {digest} now"
        for key, digest in sources.hashes.items()
        if record["source_hashes"].get(key) != digest
    }
    if record.get("split") != sources.split:
        changed[str(config.data.split_file)] = "its settings or sides are others"
    plan = Plan(
        sources.catalog,
        config,
        record["seed"],
        record["num_samples"],
        eval_mode=record["eval_mode"],
        eval_set=record.get("eval_set"),
        cutoffs=record.get("success_cutoffs"),
    )
    return plan, changed


def _first_difference(plan: Plan, there: pa.Table, content_hash: str | None) -> str | None:
    drawer = plan.drawer()
    total = drawer.quotas.total
    if total != there.num_rows:
        return f"{there.num_rows} rows there, {total} drawn again"
    hashes = []
    for number, batch, digest in draw_chunks(plan, drawer, 0, total):
        start, again = number * drawing.CHUNK, pa.Table.from_batches([batch])
        if difference := compare(there.slice(start, batch.num_rows), again, start):
            return difference
        hashes.append(digest)
    if content_hash not in (None, hashlib.sha256("".join(hashes).encode()).hexdigest()):
        return f"all rows are the same, but they do not have the `content_hash` of {CONFIG_FILE}"
    return None


def compare(there: pa.Table, again: pa.Table, start: int) -> str | None:
    """Return what differs first between two tables of equally many rows; `start` is the number of their first row."""
    if list(there.column_names) != list(again.column_names):
        return f"columns are {', '.join(there.column_names)} there, {', '.join(again.column_names)} drawn again"
    if all(_same(there, again, name) for name in again.column_names):
        return None
    low, high = 0, again.num_rows - 1
    while low < high:  # the first row at which what comes before it and itself differ
        middle = (low + high) // 2
        same = all(_same(there.slice(0, middle + 1), again.slice(0, middle + 1), name) for name in again.column_names)
        low, high = (middle + 1, high) if same else (low, middle)
    rows = there.slice(low, 1), again.slice(low, 1)
    name = next(name for name in again.column_names if not _same(*rows, name))
    old, new = (row.column(name)[0].as_py() for row in rows)
    return f"row {start + low}, `{name}`: {old!r} there, {new!r} drawn again"


def _same(there: pa.Table, again: pa.Table, name: str) -> bool:
    return bool(there.column(name).equals(again.column(name)))
