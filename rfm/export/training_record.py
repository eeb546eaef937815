"""What a checkpoint remembers of its training: the options, and the dataset with its content hash.

`training_options.json` and `training_data.json` beside the weights; model cards are written from them, and a merged
model keeps them. A checkpoint from elsewhere has neither, and then nothing is said about its training.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rfm.batch.input_format import read_json
from rfm.vqa.provenance import FILE as TRAINED_ON

OPTIONS_FILE = "training_options.json"
DATA_FILE = "training_data.json"
_KEPT = ("config_overrides", "content_hash", "counts", "eval_set", "num_samples", "seed", "source_hashes", "versions")
"""What is kept of `generation_config.json`."""


class TrainingRecord(NamedTuple):
    """Empty mappings where a checkpoint has no such file."""

    options: dict[str, Any]
    data: dict[str, Any]


def write_record(
    folder: Path, options: Mapping[str, Any], dataset_path: str, rows: int, generation: Mapping[str, Any]
) -> None:
    """Write both files into a checkpoint folder; `generation` is the dataset's `generation_config.json`."""
    kept = {name: generation[name] for name in _KEPT if name in generation}
    _write(folder / OPTIONS_FILE, dict(options))
    _write(folder / DATA_FILE, {"dataset_path": str(Path(dataset_path).absolute()), "rows": rows, **kept})


def read_record(folder: Path) -> TrainingRecord:
    """Read what a checkpoint folder remembers."""
    paths = (folder / OPTIONS_FILE, folder / DATA_FILE)
    return TrainingRecord(*(read_json(path) if path.is_file() else {} for path in paths))


def copy_record(source: Path, target: Path) -> None:
    """Give what one checkpoint folder remembers to another, the trajectories it was trained on included."""
    for name in (OPTIONS_FILE, DATA_FILE, TRAINED_ON):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
