"""`rfm ingest rlds`: TFRecord shards of RLDS datasets (Open X-Embodiment, BridgeData, DROID), read without TensorFlow.

A record is an episode, a `tf.Example` with flattened names: `steps/observation/<camera>` holds one encoded picture a
step. The instruction is recorded under one of several names, by step or for the episode; an episode may have several
wordings or none. The success of an episode is not recorded in a way that all datasets share (`steps/reward` is 1 at the
end of every demonstration of many, finished or not), so the user gives a rule.

Shards are mapped into memory; listing episodes reads their texts alone. Data are checked when an episode's turn comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.frames.pictures import SIGNATURES, decode_picture
from rfm.frames.video import Video, evenly_spaced
from rfm.ingest.episode import Episode, IngestOptions
from rfm.ingest.labels import LabelOptions, LabelRule
from rfm.ingest.options import run_ingest
from rfm.ingest.reading import confined, file_identity, rejected, video_of
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
_SHARD = re.compile(r"(?P<base>.+\.tfrecord)-(?P<number>\d{5,})-of-(?P<count>\d{5,})$")
_SPLIT = re.compile(r"-(?P<split>[A-Za-z]+)\.tfrecord")
_MOST_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class IngestRldsOptions(LabelOptions):
    """Turn TFRecord shards in RLDS form (a file, or a folder of them) into a trajectory dataset (extra `rlds`)."""

    camera: str | None = field(
        default=None, metadata={"help": "Observation with pictures; needed where there are several"}
    )
    language_key: str | None = field(
        default=None, metadata={"help": "Feature with the instruction; default: the first known one that is not empty"}
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
                options.sized(decode_picture(bytes(pictures[at]), f"`{self.camera}` at step {at} of {self.place}"))
                for at in indices.tolist()
            )
            return video_of(frames, indices, len(pictures), 0.0, self.place)

    def identity(self) -> str:
        """The file, and the record and camera in it."""
        return f"{file_identity(self.path)} {self.record} {self.camera}"


def rlds_episodes(options: IngestRldsOptions) -> Iterator[Episode]:
    """The episodes of all shards, in the order of their names; faulty ones with their reason."""
    shards = find_shards(Path(options.path))
    lister = _Lister(options)
    for path in shards:
        yield from lister.shard(path)
    missing = missing_shards(shards)
    if missing:
        more = ", …" if len(missing) > _MOST_LISTED else ""
        reason = f"all shards must be there, but {len(missing)} are not: {', '.join(missing[:_MOST_LISTED])}{more}"
        yield rejected(f"{options.source_name}_missing", options.source_name, reason)
    lister.rule.finish()


class _Lister:
    """Makes episodes of records; the first readable one decides which camera it is."""

    def __init__(self, options: IngestRldsOptions):
        self.rule = LabelRule(options)
        self._options = options
        self._camera: str | None = None

    def shard(self, path: Path) -> Iterator[Episode]:
        stem = f"{self._options.source_name}_{_stem(path)}"
        root = Path(self._options.path)
        try:
            if root.is_dir():
                confined(root, str(path.relative_to(root)), "a shard")
            with opened(path) as data:
                for number, record in enumerate(records(data, path)):
                    content = data[record.offset : record.offset + record.length]
                    name, place = f"{stem}_{number:06d}", f"record {number} of {path}"
                    try:
                        yield self._episode(name, content, record, path, place)
                    except DataError as error:
                        yield rejected(name, self._options.source_name, error)
        except DataError as error:
            yield rejected(f"{stem}_rest", self._options.source_name, f"{error}; what follows is lost")

    def _episode(self, name: str, content: memoryview, record: Record, path: Path, place: str) -> Episode:
        lists = features(content, place)
        self._camera = self._camera or choose_camera(lists, self._options.camera)
        if not _pictures(lists, self._camera, place):
            raise DataError(f"{place} must have at least one step, but has none")
        label = self.rule.label((name,), self._values(lists), self._options.label_column or "")
        split = _SPLIT.search(path.name)
        return Episode(
            id=name,
            task=self._options.task or instruction(lists, self._options.language_key, place),
            data_source=self._options.source_name,
            source=RecordPictures(path, record, self._camera, place),
            quality_label=label.quality,
            partial_success=label.partial_success,
            split=None if split is None else split["split"],
        )

    def _values(self, lists: Mapping[str, Feature]) -> Sequence[Any] | None:
        column = self._options.label_column
        if column is None:
            return None
        if column not in lists:
            raise ConfigError(f"--label_column must name one of {', '.join(sorted(lists))}, but is `{column}`")
        return lists[column].values()


def find_shards(path: Path) -> list[Path]:
    """The file, or all TFRecord files below the folder."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(f"PATH must be a TFRecord file or a folder of them, but {path} is not there")
    found = sorted(file for file in path.rglob("*") if ".tfrecord" in file.name and file.is_file())
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


def choose_camera(lists: Mapping[str, Feature], name: str | None) -> str:
    """The feature with the pictures of camera `name`, or of the only one; ConfigError lists them all."""
    cameras = [key for key, feature in lists.items() if key.startswith(_CAMERAS) and _holds_pictures(feature)]
    shown = ", ".join(sorted(key.removeprefix(_CAMERAS) for key in cameras))
    if not cameras:
        raise DataError(f"an episode must have encoded pictures under {_CAMERAS}, but has {', '.join(sorted(lists))}")
    if name is None and len(cameras) == 1:
        return cameras[0]
    if name is None:
        raise ConfigError(f"--camera must name one of {shown}, but is not given")
    key = name if name in cameras else f"{_CAMERAS}{name}"
    if key not in cameras:
        raise ConfigError(f"--camera must name one of {shown}, but is `{name}`")
    return key


def instruction(lists: Mapping[str, Feature], key: str | None, place: str) -> str:
    """The first instruction that is not empty; DataError where there is none."""
    if key is not None and key not in lists:
        raise ConfigError(f"--language_key must name one of {', '.join(sorted(lists))}, but is `{key}`")
    for name in LANGUAGE if key is None else (key,):
        if name in lists:
            text = _text(lists[name]).strip()
            if text:
                return text
    raise DataError(f"{place} must have an instruction, but has none: give --language_key or --task")


def _text(feature: Feature) -> str:
    """Text of the first step; Language-Table records it as the numbers of its characters."""
    if feature.kind == "bytes":
        strings = feature.strings()
        return bytes(strings[0]).decode("utf-8", "replace") if strings else ""
    codes = [int(value) for value in feature.numbers()]
    codes = codes[: codes.index(0)] if 0 in codes else codes
    return bytes(code for code in codes if 0 < code < 256).decode("utf-8", "replace")


def _holds_pictures(feature: Feature) -> bool:
    strings = feature.strings() if feature.kind == "bytes" else []
    return bool(strings) and any(bytes(strings[0][:8]).startswith(signature) for signature in SIGNATURES)


def _pictures(lists: Mapping[str, Feature], camera: str, place: str) -> list[memoryview]:
    if camera not in lists or lists[camera].kind != "bytes":
        raise DataError(f"{place} must have pictures under `{camera}`, but has {', '.join(sorted(lists))}")
    return lists[camera].strings()


def _stem(path: Path) -> str:
    """The name of a shard without what all have in common: `train_00003` of `bridge-train.tfrecord-00003-of-01024`."""
    match = _SHARD.match(path.name)
    if match is None:
        return path.name.partition(".tfrecord")[0]
    split = _SPLIT.search(path.name)
    return f"{'' if split is None else split['split'] + '_'}{match['number']}"
