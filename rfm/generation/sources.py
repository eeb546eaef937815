"""The trajectories that a dataset is drawn from, and hashes of them that tell later whether they are still the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rfm.configs.experiment_configs import ExperimentConfig
from rfm.configs.source_weights import check_sources_exist
from rfm.errors import ConfigError
from rfm.ingest.bundled import bundled_root
from rfm.splits.file import read_split, select_side
from rfm.trajectories.catalog import Catalog, available_keys, load_catalog, resolve_root
from rfm.trajectories.hashes import source_hashes


class Sources(NamedTuple):
    """Trajectories with the sha256 of each dataset's Arrow files, and the side of the split that they are."""

    catalog: Catalog
    hashes: dict[str, str]
    split: dict[str, Any] | None
    """`Split.record`; None where no split file is set."""


def open_sources(config: ExperimentConfig, partition: str) -> Sources:
    """Load the trajectories of a partition; the root found is written into the configuration.

    A partition is `train` or `eval`, or a side of `data.split_file`; a split file divides `data.train_datasets`.

    Raises:
        ConfigError: there is no such partition, the split lacks trajectories, or `data.source_weights` names sources
            that training datasets lack.

    """
    split = read_split(config.data.split_file) if config.data.split_file else None
    if split is None and partition not in ("train", "eval"):
        raise ConfigError(
            f"`partition` must be train or eval, but is {partition}; the sides of a split need `data.split_file`"
        )
    root = resolve_root(config.data.datasets_root) or bundled_root()
    config.data.datasets_root = str(root)
    if split is None and partition == "eval":
        _check_held_out(root, config.data.eval_datasets)
    keys = config.data.train_datasets if split is not None or partition == "train" else config.data.eval_datasets
    catalog = load_catalog(root, keys)
    hashes = source_hashes(root, keys)
    if keys is config.data.train_datasets:
        check_sources_exist(config.data.source_weights, catalog.sources.to_pylist())
    if split is None:
        return Sources(catalog, hashes, None)
    return Sources(select_side(catalog, split, partition, hashes), hashes, split.record(partition))


def _check_held_out(root: Path, keys: Sequence[str]) -> None:
    there = available_keys(root)
    if keys and set(keys) <= set(there):
        return
    named = ", ".join(f"`{key}`" for key in there) or "none"
    raise ConfigError(
        f"`partition` eval must have its trajectories in data.eval_datasets={list(keys)}, but the datasets under "
        f"{root} are {named}; name others by data.eval_datasets=…, hold some of data.train_datasets out by `rfm split` "
        "and name a side of its file by --partition, or ask about what is trained on by --partition train"
    )
