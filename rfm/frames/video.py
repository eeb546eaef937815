"""Frames of a video file, decoded with PyAV (mp4, webm, mov, gif and whatever else FFmpeg reads).

A clip is decoded from its start; frames not asked for are decoded but not converted to RGB. Evenly spaced frames need
the frame count: the container's own is tried first, and if decoding shows it to be wrong or there is none, a pass that
only counts comes before a second one. Memory holds the chosen frames, not the video. About 1 ms a frame of 240 x 320.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float64, Int, Int64, UInt8

from rfm.errors import DataError
from rfm.frames.npz import check_indices
from rfm.frames.resize import resize_frames

MOST_PIXELS = 2**26
"""Pixels a frame may have (8192 x 8192): what a file declares is no reason to take memory."""


@dataclass(frozen=True)
class Video:
    """Frames chosen from a video, which had `total` frames at `fps` frames a second."""

    frames: UInt8[np.ndarray, "t h w 3"]
    indices: Int64[np.ndarray, "t"]
    """The place of each chosen frame in the video."""
    total: int
    fps: float


def read_video(path: Path, max_frames: int | None = None) -> tuple[UInt8[np.ndarray, "t h w 3"], float]:
    """All frames, or `max_frames` evenly spaced ones with the first and the last, and the video's frames a second."""
    video = decode_video(path, max_frames)
    return video.frames, video.fps


def decode_video(
    path: Path, max_frames: int | None = None, height: int | None = None, width: int | None = None
) -> Video:
    """As `read_video`, with the frames' places; resized one by one while decoding if a size is given."""
    size = None if height is None or width is None else (height, width)
    if max_frames is None:
        frames, total, fps = _decode(path, None, size)
        return Video(frames, np.arange(total), total, fps)
    guess = _declared_count(path) or _count_frames(path)
    frames, total, fps = _decode(path, evenly_spaced(guess, max_frames), size)
    if total != guess:
        frames, total, fps = _decode(path, evenly_spaced(total, max_frames), size)
    return Video(frames, evenly_spaced(total, max_frames), total, fps)


def read_video_frames(path: Path, indices: Sequence[int] | Int[np.ndarray, "n"]) -> UInt8[np.ndarray, "n h w 3"]:
    """The frames at `indices`, in that order; repeated ones are converted once."""
    wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
    distinct, place = np.unique(wanted, return_inverse=True)
    frames, total, _ = _decode(path, distinct, None, to_end=False)
    check_indices(wanted, total, path)
    return frames[place]


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
    with _opened(path) as (container, stream):
        for second, (shown, frame) in zip(seconds.tolist(), _nearest(container, stream, seconds), strict=True):
            if frame is None or abs(shown - second) > tolerance:
                nearest = "has none" if frame is None else f"its nearest is at {shown:.4f} s"
                raise DataError(
                    f"video {path} must have a frame within {tolerance:.4f} s of {second:.4f} s, but {nearest}"
                )
            frames.append(_sized(_upright(frame), size))
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


def evenly_spaced(count: int, most: int) -> Int64[np.ndarray, "t"]:
    """All of `count` places, or `most` of them: the first, the last, and between them the nearest to equal steps."""
    if count <= most:
        return np.arange(count)
    if most == 1:
        return np.array([count - 1])  # the state that was reached
    steps = most - 1
    return (2 * np.arange(most) * (count - 1) + steps) // (2 * steps)


def _decode(
    path: Path, chosen: Int64[np.ndarray, "k"] | None, size: tuple[int, int] | None, to_end: bool = True
) -> tuple[UInt8[np.ndarray, "t h w 3"], int, float]:
    """The chosen frames (all if None), the number of frames decoded, and frames a second (0 where unknown)."""
    wanted = None if chosen is None else set(chosen.tolist())
    last = None if to_end or not wanted else max(wanted)
    frames: list[UInt8[np.ndarray, "h w 3"]] = []
    total = 0
    with _opened(path) as (container, stream):
        for frame in container.decode(stream):
            if wanted is None or total in wanted:
                frames.append(_sized(_upright(frame), size))
            total += 1
            if last is not None and total > last:
                break
        fps = float(stream.average_rate or stream.guessed_rate or 0)
    return _stacked(frames, total, path), total, fps


def _stacked(frames: list[UInt8[np.ndarray, "h w 3"]], total: int, path: Path) -> UInt8[np.ndarray, "t h w 3"]:
    if not total:
        raise DataError(f"video {path} must have at least one frame, but has none")
    if len({frame.shape for frame in frames}) > 1:
        raise DataError(f"video {path} must have frames of one size, but their size changes on the way")
    return np.stack(frames) if frames else np.empty((0, 1, 1, 3), np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream; whatever FFmpeg finds wrong within the block is a DataError."""
    if not path.is_file():
        raise DataError(f"video {path} must exist, but does not")
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise DataError(f"video {path} must have a video stream, but has none")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise DataError(f"video {path} must be of a known codec, but is not")
            if stream.width * stream.height > MOST_PIXELS:
                raise DataError(
                    f"video {path} must have at most {MOST_PIXELS} pixels a frame, but declares "
                    f"{stream.width} x {stream.height}"
                )
            stream.thread_type = "NONE"  # one video a worker: threads of its own gain nothing on small frames
            yield container, stream
    except av.FFmpegError as error:
        raise DataError(f"video {path} must be readable, but decoding it gives: {error.strerror}") from error
    except UnicodeDecodeError as error:  # a name within the file that PyAV reads whatever `metadata_errors` says
        raise DataError(f"video {path} must be readable, but decoding it gives: {error}") from error


def _declared_count(path: Path) -> int:
    with _opened(path) as (_, stream):
        return int(stream.frames)


def _count_frames(path: Path) -> int:
    with _opened(path) as (container, stream):
        return sum(1 for _ in container.decode(stream))


def _upright(frame: Any) -> UInt8[np.ndarray, "h w 3"]:
    """RGB, turned as the video's metadata ask (telephones store portrait clips lying on their side)."""
    pixels: UInt8[np.ndarray, "h w 3"] = frame.to_ndarray(format="rgb24")
    quarter_turns = round(frame.rotation / 90)  # counterclockwise, as rot90 counts
    return np.rot90(pixels, quarter_turns) if quarter_turns else pixels


def _sized(frame: UInt8[np.ndarray, "h w 3"], size: tuple[int, int] | None) -> UInt8[np.ndarray, "h w 3"]:
    return frame if size is None else resize_frames(frame[np.newaxis], *size)[0]
