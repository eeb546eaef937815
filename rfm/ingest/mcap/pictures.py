"""The frames of one topic of a recording: messages in order of time, of which the chosen ones are decoded."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt64

from rfm.errors import DataError
from rfm.files.limits import check_count
from rfm.frames.kept import gathered
from rfm.frames.video.decoding import Video
from rfm.frames.video.timeline import choose
from rfm.ingest.episode import IngestOptions
from rfm.ingest.mcap.file import opened
from rfm.ingest.mcap.messages import KINDS, decode_message, header_stamp
from rfm.ingest.reading import file_identity

_COLUMNS = 6
_LOGGED, _PLACE = 1, slice(2, _COLUMNS)
_NANOSECONDS = 1e9


@dataclass(frozen=True)
class McapPictures:
    """The pictures of `topic` in the files of a recording."""

    files: tuple[Path, ...]
    topic: str
    place: str

    def read(self, options: IngestOptions) -> Video:
        """Walk through the files for times, and once more for the chosen frames."""
        table = self._table()
        times = table[:, 0] if table[:, 0].all() else table[:, _LOGGED]  # a stamp that nobody set is 0
        order = np.argsort(times, kind="stable")
        since = (times[order] - times[order[0]]).tolist()
        choice = choose(since, options.max_frames)
        places = [tuple(row) for row in table[order][choice.indices, _PLACE].tolist()]
        frames = gathered(self._frames(places), len(places), self.place, options.sizing)
        fps = (len(since) - 1) * _NANOSECONDS / since[-1] if since[-1] else 0.0
        notes = (choice.note,) if choice.note else ()
        return Video(frames, choice.indices, len(since), fps, choice.times, notes)

    def identity(self) -> str:
        """The files, and what of them is read."""
        return " ".join([*map(file_identity, self.files), self.topic])

    def _table(self) -> UInt64[np.ndarray, "n 6"]:
        """Of each message: its stamp, when it was logged, its kind, its file, its chunk, and where it begins."""
        values = array("Q")
        for at, path in enumerate(self.files):
            with opened(path) as file:
                for message in file.messages():
                    if message.topic.name == self.topic and message.topic.kind is not None:
                        stamp = header_stamp(message.data)
                        kind = KINDS.index(message.topic.kind)
                        values.extend((stamp, message.log_time, kind, at, message.chunk, message.start))
                        check_count(len(values) // _COLUMNS, self.place)
        if not values:
            raise DataError(f"{self.place} must have pictures of `{self.topic}`, but has none")
        return np.frombuffer(values, np.uint64).reshape(-1, _COLUMNS)

    def _frames(self, places: Sequence[tuple[int, ...]]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        for at, repeated in groupby(places, key=lambda place: place[1]):
            with opened(self.files[at]) as file:
                for (kind, _, chunk, start), same in groupby(repeated):
                    data = file.message(chunk, start)
                    where = f"the message at byte {start} of {self._named(at, chunk)} on `{self.topic}`"
                    frame = decode_message(KINDS[kind], data, where)
                    yield from (frame for _ in same)

    def _named(self, at: int, chunk: int) -> str:
        return f"the chunk at byte {chunk} of {self.files[at]}" if chunk else str(self.files[at])
