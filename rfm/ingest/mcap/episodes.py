"""`rfm ingest mcap`: MCAP files and ROS 2 bags, one episode each, of the pictures on one topic (`messages.py`).

What was asked for and what succeeded is the user's word (`--task …`, `--label …`); columns are the metadata of a file
(`NAME.KEY`) and the `custom_data` of a bag. Topics alone are read here, the pictures when an episode's turn comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rfm.errors import DataError
from rfm.ingest.episode import Episode
from rfm.ingest.mcap.bags import Recording, recordings
from rfm.ingest.mcap.file import Topic, opened
from rfm.ingest.mcap.pictures import McapPictures
from rfm.ingest.options import run_ingest
from rfm.ingest.reading import rejected
from rfm.ingest.rules.applied import Rules, Told
from rfm.ingest.rules.cameras import CameraChoice, is_colour_name, listing
from rfm.ingest.rules.labels import LabelOptions
from rfm.ingest.rules.texts import recorded_text


@dataclass(frozen=True, kw_only=True)
class IngestMcapOptions(LabelOptions):
    """Turn MCAP files and ROS 2 bags (one, or a folder of them) into a trajectory dataset."""

    camera: str | None = field(
        default=None, metadata={"help": "Topic with colour pictures; needed where there are several"}
    )


def ingest_mcap_command(options: IngestMcapOptions) -> int:
    """Run `rfm ingest mcap`; status 1 if an episode was rejected."""
    return run_ingest(mcap_episodes, options)


def mcap_episodes(options: IngestMcapOptions) -> Iterator[Episode]:
    """The episodes of all recordings; faulty ones with their reason."""
    lister = _Lister(options)
    listed = [lister.entry(recording) for recording in recordings(Path(options.path))]
    choice = CameraChoice(options.camera, [entry.cameras for entry in listed if entry.cameras])
    lister.rules.finish()
    for entry in listed:
        yield lister.episode(entry, choice)


@dataclass(frozen=True)
class _Entry:
    id: str
    recording: Recording
    cameras: Sequence[str] = ()
    told: Told | None = None
    fault: str = ""


@dataclass(frozen=True)
class _Recorded:
    held: Mapping[str, Sequence[str]]

    def columns(self) -> Collection[str]:
        return list(self.held)

    def values(self, column: str) -> Sequence[str] | None:
        return self.held.get(column)


class _Lister:
    def __init__(self, options: IngestMcapOptions):
        self.rules = Rules(options)
        self._options = options

    def entry(self, recording: Recording) -> _Entry:
        name = recording.name
        identity = f"{self._options.source_name}_{name}" if name else self._options.source_name
        names = [self._below(recording), identity, *([name] if name else [])]
        for one in names:
            self.rules.meet(one)
        try:
            if recording.fault:
                raise DataError(recording.fault)
            topics, held = _contents(recording)
            cameras = self._cameras(topics, str(recording.path))
            told = self.rules.apply(names, str(recording.path), _Recorded(held))
            return _Entry(identity, recording, cameras, told)
        except DataError as error:
            return _Entry(identity, recording, fault=str(error))

    def episode(self, entry: _Entry, choice: CameraChoice) -> Episode:
        """The episode, or its rejection."""
        place = str(entry.recording.path)
        try:
            if entry.told is None:
                raise DataError(entry.fault)
            return Episode(
                id=entry.id,
                task=recorded_text([entry.told.task or ""], place),
                data_source=self._options.source_name,
                source=McapPictures(entry.recording.files, choice.of(entry.cameras, place), place),
                quality_label=entry.told.label.quality,
                partial_success=entry.told.label.partial_success,
            )
        except DataError as error:
            return rejected(entry.id, self._options.source_name, error)

    def _cameras(self, topics: Sequence[Topic], place: str) -> list[str]:
        """The topics with pictures; of those whose name tells of no colours, only the one that is asked for."""
        pictures = dict.fromkeys(topic.name for topic in topics if topic.kind is not None)
        cameras = [name for name in pictures if is_colour_name(name) or name == self._options.camera]
        if not cameras:
            held = [f"{topic.name} ({topic.holds})" for topic in topics]
            raise DataError(
                f"{place} must have a topic of colour pictures (sensor_msgs/msg/CompressedImage or Image of ROS 2), "
                f"but has {listing(held, 'no messages')}"
            )
        return cameras

    def _below(self, recording: Recording) -> str:
        root = Path(self._options.path)
        return recording.path.relative_to(root).as_posix() if recording.name else recording.path.name


def _contents(recording: Recording) -> tuple[list[Topic], dict[str, Sequence[str]]]:
    """The topics of a recording, and what it records of itself."""
    topics: dict[Topic, None] = {}
    held = dict(recording.told)
    for path in recording.files:
        with opened(path) as file:
            contents = file.contents()
            topics |= dict.fromkeys(contents.topics())
            held |= contents.metadata
    return list(topics), held
