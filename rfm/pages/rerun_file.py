"""Episodes with their curves as a recording for the Rerun viewer, and the one place that imports it (extra `rerun`).

In: episodes, each with its film, lines over its frames, and words. Out: one .rrd. A video that plays as it is stored
goes in whole, and each frame is a reference into it; other frames go in as JPEG, never as pixels. One episode is in
memory at a time. Each has entities below its name, `video`, `curves/…` and `about`, and a tab of the layout; what
happens lies on the timeline `frame`, and on `seconds` where times are known.

Shape legend: t frames, p points of a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from jaxtyping import Float, Int, UInt8

from rfm.errors import DataError, MissingExtraError
from rfm.files.staging import staged_file

try:
    import rerun as rr
    from rerun import blueprint
except ImportError as error:
    raise MissingExtraError(f"`--rerun` needs `rerun-sdk` ({error}): run pip install 'rfm-vqa[rerun]'") from error

_QUALITY = 90


@dataclass(frozen=True)
class Pictures:
    """Frames, which of the recording they are, and when they are shown."""

    frames: Sequence[UInt8[np.ndarray, "h w 3"]] | UInt8[np.ndarray, "t h w 3"]
    numbers: Sequence[int] | Int[np.ndarray, " t"]
    seconds: Float[np.ndarray, " t"] | None = None


@dataclass(frozen=True)
class Line:
    """Values over frames; NaN where there is none."""

    name: tuple[str, ...]
    """From the general to the special."""
    numbers: Int[np.ndarray, " p"]
    values: Float[np.ndarray, " p"]
    seconds: Float[np.ndarray, " p"] | None = None


@dataclass(frozen=True)
class Episode:
    """What a recording says of one episode."""

    name: tuple[str, ...]
    """Where it stands in the tree; no two are alike."""
    film: Path | Pictures | None
    """A video that plays as it is stored, see `rfm.frames.video.stored`; or frames; None where there are none."""
    lines: Sequence[Line]
    about: str


def write_rerun(path: Path, episodes: Iterable[Episode]) -> int:
    """Write the file, whole or not at all, and return how many episodes it holds."""
    rr.set_strict_mode(True)  # else what it can't take is a line in the log
    recording = rr.RecordingStream("rfm")
    tabs = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        try:
            recording.save(staged)
            recording.send_recording_name(path.stem)
            for episode in episodes:
                _log(recording, episode)
                tabs.append(_tab(episode.name))
            layout = blueprint.Tabs(*tabs) if len(tabs) > 1 else tabs[0]
            recording.send_blueprint(blueprint.Blueprint(layout))
            recording.flush()
            recording.disconnect()
        except RuntimeError as error:  # what its library can't read, or its thread can't write
            raise DataError(f"{path} must be written whole, but Rerun says: {error}") from error
    return len(tabs)


def _log(recording: rr.RecordingStream, episode: Episode) -> None:
    place = _entity(*episode.name, "video")
    if isinstance(episode.film, Path):
        _log_video(recording, place, episode.film)
    elif episode.film is not None:
        _log_pictures(recording, place, episode.film)
    for line in episode.lines:
        _log_line(recording, _entity(*episode.name, "curves", *line.name), line)
    about = rr.TextDocument(episode.about, media_type="text/plain")  # markup in a task is text
    recording.log(_entity(*episode.name, "about"), about, static=True)


def _log_video(recording: rr.RecordingStream, place: str, path: Path) -> None:
    asset = rr.AssetVideo(path=path, media_type="video/mp4")
    stamps = asset.read_frame_timestamps_nanos()
    recording.log(place, asset, static=True)
    times = _times(np.arange(len(stamps)), (stamps - stamps[0]) / 1e9)
    recording.send_columns(place, times, rr.VideoFrameReference.columns_nanos(stamps))


def _log_pictures(recording: rr.RecordingStream, place: str, film: Pictures) -> None:
    images = [
        simplejpeg.encode_jpeg(np.ascontiguousarray(frame), _QUALITY, colorspace="RGB", colorsubsampling="444")
        for frame in film.frames
    ]
    columns = rr.EncodedImage.columns(blob=images, media_type=["image/jpeg"] * len(images))
    recording.send_columns(place, _times(film.numbers, film.seconds), columns)


def _log_line(recording: rr.RecordingStream, place: str, line: Line) -> None:
    known = ~np.isnan(line.values)
    recording.log(place, rr.SeriesLines(names=" ".join(line.name)), static=True)
    seconds = None if line.seconds is None else line.seconds[known]
    recording.send_columns(
        place, _times(line.numbers[known], seconds), rr.Scalars.columns(scalars=line.values[known].astype(np.float64))
    )


def _times(
    numbers: Sequence[int] | Int[np.ndarray, " t"], seconds: Float[np.ndarray, " t"] | None
) -> list[rr.TimeColumn]:
    frame = rr.TimeColumn("frame", sequence=np.asarray(numbers, np.int64))
    return [frame] if seconds is None else [frame, rr.TimeColumn("seconds", duration=seconds)]


def _tab(name: tuple[str, ...]) -> blueprint.Vertical:
    above = blueprint.Horizontal(
        blueprint.Spatial2DView(origin=_entity(*name, "video"), name="video"),
        blueprint.TextDocumentView(origin=_entity(*name, "about"), name="about"),
        column_shares=[2, 1],
    )
    below = blueprint.TimeSeriesView(origin=_entity(*name, "curves"), name="curves")
    return blueprint.Vertical(above, below, row_shares=[3, 2], name=name[-1])


def _entity(*parts: str) -> str:
    """Return the path of an entity, whatever letters its parts have."""
    return rr.new_entity_path([*parts])
