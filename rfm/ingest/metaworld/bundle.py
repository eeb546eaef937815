"""The files of a bundle: `videos/<id>.mp4`, `manifest.jsonl`, `states.npz`, `generation.json`.

`states.npz` (no pickles) holds, stacked over episodes in the manifest's order: `id` [n]; `task` [n]; `qpos` [n, 32, q]
padded with NaN to the longest, of which `num_qpos` [n] count; `mocap_pos` [n, 32, 3]; `object` [n, 32, 3],
`goal` [n, 3], `axes` [n, 3] and `threshold` [n], from which progress follows; `success` [n, 32]; `step` [n, 32], the
simulator step of each frame. While a bundle is being made, each finished episode waits in `parts/`. Every file appears
by renaming, so that nothing is ever half there, and a part only after its video.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rfm.errors import DataError
from rfm.files.documents.json_documents import json_lines, parse_json
from rfm.files.staging import remove_leftovers, staged_file

Row = dict[str, Any]
"""One line of the manifest."""
Arrays = Mapping[str, Any]
"""Named numpy arrays."""

_HALF_A_VIDEO = re.compile(r".+\.\d+\.partial")
MANIFEST, STATES, SETTINGS, PARTS, VIDEOS = "manifest.jsonl", "states.npz", "generation.json", "parts", "videos"


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with staged_file(path) as staged:
        staged.write_text(text, encoding="utf-8")


def write_manifest(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as lines of JSON, whole or not at all."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write a compressed .npz whole or not at all."""
    with staged_file(path) as staged, staged.open("wb") as file:
        np.savez_compressed(file, **arrays)


def claim(output: Path, settings: Mapping[str, Any]) -> None:
    """Make the folder this generation's, or check that it already is. Raises DataError where it is another's."""
    if not (output / SETTINGS).exists() and (foreign := _foreign(output)) is not None:
        raise DataError(
            f"`output` must be a new folder or one begun by this command, but {foreign} is there and was not "
            "written by it; choose another folder"
        )
    (output / VIDEOS).mkdir(parents=True, exist_ok=True)
    path, wanted = output / SETTINGS, json.dumps(settings, indent=2) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != wanted:
        found = " ".join(path.read_text(encoding="utf-8").split())
        raise DataError(
            f"`output` must be a new folder or one begun with the same settings, but {path} holds {found} instead of"
            f" {' '.join(wanted.split())}; choose another folder or delete this one"
        )
    write_text(path, wanted)
    for folder in (output, output / VIDEOS, output / PARTS):  # of a run that was killed
        if folder.is_dir():
            remove_leftovers(folder)
    for leftover in (output / VIDEOS).iterdir():
        if _HALF_A_VIDEO.fullmatch(leftover.name):
            leftover.unlink()


def _foreign(output: Path) -> Path | None:
    """Return something in the way of a new bundle: a file of its names, or a folder of its names that holds any."""
    in_the_way = (output / name for name in (MANIFEST, STATES, VIDEOS, PARTS))
    return next((path for path in in_the_way if path.is_file() or (path.is_dir() and any(path.iterdir()))), None)


def part_path(output: Path, episode_id: str) -> Path:
    """Where a finished episode waits for the others."""
    return output / PARTS / f"{episode_id}.npz"


def write_part(output: Path, row: Row, arrays: Arrays) -> None:
    """Keep a finished episode; its video must be there already."""
    (output / PARTS).mkdir(exist_ok=True)
    write_arrays(part_path(output, row["id"]), {**arrays, "row": np.array(json.dumps(row))})


def _read_part(path: Path) -> tuple[Row, dict[str, np.ndarray]]:
    with np.load(path, allow_pickle=False) as part:
        arrays = {name: part[name] for name in part.files}
    return parse_json(str(arrays.pop("row")), str(path)), arrays


def close(output: Path, episode_ids: Sequence[str], finish: Callable[[Path, list[Row]], list[Row]]) -> list[Row]:
    """Gather the parts into `states.npz` and `manifest.jsonl` (last: it marks a complete bundle), then drop them.

    `finish` gives the rows their final form, knowing all of them.
    """
    parts = [_read_part(part_path(output, episode_id)) for episode_id in episode_ids]
    rows = finish(output, [row for row, _ in parts])
    write_arrays(output / STATES, {"id": np.array(episode_ids), **_stack([arrays for _, arrays in parts])})
    write_manifest(output / MANIFEST, rows)
    drop_parts(output)
    return rows


def drop_parts(output: Path) -> None:
    """Delete `parts/`, which a complete bundle no longer needs."""
    for path in (output / PARTS).glob("*"):
        path.unlink()
    if (output / PARTS).exists():
        (output / PARTS).rmdir()


def _stack(parts: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """Arrays stacked by name; `qpos` padded with NaN, since scenes have different numbers of joints."""
    most = max(part["qpos"].shape[1] for part in parts)
    padded = [np.pad(p["qpos"], ((0, 0), (0, most - p["qpos"].shape[1])), constant_values=np.nan) for p in parts]
    stacked = {name: np.stack([part[name] for part in parts]) for name in parts[0] if name != "qpos"}
    return {**stacked, "qpos": np.stack(padded), "num_qpos": np.array([p["qpos"].shape[1] for p in parts])}


def read_manifest(output: Path) -> list[Row]:
    """The rows of a complete bundle."""
    lines = list(json_lines(output / MANIFEST))
    if fault := next((f"line {line.number} {line.fault}" for line in lines if line.fault is not None), None):
        raise DataError(f"{output / MANIFEST} {fault}; delete {output} and film it again")
    return [line.value for line in lines]
