"""`rfm ingest hdf5`: demonstrations of simulators in HDF5, in the layouts of robomimic and LIBERO.

    data/demo_0/obs/<camera>     uint8 (T, H, W, 3): `agentview_image` (robomimic), `agentview_rgb` (LIBERO)
    data/demo_0/rewards, dones   one value a step
    data (attributes)            LIBERO: `problem_info`, JSON with `language_instruction`

LIBERO stores the renderer's rows from the bottom up; they are put right. robomimic does so itself when it renders.
robomimic records no instruction: `--task` gives it, but where a demo has one (`ep_meta`, JSON with `lang`). That a
demonstration succeeded is not recorded in a way both share, so the user gives a rule (`--label successful`,
`--label_column rewards`).

Only the chosen frames are read. Links to other files are not followed, and what a file declares is held against what it
stores before memory is taken.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rfm.errors import ConfigError, DataError, MissingExtraError
from rfm.frames.video import MOST_PIXELS, Video, evenly_spaced
from rfm.ingest.episode import Episode, IngestOptions
from rfm.ingest.labels import LabelOptions, LabelRule
from rfm.ingest.options import run_ingest
from rfm.ingest.reading import confined, file_identity, rejected, video_of

SUFFIXES = (".hdf5", ".h5")

_MOST_RATIO = 1100
"""Deflate shrinks at most 1032 times."""
_MOST_STEPS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class IngestHdf5Options(LabelOptions):
    """Turn HDF5 demonstrations (robomimic, LIBERO; a file, or a folder of them) into a trajectory dataset."""

    camera: str | None = field(
        default=None, metadata={"help": "Observation with pictures; needed where there are several"}
    )
    flip: bool | None = field(
        default=None, metadata={"help": "Turn pictures upside down; default: those of LIBERO, which are stored so"}
    )


def ingest_hdf5_command(options: IngestHdf5Options) -> int:
    """Run `rfm ingest hdf5`; status 1 if an episode was rejected."""
    return run_ingest(hdf5_episodes, options)


@dataclass(frozen=True)
class Hdf5Pictures:
    """The pictures of one camera in one demonstration."""

    path: Path
    demo: str
    camera: str
    flip: bool

    def read(self, options: IngestOptions) -> Video:
        """Read the chosen frames, one at a time."""
        with opened(self.path) as file:
            pictures = checked_pictures(file, self.path, self.demo, self.camera)
            indices = evenly_spaced(pictures.shape[0], options.max_frames)
            frames = (options.sized(self._upright(pictures[at])) for at in indices.tolist())
            return video_of(frames, indices, pictures.shape[0], 0.0, f"{self.demo} of {self.path}")

    def identity(self) -> str:
        """The file, and what of it is read how."""
        return f"{file_identity(self.path)} {self.demo} {self.camera} {self.flip}"

    def _upright(self, frame: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(frame[::-1]) if self.flip else frame


def hdf5_episodes(options: IngestHdf5Options) -> Iterator[Episode]:
    """The demonstrations of all files, `demo_2` before `demo_10`; faulty ones with their reason."""
    root = Path(options.path)
    rule = LabelRule(options)
    for path in find_files(root):
        stem = options.source_name if root.is_file() else f"{options.source_name}_{path.stem}"
        try:
            if root.is_dir():
                confined(root, str(path.relative_to(root)), "a file")
            with opened(path) as file:
                yield from _demos(file, path, stem, rule, options)
        except DataError as error:
            yield rejected(stem, options.source_name, error)
    rule.finish()


def find_files(path: Path) -> list[Path]:
    """The file, or all HDF5 files below the folder."""
    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES) if path.is_dir() else []
    if not found:
        raise ConfigError(f"PATH must be an HDF5 file or a folder of them ({', '.join(SUFFIXES)}), but is {path}")
    return found


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The open file; whatever h5py finds wrong within the block is a DataError."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("HDF5 files need the package h5py: pip install 'rfm-vqa[hdf5]'") from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # TypeError: names that are no UTF-8
        raise DataError(f"{path} must be a readable HDF5 file, but reading it gives: {error}") from error


def member(group: Any, name: str, place: str) -> Any:
    """`group[name]`, step by step, without following a link to another file; DataError where it is not there."""
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            held = (", ".join(group) if isinstance(group, h5py.Group) else "") or "no members"
            raise DataError(f"{place} must have `{name}`, but has {held}")
        if isinstance(link, h5py.ExternalLink):
            raise DataError(f"`{name}` of {place} must lie in the file itself, but is a link to {link.filename}")
        group = group[part]
    return group


def checked_pictures(file: Any, path: Path, demo: str, camera: str) -> Any:
    """The dataset with a camera's pictures, whose type and size can be relied on."""
    place = f"{demo} of {path}"
    pictures = member(file, f"data/{demo}/obs/{camera}", place)
    shape = getattr(pictures, "shape", None)
    if shape is None or pictures.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3:
        kind = "a group" if shape is None else f"{pictures.dtype} of shape {shape}"
        raise DataError(f"`{camera}` of {place} must be uint8 of shape (T, H, W, 3), but is {kind}")
    if min(shape) < 1:
        raise DataError(f"`{camera}` of {place} must have at least one frame, but has shape {shape}")
    if pictures.external or pictures.is_virtual:
        raise DataError(f"`{camera}` of {place} must lie in the file itself, but lies in another")
    _check_stored(pictures, f"`{camera}` of {place}")
    return pictures


def _check_stored(data: Any, place: str) -> None:
    """DataError where a dataset declares more than its file can hold."""
    declared, stored = math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size()
    if declared > stored * (_MOST_RATIO if data.compression else 1):
        raise DataError(f"{place} must be stored in full, but declares {declared} bytes and stores {stored}")
    if len(data.shape) == 4 and data.shape[1] * data.shape[2] > MOST_PIXELS:
        raise DataError(f"{place} must have at most {MOST_PIXELS} pixels a frame, but has shape {data.shape}")


def _demos(file: Any, path: Path, stem: str, rule: LabelRule, options: IngestHdf5Options) -> Iterator[Episode]:
    data = member(file, "data", str(path))
    problem = _json_attribute(data, "problem_info")
    libero = "language_instruction" in problem or "bddl_file_name" in data.attrs
    names = list(data)
    if not all(isinstance(name, str) for name in names):
        raise DataError(f"the names in `data` of {path} must be UTF-8 text, but are not")
    for demo in sorted(names, key=_natural):
        name = f"{stem}_{demo}"
        try:
            camera = _camera(member(data, f"{demo}/obs", str(path)), options.camera)
            checked_pictures(file, path, demo, camera)
            group = member(data, demo, str(path))
            label = rule.label(
                (name, f"{path.stem}/{demo}", demo), _values(group, options.label_column), options.label_column or ""
            )
            yield Episode(
                id=name,
                task=options.task or _instruction(group, problem, f"{demo} of {path}"),
                data_source=options.source_name,
                source=Hdf5Pictures(path, demo, camera, libero if options.flip is None else options.flip),
                quality_label=label.quality,
                partial_success=label.partial_success,
            )
        except DataError as error:
            yield rejected(name, options.source_name, error)


def _camera(observations: Any, name: str | None) -> str:
    """The observation with the pictures of camera `name`, or of the only one; ConfigError lists them all."""
    place = observations.name
    cameras = [key for key in observations if len(getattr(member(observations, key, place), "shape", ())) == 4]
    shown = ", ".join(cameras)
    if not cameras:
        raise DataError(f"{place} must have pictures (T, H, W, 3), but has {', '.join(observations)}")
    if name is None and len(cameras) > 1:
        raise ConfigError(f"--camera must name one of {shown}, but is not given")
    found = [key for key in cameras if name in (None, key, key.rpartition("_")[0])]
    if not found:
        raise ConfigError(f"--camera must name one of {shown}, but is `{name}`")
    return str(found[0])


def _instruction(group: Any, problem: dict[str, Any], place: str) -> str:
    """LIBERO's, which some versions store as a list of characters, or the demo's own."""
    text = _json_attribute(group, "ep_meta").get("lang") or problem.get("language_instruction") or ""
    text = ("".join(text) if isinstance(text, list) else str(text)).strip().strip('"')
    if not text:
        raise DataError(f"{place} must have an instruction, but has none: give --task")
    return text


def _values(group: Any, column: str | None) -> Sequence[Any] | None:
    if column is None:
        return None
    if column in group.attrs:
        return np.asarray(group.attrs[column]).reshape(-1).tolist()
    if column not in group:
        held = ", ".join([*group, *group.attrs])
        raise ConfigError(f"--label_column must name one of {held}, but is `{column}`")
    data = member(group, column, group.name)
    if len(data.shape) > 1 or data.dtype.kind not in "biuf" or math.prod(data.shape) > _MOST_STEPS:
        raise DataError(f"`{column}` of {group.name} must have one number a step, but is {data.dtype} {data.shape}")
    _check_stored(data, f"`{column}` of {group.name}")
    return np.asarray(data[()]).reshape(-1).tolist()


def _json_attribute(group: Any, name: str) -> dict[str, Any]:
    """An attribute with a JSON object; empty where there is none."""
    text = group.attrs.get(name, "{}")
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
