"""Frames of a video file, decoded with PyAV (mp4, webm, mov, gif and whatever else FFmpeg reads).

A clip is decoded from its start; frames not asked for are decoded but not converted to RGB. Which frames are kept is a
matter of their times (`timeline`): those of the packets are tried first, which costs reading the file but no
decoding, and if decoding shows other ones, a second pass is made. Memory holds the chosen frames, not the video. About
1 ms a frame of 240 x 320.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int64, UInt8

from rfm.errors import DataError
from rfm.files.limits import check_kept, check_pixels
from rfm.frames.kept import Sizing, as_recorded, gathered
from rfm.frames.npz.file import check_indices
from rfm.frames.resize import resize_frames
from rfm.frames.video.container import opened
from rfm.frames.video.timeline import Choice, choose
from rfm.frames.video.upright import Viewer

__all__ = [
    "NoFrameNearError",
    "Video",
    "chosen_frames",
    "decode_video",
    "frame_rate",
    "played",
    "read_frames_at",
    "read_video",
    "read_video_frames",
    "shown_times",
    "shown_until",
]


@dataclass(frozen=True)
class Video:
    """Frames chosen from a video, which had `total` frames at `fps` frames a second."""

    frames: UInt8[np.ndarray, "t h w 3"]
    indices: Int64[np.ndarray, "t"]
    """The place of each chosen frame in the video, in order; one that stands still repeats."""
    total: int
    fps: float
    times: Float64[np.ndarray, "t"] | None = None
    """When each is shown, as a share of the recording (0 the first frame, 1 the last); None where unknown."""
    notes: tuple[str, ...] = ()
    """What was taken for granted, for people to read."""
    duration: float | None = None
    """Seconds from the first frame to the last; None where unknown."""

    @property
    def seconds(self) -> Float64[np.ndarray, "t"] | None:
        """When each chosen frame is shown, from the first on; None where unknown."""
        return None if self.times is None or self.duration is None else self.times * self.duration


class NoFrameNearError(DataError):
    """A video has no frame near enough to a time."""


class _Decoded(NamedTuple):
    frames: UInt8[np.ndarray, "t h w 3"]
    stamps: list[int | None]
    """The timestamps of all frames decoded, chosen or not, in the order they are shown."""
    fps: float
    base: float
    """Seconds of one step of a timestamp."""


def read_video(path: Path, max_frames: int | None = None) -> tuple[UInt8[np.ndarray, "t h w 3"], float]:
    """All frames, or those that `decode_video` chooses, and the video's frames a second."""
    video = decode_video(path, max_frames)
    return video.frames, video.fps


def decode_video(path: Path, max_frames: int | None = None, sizing: Sizing = as_recorded) -> Video:
    """All frames, or at most `max_frames` that `timeline.choose` takes, the first and the last among them.

    Each is brought to its size while decoding.
    """
    guess = _choice(_packet_stamps(path), max_frames)
    decoded = _decode(path, guess.indices, sizing)
    chosen = _choice(decoded.stamps, max_frames)
    if not np.array_equal(chosen.indices, guess.indices):
        decoded = _decode(path, chosen.indices, sizing)
    distinct, place = np.unique(chosen.indices, return_inverse=True)
    if len(distinct) < len(place):
        _, height, width, _ = decoded.frames.shape
        check_kept(len(place), height, width, f"video {path}")
        decoded = decoded._replace(frames=decoded.frames[place])
    notes = (chosen.note,) if chosen.note else ()
    duration = None if chosen.times is None else _between(decoded.stamps) * decoded.base
    return Video(decoded.frames, chosen.indices, len(decoded.stamps), decoded.fps, chosen.times, notes, duration)


def chosen_frames(path: Path, max_frames: int) -> Int64[np.ndarray, "t"]:
    """The places of the frames that `decode_video` keeps, by the times of the packets: nothing is decoded.

    DataError where the file has none, or can't be read as a video.
    """
    indices = _choice(_packet_stamps(path), max_frames).indices
    if not len(indices):
        raise DataError(f"video {path} must have at least one frame, but has none")
    return indices


def read_video_frames(path: Path, indices: Sequence[int] | Int[np.ndarray, "n"]) -> UInt8[np.ndarray, "n h w 3"]:
    """The frames at `indices`, in that order; repeated ones are converted once."""
    wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
    distinct, place = np.unique(wanted, return_inverse=True)
    decoded = _decode(path, distinct, as_recorded, to_end=False)
    check_indices(wanted, len(decoded.stamps), path)
    check_kept(len(wanted), decoded.frames.shape[1], decoded.frames.shape[2], f"video {path}")
    return decoded.frames if np.array_equal(distinct, wanted) else decoded.frames[place]


def played(path: Path, sizing: Sizing = as_recorded) -> Iterator[tuple[float, UInt8[np.ndarray, "h w 3"]]]:
    """Every frame as it is shown and the second at which it comes up, from the first on; one in memory at a time.

    Frames without a timestamp come up one step of the video's rate after the one before.
    """
    with opened(path) as (container, stream):
        viewer, base = Viewer(f"video {path}"), float(stream.time_base)
        step = 1 / float(stream.average_rate or stream.guessed_rate or 10)
        start, second = None, -step
        for frame in container.decode(stream):
            start = frame.pts if start is None else start
            second = second + step if frame.pts is None or start is None else (frame.pts - start) * base
            pixels = viewer.rgb(frame)
            yield second, resize_frames(pixels[np.newaxis], *sizing(*pixels.shape[:2]))[0]


def frame_rate(path: Path) -> float:
    """The frames a second that the video has on average, as its container says; 0 where it does not say."""
    with opened(path) as (_, stream):
        return float(stream.average_rate or stream.guessed_rate or 0)


def read_frames_at(
    path: Path, seconds: Float64[np.ndarray, "k"], tolerance: float, sizing: Sizing = as_recorded
) -> UInt8[np.ndarray, "k h w 3"]:
    """The frames shown nearest to each of `seconds`, which ascend; each is brought to its size while decoding.

    NoFrameNearError for the first time that has no frame within `tolerance` seconds.
    """

    def found(container: Any, stream: Any) -> Iterator[Any]:
        for second, (shown, frame) in zip(seconds.tolist(), _nearest(container, stream, seconds), strict=True):
            if frame is None or abs(shown - second) > tolerance:
                nearest = "has none" if frame is None else f"its nearest is at {shown:.4f} s"
                raise NoFrameNearError(
                    f"video {path} must have a frame within {tolerance:.4f} s of {second:.4f} s, but {nearest}"
                )
            yield frame

    with opened(path) as (container, stream):
        frames = _gathered(found(container, stream), len(seconds), path, sizing)
    return _some(frames, len(frames), path)


def shown_times(path: Path, start: float, end: float) -> Float64[np.ndarray, "n"]:
    """The seconds in [start, end) at which a frame comes up, in order; read from the packets, without decoding."""
    with opened(path) as (container, stream):
        base = float(stream.time_base)
        times: list[float] = []
        for packet in _packets_from(container, stream, start):
            if packet.dts is not None and packet.dts * base >= end:  # nothing is shown before it is decoded
                break
            if packet.size and packet.pts is not None and not packet.is_discard:
                times.append(packet.pts * base)
    return np.array([second for second in sorted(times) if start <= second < end], dtype=np.float64)


def shown_until(path: Path) -> float | None:
    """The seconds that the video lasts as its container says, which costs opening it; None where it does not say."""
    with opened(path) as (container, stream):
        if stream.duration is not None:
            return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
        return None if container.duration is None else container.duration / 1e6


def _packets_from(container: Any, stream: Any, second: float) -> Iterator[Any]:
    """The packets from the key frame before `second` on; from the start where seeking leads past it."""
    base = float(stream.time_base)
    for start in (max(round(second / base), 0), 0):
        container.seek(start, stream=stream)
        packets = container.demux(stream)
        first = next(packets, None)
        if first is not None and ((first.pts is not None and first.pts * base <= second) or start == 0):
            yield first
            yield from packets
            return


def _nearest(container: Any, stream: Any, seconds: Float64[np.ndarray, "k"]) -> Iterator[tuple[float, Any]]:
    """(time, frame) nearest to each of `seconds`, the earlier of two equally near; (0, None) if nothing is decoded.

    Seeks again where the next time is further than two groups of pictures; their length is learnt on the way.
    """
    at, group = 0, 0.0
    before: tuple[float, Any] = (0.0, None)
    while at < len(seconds):
        before, key = (0.0, None), None
        for now in _shown_from(container, stream, float(seconds[at])):
            if now[1].key_frame:
                group = max(group, now[0] - key if key is not None else float(seconds[at]) - now[0])
                key = now[0]
            while at < len(seconds) and seconds[at] <= now[0]:
                yield before if before[1] is not None and seconds[at] - before[0] <= now[0] - seconds[at] else now
                at += 1
            before = now
            if at == len(seconds) or 0 < 2 * group < seconds[at] - now[0]:
                break
        else:
            break
    for _ in range(at, len(seconds)):
        yield before


def _shown_from(container: Any, stream: Any, second: float) -> Iterator[tuple[float, Any]]:
    """(time, frame) from the key frame before `second` on; from the start where seeking leads past it."""
    base = float(stream.time_base)
    for start in (round(second / base), 0):
        container.seek(start, stream=stream)
        timed = ((frame.pts * base, frame) for frame in container.decode(stream) if frame.pts is not None)
        first = next(timed, None)
        if first is not None and (first[0] <= second + base or start <= 0):
            yield first
            yield from timed
            return


def _decode(path: Path, chosen: Int64[np.ndarray, "k"], sizing: Sizing, to_end: bool = True) -> _Decoded:
    """Decode and keep the chosen frames, each once."""
    wanted = set(chosen.tolist())
    last = None if to_end or not wanted else max(wanted)
    stamps: list[int | None] = []

    def found(container: Any, stream: Any) -> Iterator[Any]:
        for frame in container.decode(stream):
            stamps.append(frame.pts)
            if len(stamps) - 1 in wanted:
                yield frame
            if last is not None and len(stamps) > last:
                return

    with opened(path) as (container, stream):
        frames = _gathered(found(container, stream), len(wanted), path, sizing)
        fps, base = float(stream.average_rate or stream.guessed_rate or 0), float(stream.time_base)
    return _Decoded(_some(frames, len(stamps), path), stamps, fps, base)


def _between(stamps: Sequence[int | None]) -> int:
    """The steps from the first to the last of timestamps that ascend."""
    first, last = stamps[0], stamps[-1]
    return 0 if first is None or last is None else last - first


def _gathered(frames: Iterator[Any], count: int, path: Path, sizing: Sizing) -> UInt8[np.ndarray, "t h w 3"]:
    """The decoded frames as they are shown, each in its size."""
    place = f"video {path}"
    viewer = Viewer(place)

    def pictures() -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        for frame in frames:
            check_pixels(frame.height, frame.width, place)  # it may change on the way
            yield viewer.rgb(frame)

    return gathered(pictures(), count, place, sizing)


def _choice(stamps: list[int | None], max_frames: int | None) -> Choice:
    if max_frames is not None:
        return choose(stamps, max_frames)
    return Choice(np.arange(len(stamps)), None)


def _packet_stamps(path: Path) -> list[int | None]:
    """The timestamps that decoding is expected to give, in the order frames are shown."""
    with opened(path) as (container, stream):
        packets = container.demux(stream)  # one in memory at a time
        stamps = [packet.pts for packet in packets if packet.size and not packet.is_discard]
    return stamps if None in stamps else sorted(stamps)


def _some(frames: UInt8[np.ndarray, "t h w 3"], total: int, path: Path) -> UInt8[np.ndarray, "t h w 3"]:
    if not total:
        raise DataError(f"video {path} must have at least one frame, but has none")
    return frames
