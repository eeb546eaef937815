"""What a trajectory dataset consists of that an ingest or a merge wrote, and may replace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from rfm.errors import DataError
from rfm.files.documents.json_documents import json_lines
from rfm.files.ownership import MADE_FROM, Kind, named
from rfm.files.staging import staged_file
from rfm.frames.npz.file import npz_frames_shape
from rfm.trajectories.store import PROCESSED, read_columns

REJECTED = "rejected.jsonl"
"""Episodes left out, and why."""
_SUMMARY = "dataset_info.json"
_SAVED = rf"{PROCESSED}/(state\.json|dataset_info\.json|data-\d+-of-\d+\.arrow|cache-\w+\.arrow)"
TRAJECTORIES = Kind(
    "a trajectory dataset",
    "output",
    (_SUMMARY, MADE_FROM, REJECTED),
    named(rf"frames/(trajectory_|\d{{6}}_)[^/]*\.npz|{_SAVED}|{_SUMMARY}|{REJECTED}|{MADE_FROM}"),
)


def may_replace(output: Path, *, overwrite: bool) -> bool:
    """What a run left that rejected everything is no dataset: it may be replaced unasked."""
    return overwrite or not (output / PROCESSED).exists()


def is_whole(folder: Path) -> bool:
    """Whether a dataset has its rows, and for each a file of frames that is not cut off."""
    try:
        rows = read_columns(folder, ("frames",))["frames"].to_pylist()
        return all(npz_frames_shape(folder / "frames" / Path(path).name)[0] for path in rows)
    except DataError:
        return False


def write_rejected(folder: Path, rejected: Iterable[Mapping[str, object]]) -> None:
    """Write the episodes that were left out; no file where there are none."""
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in rejected]
    (folder / REJECTED).unlink(missing_ok=True)
    if lines:
        with staged_file(folder / REJECTED) as staged:
            staged.write_text("".join(lines), encoding="utf-8")


def read_rejected(folder: Path) -> list[dict[str, str]]:
    """Return the episodes that were left out."""
    return [line.value for line in json_lines(folder / REJECTED)] if (folder / REJECTED).exists() else []
