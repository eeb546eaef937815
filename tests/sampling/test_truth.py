"""Rows against an oracle that knows the contract alone (`sampling.truth`).

    RFM_ORACLE_ROWS=20000 pytest tests/sampling/test_truth.py

judges 20,000 rows of each world and setting; by default 600.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import load_from_disk
from sampling.true_worlds import CUTOFFS, KEY, WORLDS, Record, write_world
from sampling.truth import Contract

from rfm.configs.experiment_configs import DataConfig
from rfm.generation.columns import record_batch
from rfm.ingest.bundled import bundled_root
from rfm.sampling.sampler import NothingToAsk, Sampler
from rfm.trajectories.catalog import load_catalog

ROWS = int(os.environ.get("RFM_ORACLE_ROWS", "600"))
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "from the first frame": {"progress_pred_type": "absolute_first_frame", "max_frames": 4},
    "differences": {"progress_pred_type": "relative_first_frame", "max_frames": 8},
    "levels": {"discrete_progress": True, "dataset_type": "trajectory_first"},
    "steps": {"progress_step": 5, "source_weights": "proportional", "max_frames": 33},
    "one source": {"traj_same_source_prob": 1.0, "strategies_per_sample": 2},
    "original": {"mixture": "original"},
    "evaluation": {"eval_mode": True},
}


def rows_of(
    root: Path, key: str, total: int, *, eval_mode: bool = False, side: int | None = None, **data: Any
) -> list[dict[str, Any]]:
    """Rows of every sample type that the world supports; of one of the two sides of a split of it."""
    catalog = load_catalog(root, [key])
    if side is not None:
        of_file = np.random.default_rng(7).integers(0, 2, int(catalog.file_code.max()) + 1)
        catalog = catalog.select(of_file[catalog.file_code] == side)
    rows = []
    for place in range(3):
        ratio = [float(place == kind) for kind in range(3)]
        settings = DataConfig(sample_type_ratio=ratio, **data)
        try:
            drawer = Sampler(catalog, settings, total=total // 3, seed=place, eval_mode=eval_mode, cutoffs=CUTOFFS)
        except NothingToAsk:
            continue
        block = drawer.draw(0, total // 3)
        rows += record_batch(drawer, block, discrete=settings.discrete_progress).to_pylist()
    return rows


def contract_of(records: list[Record], **data: Any) -> Contract:
    """The contract with what it has to know of the settings."""
    names = {"max_frames": "max_frames", "progress_pred_type": "pred_type", "discrete_progress": "discrete"}
    names["progress_step"] = "step"
    settings = {names[key]: value for key, value in data.items() if key in names}
    same_source = data.get("traj_same_source_prob", DataConfig().traj_same_source_prob) == 1.0
    return Contract(records, cutoffs=CUTOFFS, same_source=same_source, **settings)


def broken(contract: Contract, rows: list[dict[str, Any]]) -> Counter:
    """How often each rule is broken by the rows of each strategy."""
    found: Counter = Counter()
    for row in rows:
        for fault in contract.faults(row):
            found[row["sample_type"], row["data_gen_strategy"], fault.split(":")[0]] += 1
    return found


@pytest.fixture(scope="module", params=sorted(WORLDS))
def world(request, tmp_path_factory) -> tuple[Path, list[Record]]:
    records = WORLDS[request.param](np.random.default_rng(0))
    root = tmp_path_factory.mktemp(request.param)
    write_world(root, records)
    return root, records


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_row_is_true(world: tuple[Path, list[Record]], settings: dict[str, Any]) -> None:
    root, records = world
    rows = rows_of(root, KEY, ROWS, **settings)
    assert len(rows) >= ROWS // 3
    assert not broken(contract_of(records, **settings), rows)


@pytest.mark.parametrize("side", [0, 1])
def test_every_row_of_a_side_of_a_split_is_true_by_what_all_sides_say(
    world: tuple[Path, list[Record]], side: int
) -> None:
    root, records = world
    contract = contract_of(records)
    contract.texts_of_source = {source: {*contract.ids_of_text} for source in contract.texts_of_source}
    assert not broken(contract, rows_of(root, KEY, ROWS, side=side))


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("key", ["metaworld_train", "metaworld_eval"])
def test_every_row_of_the_bundled_videos_is_true(key: str, settings: dict[str, Any]) -> None:
    root = bundled_root()
    records = [_from_disk(row) for row in load_from_disk(str(root / key / "processed_dataset"))]
    assert not broken(contract_of(records, **settings), rows_of(root, key, ROWS, **settings))


def _from_disk(row: dict[str, Any]) -> Record:
    entries = row.get("progress_by_task") or []
    return {**row, "progress_by_task": {entry["task_id"]: entry["progress"] for entry in entries}}
