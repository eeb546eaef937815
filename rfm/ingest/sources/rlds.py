"""`rfm ingest rlds`: TFRecord shards of RLDS datasets (Open X-Embodiment, BridgeData, DROID), read without TensorFlow.

A record is an episode, a `tf.Example` with flattened names: `steps/observation/<camera>` holds one encoded picture a
step. The instruction is recorded under one of several names, by step or for the episode; an episode may have several
wordings or none. The success of an episode is not recorded in a way that all datasets share (`steps/reward` is 1 at the
end of every demonstration of many, finished or not), so the user gives a rule.

Shards are mapped into memory; listing episodes reads their texts alone. Data are checked when an episode's turn comes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.frames.pictures import SIGNATURES, decode_picture
from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.decoding import Video
from rfm.ingest.episode import Episode, IngestOptions
from rfm.ingest.listing.finding import Found, find_files
from rfm.ingest.options import run_ingest
from rfm.ingest.reading import file_identity, rejected, video_of
from rfm.ingest.rules.applied import Rules, Told
from rfm.ingest.rules.cameras import CameraChoice, is_colour_name
from rfm.ingest.rules.labels import LabelOptions
from rfm.ingest.rules.scenes import libero_scene
from rfm.ingest.rules.texts import as_text, recorded_text
from rfm.ingest.sources.tfrecord import Feature, Record, check_data, features, opened, records

LANGUAGE = (
    "steps/language_instruction",
    "steps/observation/natural_language_instruction",
    "steps/observation/language_instruction",
    "steps/observation/instruction",
    "steps/natural_language_instruction",
    "steps/instruction",
    "episode_metadata/language_instruction",
    "episode_metadata/natural_language_instruction",
    "episode_metadata/task",
    "language_instruction",
    "natural_language_instruction",
    "steps/language_instruction_2",
    "steps/language_instruction_3",
)
"""Where instructions are found, in this order; the first that is not empty."""

_CAMERAS = "steps/observation/"
_METADATA = "episode_metadata/"
_SHARD = re.compile(r"(?P<base>.+\.tfrecord)-(?P<number>\d{5,})-of-(?P<count>\d{5,})$")
_SPLIT = re.compile(r"-(?P<split>[A-Za-z]+)\.tfrecord")
_MOST_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class IngestRldsOptions(LabelOptions):
    """Turn TFRecord shards in RLDS form (a file, or a folder of them) into a trajectory dataset (extra `rlds`)."""

    camera: str | None = field(
        default=None, metadata={"help": "Observation with pictures; needed where there are several"}
    )


def ingest_rlds_command(options: IngestRldsOptions) -> int:
    """Run `rfm ingest rlds`; status 1 if an episode was rejected."""
    return run_ingest(rlds_episodes, options)


@dataclass(frozen=True)
class RecordPictures:
    """The pictures of one camera in one record."""

    path: Path
    record: Record
    camera: str
    place: str

    def read(self, options: IngestOptions) -> Video:
        """Check the record's data and decode the chosen pictures."""
        with opened(self.path) as data:
            check_data(data, self.record, self.place)
            content = data[self.record.offset : self.record.offset + self.record.length]
            pictures = _pictures(features(content, self.place), self.camera, self.place)
            indices = evenly_spaced(len(pictures), options.max_frames)
            frames = (
                decode_picture(bytes(pictures[at]), f"`{self.camera}` at step {at} of {self.place}")
                for at in indices.tolist()
            )
            return video_of(frames, indices, len(pictures), 0.0, self.place, options)

    def check_steps(self) -> None:
        """DataError where a step has no picture: frames are as many as steps."""
        with opened(self.path) as data:
            content = data[self.record.offset : self.record.offset + self.record.length]
            pictures = _pictures(features(content, self.place), self.camera, self.place)
            empty = [at for at, picture in enumerate(pictures) if not len(picture)]
            if empty:
                raise DataError(
                    f"`{self.camera}` of {self.place} must have a picture at each of {len(pictures)} steps, but lacks "
                    f"{len(empty)}, first at step {empty[0]}"
                )

    def identity(self) -> str:
        """The file, and the record and camera in it."""
        return f"{file_identity(self.path)} {self.record} {self.camera}"


def rlds_episodes(options: IngestRldsOptions) -> Iterator[Episode]:
    """The episodes of all shards, in the order of their names; faulty ones with their reason."""
    shards = find_shards(Path(options.path))
    lister = _Lister(options)
    listed = [entry for shard in shards for entry in lister.shard(shard)]
    wanted = None if options.camera is None else options.camera.removeprefix(_CAMERAS)
    choice = CameraChoice(wanted, [entry.cameras for entry in listed if entry.cameras])
    lister.rules.finish()
    for entry in listed:
        yield lister.episode(entry, choice)
    missing = missing_shards([shard.path for shard in shards])
    if missing:
        more = ", …" if len(missing) > _MOST_LISTED else ""
        reason = f"all shards must be there, but {len(missing)} are not: {', '.join(missing[:_MOST_LISTED])}{more}"
        yield rejected(f"{options.source_name}_missing", options.source_name, reason)


@dataclass(frozen=True)
class _Entry:
    """A record as listed, before its camera is known; what was found wrong with it is its `fault`."""

    id: str
    path: Path
    place: str
    record: Record | None = None
    cameras: Sequence[str] = ()
    told: Told | None = None
    task: str = ""
    scene: str | None = None
    fault: str = ""


class _Recorded:
    """What an episode records beside its pictures."""

    def __init__(self, lists: Mapping[str, Feature]):
        self._lists = lists

    def columns(self) -> Collection[str]:
        return sorted(self._lists)

    def values(self, column: str) -> Sequence[Any] | None:
        return self._lists[column].values() if column in self._lists else None


class _Lister:
    def __init__(self, options: IngestRldsOptions):
        self.rules = Rules(options)
        self._options = options

    def shard(self, shard: Found) -> Iterator[_Entry]:
        stem = f"{self._options.source_name}_{shard.name}"
        try:
            if shard.fault:
                raise DataError(shard.fault)
            with opened(shard.path) as data:
                for number, record in enumerate(records(data, shard.path)):
                    content = data[record.offset : record.offset + record.length]
                    yield self._entry(f"{stem}_{number:06d}", content, record, shard, number)
        except DataError as error:
            self.rules.meet(shard.name, below=True)
            yield _Entry(f"{stem}_rest", shard.path, "", fault=f"{error}; what follows is lost")

    def episode(self, entry: _Entry, choice: CameraChoice) -> Episode:
        """The episode, if each of its steps has a picture of the camera; or its rejection."""
        try:
            if entry.record is None or entry.told is None:
                raise DataError(entry.fault)
            camera = _CAMERAS + choice.of(entry.cameras, entry.place)
            source = RecordPictures(entry.path, entry.record, camera, entry.place)
            source.check_steps()
            split = _SPLIT.search(entry.path.name)
            return Episode(
                id=entry.id,
                task=recorded_text([entry.task], entry.place),
                data_source=self._options.source_name,
                source=source,
                quality_label=entry.told.label.quality,
                partial_success=entry.told.label.partial_success,
                scene_id=entry.scene,
                split=None if split is None else split["split"],
            )
        except DataError as error:
            return rejected(entry.id, self._options.source_name, error)

    def _entry(self, name: str, content: memoryview, record: Record, shard: Found, number: int) -> _Entry:
        place = f"record {number} of {shard.path}"
        names = [f"{shard.name}/{number:06d}", name]
        for one in names:
            self.rules.meet(one)
        try:
            lists = features(content, place)
            if not any(feature.data for key, feature in lists.items() if key.startswith(_CAMERAS)):
                raise DataError(f"{place} must have at least one step with pictures under {_CAMERAS}, but has none")
            told = self.rules.apply([*names, *_metadata(lists)], place, _Recorded(lists))
            task = told.task or next((text for text in _texts(lists, place) if text), "")
            return _Entry(name, shard.path, place, record, cameras(lists), told, task, libero_scene(_metadata(lists)))
        except DataError as error:
            return _Entry(name, shard.path, place, fault=str(error))


def find_shards(path: Path) -> list[Found]:
    """The file, or all TFRecord files below the folder."""
    if path.is_file():
        return [Found(path, _stem(path.name))]
    if not path.is_dir():
        raise ConfigError(f"PATH must be a TFRecord file or a folder of them, but {path} is not there")
    found = find_files(path, lambda name: ".tfrecord" in name.lower(), _stem)
    if not found:
        raise ConfigError(f"{path} must hold TFRecord files (*.tfrecord*), but has none")
    return found


def missing_shards(shards: Sequence[Path]) -> list[str]:
    """The names that `-00003-of-00010` says there should be, and are not there."""
    there: dict[tuple[Path, str, str], set[str]] = {}
    for path in shards:
        if match := _SHARD.match(path.name):
            there.setdefault((path.parent, match["base"], match["count"]), set()).add(match["number"])
    return [
        f"{base}-{number}-of-{count}"
        for (_, base, count), numbers in there.items()
        for number in (f"{at:0{len(count)}d}" for at in range(min(int(count), 10**6)))
        if number not in numbers
    ]


def cameras(lists: Mapping[str, Feature]) -> list[str]:
    """The observations that hold pictures in colour, without the beginning that all have in common."""
    names = [name for name in lists if name.startswith(_CAMERAS) and is_colour_name(name)]
    return sorted(name.removeprefix(_CAMERAS) for name in names if _holds_pictures(lists[name]))


def _texts(lists: Mapping[str, Feature], place: str) -> Iterator[str]:
    """The instruction under each of the known names, as the first step has it."""
    for name in LANGUAGE:
        if name in lists:
            yield _text(lists[name], f"`{name}` of {place}")


def _text(feature: Feature, name: str) -> str:
    """Language-Table records texts as the numbers of their characters."""
    if feature.kind == "bytes":
        strings = feature.strings()
        return as_text(bytes(strings[0]), name) if strings else ""
    if feature.kind != "integers":
        return ""
    codes = [int(code) for code in feature.numbers()]
    codes = codes[: codes.index(0)] if 0 in codes else codes
    return as_text(bytes(code for code in codes if 0 < code < 256), name)


def _metadata(lists: Mapping[str, Feature]) -> list[str]:
    """The texts of `episode_metadata`, by which the user's lists may call an episode: paths of recordings."""
    found = [feature.strings() for name, feature in lists.items() if name.startswith(_METADATA)]
    return [bytes(texts[0]).decode("utf-8", "replace") for texts in found if len(texts) == 1]


def _holds_pictures(feature: Feature) -> bool:
    strings = feature.strings() if feature.kind == "bytes" else []
    return any(bytes(text[:8]).startswith(SIGNATURES) for text in strings)


def _pictures(lists: Mapping[str, Feature], camera: str, place: str) -> list[memoryview]:
    if camera not in lists or lists[camera].kind != "bytes":
        raise DataError(f"{place} must have pictures under `{camera}`, but has {', '.join(sorted(lists))}")
    return lists[camera].strings()


def _stem(name: str) -> str:
    """The name of a shard without what all have in common: `train_00003` of `bridge-train.tfrecord-00003-of-01024`."""
    match = _SHARD.match(name)
    if match is None:
        return name.partition(".tfrecord")[0]
    split = _SPLIT.search(name)
    return f"{'' if split is None else split['split'] + '_'}{match['number']}"
