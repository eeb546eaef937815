"""What a checkpoint remembers of its training: the options, and the dataset with its content hash.

`training_options.json` and `training_data.json` beside the weights; model cards are written from them, and a merged
model keeps them. A checkpoint from elsewhere has neither, and then nothing is said about its training.

On this machine they hold whole paths, which `rfm export merge` finds its rows by. What leaves it, in model cards and
uploads, has the last part of each absolute path only.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

from rfm.files.documents.json_documents import read_json_object
from rfm.files.documents.shapes import COUNT, TEXT, Shape, fields, fitted, listed, named, nullable
from rfm.vqa.provenance import FILE as TRAINED_ON

OPTIONS_FILE = "training_options.json"
DATA_FILE = "training_data.json"
_KEPT = ("config_overrides", "content_hash", "counts", "eval_set", "num_samples", "seed", "source_hashes", "versions")
"""What is kept of `generation_config.json`."""


_ABSOLUTE = re.compile(r"""(?<![^=\[,'"\s])(?:~|[A-Za-z]:)?[/\\][^,\]'"]*""")
"""An absolute path: a whole text, or a value in an override such as `data.train_datasets=[/a/b,c]`."""


_WAY_OUT = "copy the checkpoint again, or delete the file: nothing is said about its training then"
_OPTIONS = fields({}, {"model_name": nullable(TEXT), "run_name": nullable(TEXT)})
COUNTS = named(fields({"total": COUNT}, {"strategies": named(COUNT)}))
"""Rows by sample type, and of each by strategy."""
_DATA = fields(
    {"dataset_path": TEXT, "rows": COUNT},
    {
        "content_hash": nullable(TEXT),
        "counts": nullable(COUNTS),
        "source_hashes": nullable(named(TEXT)),
        "config_overrides": nullable(listed(TEXT)),
    },
)


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
    """Read what a checkpoint folder remembers; `DataError` where a file of it is damaged."""
    return TrainingRecord(_read(folder / OPTIONS_FILE, _OPTIONS), _read(folder / DATA_FILE, _DATA))


def copy_record(source: Path, target: Path) -> None:
    """Give what one checkpoint folder remembers to another, the trajectories it was trained on included."""
    for name in (OPTIONS_FILE, DATA_FILE, TRAINED_ON):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def public_record(folder: Path) -> dict[str, bytes]:
    """Return what a checkpoint folder's record is when it leaves this machine, by file name."""
    paths = [folder / name for name in (OPTIONS_FILE, DATA_FILE) if (folder / name).is_file()]
    return {path.name: _text(without_folders(read_json_object(path))).encode() for path in paths}


def without_folders(value: Any) -> Any:
    """Return JSON-able values with absolute paths cut down to their last part."""
    if isinstance(value, str):
        return _ABSOLUTE.sub(lambda found: PureWindowsPath(found[0]).name, value)  # which knows both separators
    if isinstance(value, Mapping):
        return {name: without_folders(one) for name, one in value.items()}
    return [without_folders(one) for one in value] if isinstance(value, (list, tuple)) else value


def _read(path: Path, shape: Shape) -> dict[str, Any]:
    return fitted(read_json_object(path, way_out=_WAY_OUT), shape, str(path)) if path.is_file() else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(_text(content), encoding="utf-8")


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
