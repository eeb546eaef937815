"""`rfm ingest zarr`: replay buffers of diffusion_policy and UMI, Zarr stores in a folder or a zip.

    data/<camera>         (N, H, W, 3), the frames of all episodes one after the other: uint8, or floats 0 to 255
    meta/episode_ends     where each episode ends, counted in frames from the beginning

Neither text nor success is recorded, so the user says both (`--task …`, `--label …`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rfm.errors import ConfigError, DataError
from rfm.files.limits import check_pixels
from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.decoding import Video
from rfm.ingest.episode import Episode, IngestOptions
from rfm.ingest.listing.finding import Found, natural
from rfm.ingest.options import run_ingest
from rfm.ingest.reading import confined, file_identity, rejected, video_of
from rfm.ingest.rules.applied import Rules, Told
from rfm.ingest.rules.cameras import CameraChoice, is_colour_name
from rfm.ingest.rules.labels import LabelOptions
from rfm.ingest.rules.texts import recorded_text
from rfm.ingest.sources.zarr_store import Store, ZarrArray, array_names, opened

_DATA, _META = "data", "meta"
_ENDS = f"{_META}/episode_ends"
_SUFFIXES = (".zarr", ".zarr.zip")
_MOST_EPISODES = 10_000_000


@dataclass(frozen=True, kw_only=True)
class IngestZarrOptions(LabelOptions):
    """Turn Zarr replay buffers (diffusion_policy, UMI; a store, or a folder of them) into a trajectory dataset."""

    camera: str | None = field(
        default=None, metadata={"help": "Array with colour pictures; needed where there are several"}
    )


def ingest_zarr_command(options: IngestZarrOptions) -> int:
    """Run `rfm ingest zarr`; status 1 if an episode was rejected."""
    return run_ingest(zarr_episodes, options)


@dataclass(frozen=True)
class ZarrPictures:
    """`count` frames of an array from `start` on."""

    path: Path
    array: str
    start: int
    count: int
    place: str

    def read(self, options: IngestOptions) -> Video:
        """Read the chunks that hold the chosen frames, one after the other."""
        with opened(self.path) as store:
            array = pictures(store, self.array)
            indices = evenly_spaced(self.count, options.max_frames)
            rows = array.blocks((self.start + indices).tolist())
            frames = (_as_bytes(row, self.place) for row in rows)
            return video_of(frames, indices, self.count, 0.0, self.place, options)

    def identity(self) -> str:
        """The store, and what of it is read."""
        ends = self.path / _ENDS if self.path.is_dir() else self.path
        return f"{file_identity(ends)} {self.array} {self.start} {self.count}"


def zarr_episodes(options: IngestZarrOptions) -> Iterator[Episode]:
    """The episodes of all stores; faulty ones with their reason."""
    lister = _Lister(options)
    listed = [entry for found in zarr_stores(Path(options.path)) for entry in lister.store(found)]
    choice = CameraChoice(options.camera, [entry.cameras for entry in listed if entry.cameras])
    lister.rules.finish()
    for entry in listed:
        yield lister.episode(entry, choice)


def zarr_stores(path: Path) -> list[Found]:
    """The store, or all stores below the folder."""
    if path.is_file() or (path / _DATA).is_dir():
        return [Found(path, "")]
    found = []
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            if name.lower().endswith(_SUFFIXES):
                found.append(Path(folder, name))
        folders[:] = [name for name in folders if not name.lower().endswith(_SUFFIXES)]
    if not found:
        raise ConfigError(f"PATH must be a Zarr store ({', '.join(_SUFFIXES)}) or a folder of them, but is {path}")
    names = {store: store.relative_to(path).as_posix() for store in found}
    return [
        Found(store, names[store].partition(".zarr")[0], _fault(path, names[store]))
        for store in sorted(found, key=lambda store: natural(names[store]))
    ]


def pictures(store: Store, name: str) -> ZarrArray:
    """The array with a camera's pictures, whose type and size can be relied on."""
    array = ZarrArray(store, f"{_DATA}/{name}")
    if not _is_pictures(array):
        raise DataError(f"{array.place} must be (N, H, W, 3), but is {array.dtype} of shape {array.shape}")
    check_pixels(array.shape[1], array.shape[2], array.place)
    return array


@dataclass(frozen=True)
class _Entry:
    id: str
    found: Found
    place: str
    start: int = 0
    count: int = 0
    cameras: Sequence[str] = ()
    told: Told | None = None
    fault: str = ""


class _Recorded:
    """The columns of a store, one value a frame (`data/…`) or an episode (`meta/…`)."""

    def __init__(self, store: Store, episode: int, start: int, stop: int):
        self._store, self._places = store, {_DATA: (start, stop), _META: (episode, episode + 1)}

    def columns(self) -> Collection[str]:
        return [f"{group}/{name}" for group in (_DATA, _META) for name in array_names(self._store, group)]

    def values(self, column: str) -> Sequence[Any] | None:
        if column not in self.columns():
            return None
        array = ZarrArray(self._store, column)
        start, stop = self._places[column.partition("/")[0]]
        if len(array.shape) > 1 and array.shape[1:] != (1,):
            raise DataError(f"{array.place} must have one value a row, but has shape {array.shape}")
        if stop > array.shape[0]:
            raise DataError(f"{array.place} must have at least {stop} rows, but has {array.shape[0]}")
        return list(array.rows(start, stop).reshape(-1).tolist())


class _Lister:
    def __init__(self, options: IngestZarrOptions):
        self.rules = Rules(options)
        self._options = options

    def store(self, found: Found) -> list[_Entry]:
        source = self._options.source_name
        stem = f"{source}_{found.name}" if found.name else source.partition(".zarr")[0]
        try:
            if found.fault:
                raise DataError(found.fault)
            with opened(found.path) as store:
                return list(self._entries(store, found, stem))
        except DataError as error:
            self.rules.meet(self._path(found), below=True)
            return [_Entry(stem, found, "", fault=str(error))]

    def episode(self, entry: _Entry, choice: CameraChoice) -> Episode:
        """The episode, if its frames are there; or its rejection."""
        try:
            if entry.told is None:
                raise DataError(entry.fault)
            camera = choice.of(entry.cameras, entry.place)
            with opened(entry.found.path) as store:
                array = pictures(store, camera)
            if entry.start + entry.count > array.shape[0]:
                raise DataError(
                    f"{entry.place} must end within the {array.shape[0]} frames of `{camera}`, but ends at "
                    f"{entry.start + entry.count}"
                )
            return Episode(
                id=entry.id,
                task=recorded_text([entry.told.task or ""], entry.place),
                data_source=self._options.source_name,
                source=ZarrPictures(entry.found.path, camera, entry.start, entry.count, entry.place),
                quality_label=entry.told.label.quality,
                partial_success=entry.told.label.partial_success,
            )
        except DataError as error:
            return rejected(entry.id, self._options.source_name, error)

    def _entries(self, store: Store, found: Found, stem: str) -> Iterator[_Entry]:
        cameras = [name for name in array_names(store, _DATA) if _is_camera(store, name)]
        ends = _ends(store)
        for number, (start, stop) in enumerate(_stretches(ends)):
            name, place = f"{stem}_{number:06d}", f"episode {number} of {found.path}"
            names = [f"{self._path(found)}/{number}", name, *([str(number)] if not found.name else [])]
            for one in names:
                self.rules.meet(one)
            try:
                if start is None or stop is None:
                    raise DataError(f"`{_ENDS}` of {found.path} must rise, but does not around {place}: {ends[number]}")
                if start == stop:
                    raise DataError(f"{place} must have at least one frame, but has none")
                told = self.rules.apply(names, place, _Recorded(store, number, start, stop))
                yield _Entry(name, found, place, start, stop - start, cameras, told)
            except DataError as error:
                yield _Entry(name, found, place, fault=str(error))

    def _path(self, found: Found) -> str:
        root = Path(self._options.path)
        return found.path.relative_to(root).as_posix() if found.name else found.path.name


def _ends(store: Store) -> list[int]:
    array = ZarrArray(store, _ENDS)
    if len(array.shape) != 1 or array.dtype.kind not in "iu" or array.shape[0] > _MOST_EPISODES:
        raise DataError(f"{array.place} must be a list of whole numbers, but is {array.dtype} of shape {array.shape}")
    return [int(end) for end in array.rows(0, array.shape[0]).tolist()] if array.shape[0] else []


def _stretches(ends: Sequence[int]) -> Iterator[tuple[int | None, int | None]]:
    """Where each episode begins and ends; None where that is not known: an end below an earlier one is none."""
    highest = 0
    before: int | None = 0
    for end in ends:
        known = end if end >= highest else None
        yield before, known
        before, highest = known, max(highest, end)


def _is_camera(store: Store, name: str) -> bool:
    try:
        return is_colour_name(name) and _is_pictures(ZarrArray(store, f"{_DATA}/{name}"))
    except DataError:
        return True  # its fault is told when it is read


def _is_pictures(array: ZarrArray) -> bool:
    kind = array.dtype == np.uint8 or array.dtype.kind == "f"
    return len(array.shape) == 4 and array.shape[3] == 3 and min(array.shape[1:]) > 0 and kind


def _as_bytes(frame: np.ndarray, place: str) -> UInt8[np.ndarray, "h w 3"]:
    """The frame as it is, or from floats that are whole numbers up to 255, as diffusion_policy keeps some."""
    if frame.dtype == np.uint8:
        return np.ascontiguousarray(frame)
    whole = frame.astype(np.uint8) if np.isfinite(frame).all() and frame.min() >= 0 and frame.max() <= 255 else None
    if whole is None or not np.array_equal(whole, frame):
        raise DataError(f"the frames of {place} must be whole numbers from 0 to 255, but are not")
    return whole


def _fault(root: Path, name: str) -> str:
    try:
        confined(root, name, "a store")
    except DataError as error:
        return str(error)
    return ""
