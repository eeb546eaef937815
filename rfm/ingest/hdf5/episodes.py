"""`rfm ingest hdf5`: demonstrations in HDF5, in the layouts of robomimic, LIBERO, RoboCasa and ALOHA (`layout.py`).

What the files leave open is the user's word: texts (`--task …`), outcomes (`--label …`), and which way up pictures are
stored (`--orientation`). Only small members are read here, the chosen frames when an episode's turn comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.ingest.episode import Episode
from rfm.ingest.hdf5.file import column, columns, opened, reading
from rfm.ingest.hdf5.layout import (
    COLOUR_ENDINGS,
    Demo,
    cameras,
    demos,
    recorded_scene,
    recorded_texts,
    stored_orientation,
)
from rfm.ingest.hdf5.pictures import Hdf5Pictures, checked_pictures
from rfm.ingest.listing.finding import Found, find_files
from rfm.ingest.options import run_ingest
from rfm.ingest.reading import rejected
from rfm.ingest.rules.applied import Rules, Told
from rfm.ingest.rules.cameras import CameraChoice
from rfm.ingest.rules.labels import LabelOptions
from rfm.ingest.rules.orientation import ORIENTATIONS, put_right
from rfm.ingest.rules.texts import recorded_text

SUFFIXES = (".hdf5", ".h5")


@dataclass(frozen=True, kw_only=True)
class IngestHdf5Options(LabelOptions):
    """Turn HDF5 demonstrations (robomimic, LIBERO, ALOHA; a file, or a folder of them) into a trajectory dataset."""

    camera: str | None = field(
        default=None, metadata={"help": "Observation with colour pictures; needed where there are several"}
    )


def ingest_hdf5_command(options: IngestHdf5Options) -> int:
    """Run `rfm ingest hdf5`; status 1 if an episode was rejected."""
    return run_ingest(hdf5_episodes, options)


def hdf5_episodes(options: IngestHdf5Options) -> Iterator[Episode]:
    """The demonstrations of all files, `demo_2` before `demo_10`; faulty ones with their reason."""
    lister = _Lister(options)
    listed = [entry for found in hdf5_files(Path(options.path)) for entry in lister.file(found)]
    choice = CameraChoice(options.camera, [entry.cameras for entry in listed if entry.cameras], COLOUR_ENDINGS)
    episodes = [lister.episode(entry, choice) for entry in listed]
    lister.finish()
    yield from episodes


def hdf5_files(path: Path) -> list[Found]:
    """The file, or all HDF5 files below the folder."""
    if path.is_file():
        return [Found(path, "")]
    found = find_files(path, lambda name: name.lower().endswith(SUFFIXES)) if path.is_dir() else []
    if not found:
        raise ConfigError(f"PATH must be an HDF5 file or a folder of them ({', '.join(SUFFIXES)}), but is {path}")
    return found


@dataclass(frozen=True)
class _Entry:
    """A demonstration as listed, before its camera is known; what was found wrong with it is its `fault`."""

    id: str
    found: Found
    demo: Demo | None = None
    cameras: Sequence[str] = ()
    told: Told | None = None
    task: str = ""
    scene: str | None = None
    fault: DataError | str = ""

    @property
    def place(self) -> str:
        return f"{self.demo.name} of {self.found.path}" if self.demo and self.demo.name else str(self.found.path)


class _Recorded:
    """What a demonstration records beside its pictures."""

    def __init__(self, holders: Sequence[Any], place: str):
        self._holders, self._place = holders, place

    def columns(self) -> Collection[str]:
        return columns(self._holders)

    def values(self, column_name: str) -> Sequence[Any] | None:
        return column(self._holders, column_name, self._place)


class _Lister:
    def __init__(self, options: IngestHdf5Options):
        self._options = options
        self._rules = Rules(options)
        self._unsaid = 0
        self._said = 0

    def file(self, found: Found) -> list[_Entry]:
        stem = self._stem(found)
        try:
            if found.fault:
                raise DataError(found.fault)
            with opened(found.path) as file:
                return [self._demo(file, found, demo) for demo in demos(file, str(found.path))]
        except DataError as error:
            self._rules.meet(self._below(found), below=True)
            return [_Entry(stem, found, fault=error)]

    def episode(self, entry: _Entry, choice: CameraChoice) -> Episode:
        """The episode, whose pictures are looked at; or its rejection."""
        try:
            if entry.demo is None or entry.told is None:
                raise DataError(str(entry.fault))
            camera = choice.of(entry.cameras, entry.place)
            with opened(entry.found.path) as file:
                path = f"{entry.demo.images}/{camera}"
                checked_pictures(file, path, entry.place)
                orientation = self._orientation(stored_orientation(file, entry.demo, camera, entry.place), entry.place)
            return Episode(
                id=entry.id,
                task=entry.task,
                data_source=self._options.source_name,
                source=put_right(Hdf5Pictures(entry.found.path, path, entry.place), orientation),
                quality_label=entry.told.label.quality,
                partial_success=entry.told.label.partial_success,
                scene_id=entry.scene,
            )
        except DataError as error:
            return rejected(entry.id, self._options.source_name, error)

    def finish(self) -> None:
        """Raise ConfigError for whatever the user's flags do not fit, or leave open in every episode."""
        self._rules.finish()
        if self._unsaid and not self._said:
            raise ConfigError(self._unsaid_text(self._options.path))

    def _demo(self, file: Any, found: Found, demo: Demo) -> _Entry:
        entry = _Entry("_".join(part for part in (self._stem(found), demo.name) if part), found, demo)
        names = self._names(entry)
        for name in names:
            self._rules.meet(name)
        try:
            with reading(found.path):
                holders = demo.holders(file, entry.place)
                told = self._rules.apply(names, entry.place, _Recorded(holders, entry.place))
                task = told.task or recorded_text(recorded_texts(file, demo, entry.place), entry.place)
                seen = cameras(file, demo, entry.place)
                scene = recorded_scene(file, demo, entry.place)
                return _Entry(entry.id, found, demo, seen, told, task, scene)
        except DataError as error:
            return _Entry(entry.id, found, demo, fault=error)

    def _orientation(self, stored: str | None, place: str) -> str | None:
        """How the pictures are stored, None where the user says it for all."""
        if self._options.orientation is not None:
            return None
        if stored is None:
            self._unsaid += 1
            raise DataError(self._unsaid_text(place))
        self._said += 1
        return stored

    def _unsaid_text(self, place: str) -> str:
        return (
            f"--orientation must say how the pictures of {place} are stored, for the file does not (it has no "
            "`macros_image_convention`): `vflip` where the lowest row comes first, as LIBERO's renderer has it, "
            f"`upright` where they look right as they are, or one of {', '.join(ORIENTATIONS[2:])}"
        )

    def _stem(self, found: Found) -> str:
        return f"{self._options.source_name}_{found.name}" if found.name else self._options.source_name

    def _below(self, found: Found) -> str:
        root = Path(self._options.path)
        return found.path.relative_to(root).as_posix() if found.name else found.path.name

    def _names(self, entry: _Entry) -> list[str]:
        """What the user's lists may call the demonstration, its path below PATH first."""
        demo = entry.demo.name if entry.demo else ""
        stem = entry.found.name or entry.found.path.stem
        paths = [f"{path}/{demo}".strip("/") for path in (self._below(entry.found), stem)]
        return [*paths, entry.id, *([demo] if demo and not entry.found.name else [])]
