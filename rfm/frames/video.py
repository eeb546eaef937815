"""Frames of a video file, decoded with PyAV (mp4, webm, mov, gif and whatever else FFmpeg reads).

A clip is decoded from its start; frames not asked for are decoded but not converted to RGB. Which frames are kept is a
matter of their times (`rfm.frames.timeline`): those of the packets are tried first, which costs reading the file but no
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
from rfm.frames.container import MOST_PIXELS, opened
from rfm.frames.npz import check_indices
from rfm.frames.resize import resize_frames
from rfm.frames.timeline import choose, evenly_spaced
from rfm.frames.upright import Viewer

__all__ = [
    "MOST_PIXELS",
    "Video",
    "decode_video",
    "evenly_spaced",
    "read_frames_at",
    "read_video",
    "read_video_frames",
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


class _Decoded(NamedTuple):
    frames: UInt8[np.ndarray, "t h w 3"]
    stamps: list[int | None]
    """The timestamps of all frames decoded, chosen or not, in the order they are shown."""
    fps: float


def read_video(path: Path, max_frames: int | None = None) -> tuple[UInt8[np.ndarray, "t h w 3"], float]:
    """All frames, or those that `decode_video` chooses, and the video's frames a second."""
    video = decode_video(path, max_frames)
    return video.frames, video.fps


def decode_video(
    path: Path, max_frames: int | None = None, height: int | None = None, width: int | None = None
) -> Video:
    """All frames, or at most `max_frames` that `timeline.choose` takes, the first and the last among them.

    Resized one by one while decoding if a size is given.
    """
    size = None if height is None or width is None else (height, width)
    if max_frames is None:
        whole = _decode(path, None, size)
        return Video(whole.frames, np.arange(len(whole.stamps)), len(whole.stamps), whole.fps)
    guess = choose(_packet_stamps(path), max_frames).indices
    decoded = _decode(path, guess, size)
    chosen = choose(decoded.stamps, max_frames)
    if not np.array_equal(chosen.indices, guess):
        decoded = _decode(path, chosen.indices, size)
    distinct, place = np.unique(chosen.indices, return_inverse=True)
    frames = decoded.frames if len(distinct) == len(place) else decoded.frames[place]
    notes = (chosen.note,) if chosen.note else ()
    return Video(frames, chosen.indices, len(decoded.stamps), decoded.fps, chosen.times, notes)


def read_video_frames(path: Path, indices: Sequence[int] | Int[np.ndarray, "n"]) -> UInt8[np.ndarray, "n h w 3"]:
    """The frames at `indices`, in that order; repeated ones are converted once."""
    wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
    distinct, place = np.unique(wanted, return_inverse=True)
    decoded = _decode(path, distinct, None, to_end=False)
    check_indices(wanted, len(decoded.stamps), path)
    return decoded.frames[place]


def read_frames_at(
    path: Path,
    seconds: Float64[np.ndarray, "k"],
    tolerance: float,
    height: int | None = None,
    width: int | None = None,
) -> UInt8[np.ndarray, "k h w 3"]:
    """The frames shown nearest to each of `seconds`, which ascend; resized one by one if a size is given.

    DataError for the first time that has no frame within `tolerance` seconds.
    """
    size = None if height is None or width is None else (height, width)
    frames = []
    viewer = Viewer(f"video {path}")
    with opened(path) as (container, stream):
        for second, (shown, frame) in zip(seconds.tolist(), _nearest(container, stream, seconds), strict=True):
            if frame is None or abs(shown - second) > tolerance:
                nearest = "has none" if frame is None else f"its nearest is at {shown:.4f} s"
                raise DataError(
                    f"video {path} must have a frame within {tolerance:.4f} s of {second:.4f} s, but {nearest}"
                )
            frames.append(_sized(viewer.rgb(frame), size))
    return _stacked(frames, len(frames), path)


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


def _decode(
    path: Path, chosen: Int64[np.ndarray, "k"] | None, size: tuple[int, int] | None, to_end: bool = True
) -> _Decoded:
    """Decode and keep the chosen frames (all if None), each once."""
    wanted = None if chosen is None else set(chosen.tolist())
    last = None if to_end or not wanted else max(wanted)
    frames: list[UInt8[np.ndarray, "h w 3"]] = []
    stamps: list[int | None] = []
    viewer = Viewer(f"video {path}")
    with opened(path) as (container, stream):
        for frame in container.decode(stream):
            if wanted is None or len(stamps) in wanted:
                frames.append(_sized(viewer.rgb(frame), size))
            stamps.append(frame.pts)
            if last is not None and len(stamps) > last:
                break
        fps = float(stream.average_rate or stream.guessed_rate or 0)
    return _Decoded(_stacked(frames, len(stamps), path), stamps, fps)


def _packet_stamps(path: Path) -> list[int | None]:
    """The timestamps that decoding is expected to give, in the order frames are shown."""
    with opened(path) as (container, stream):
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
    stamps = [packet.pts for packet in packets]
    return stamps if None in stamps else sorted(stamps)


def _stacked(frames: list[UInt8[np.ndarray, "h w 3"]], total: int, path: Path) -> UInt8[np.ndarray, "t h w 3"]:
    if not total:
        raise DataError(f"video {path} must have at least one frame, but has none")
    if len({frame.shape for frame in frames}) > 1:
        raise DataError(f"video {path} must have frames of one size, but their size changes on the way")
    return np.stack(frames) if frames else np.empty((0, 1, 1, 3), np.uint8)


def _sized(frame: UInt8[np.ndarray, "h w 3"], size: tuple[int, int] | None) -> UInt8[np.ndarray, "h w 3"]:
    return frame if size is None else resize_frames(frame[np.newaxis], *size)[0]
