"""Opening a video file: which of its streams is the recording, and what FFmpeg finds wrong as one kind of error."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from rfm.errors import DataError
from rfm.files.lfs import check_fetched
from rfm.files.limits import check_pixels
from rfm.frames.video.whole import check_whole

_ARGUMENTS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Names within a file need not be UTF-8. PyAV 19 replaces what is not by itself, and refuses to be told so."""
_FORMATS = (
    "mov", "matroska", "avi", "gif", "apng", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "ogg", "mxf", "nut", "dv",
    "ivf", "obu", "h264", "hevc", "m4v", "mjpeg", "yuv4mpegpipe",
)  # fmt: skip
"""FFmpeg's names of containers that hold their pictures themselves. Playlists (HLS, DASH, ffconcat) and patterns of
file names would have it open whatever they name."""
_CONFINED = {"protocol_whitelist": "file", "format_whitelist": ",".join(_FORMATS)}
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<MPD", b"[playlist]", b"<smil")
_LOOKED_AT = 1024
_PICTURES = ("attached_pic", "timed_thumbnails")
"""Dispositions of streams that are cover art or previews of another one."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its `shown` video stream; whatever FFmpeg finds wrong within the block is a DataError."""
    if not path.is_file():
        raise DataError(f"video {path} must exist, but does not")
    check_fetched(path)
    check_whole(path)
    try:
        # The prefix keeps FFmpeg from taking a name for a protocol, as `concat:a|b` is one. `options` would be those of
        # the streams too, and PyAV up to 16 reads past its list of them where streams are found late (MPEG-PS).
        with av.open(f"file:{path}", container_options=_CONFINED, **_ARGUMENTS) as container:
            stream = shown(container, path)
            if stream.codec_context is None:
                raise DataError(f"video {path} must be of a known codec, but is not")
            check_pixels(stream.height, stream.width, f"video {path}")
            stream.thread_type = "NONE"  # one video a worker: threads of its own gain nothing on small frames
            yield container, stream
    except av.FFmpegError as error:
        if _is_playlist(path):
            raise DataError(f"video {path} must hold its pictures itself, but is a playlist of other files") from error
        if error.errno == errno.EINVAL:  # what FFmpeg says of formats that are not listed
            raise DataError(
                f"video {path} must be in a container of videos ({', '.join(_FORMATS)}), but is in none of them: "
                "convert it, say by `ffmpeg -i IN OUT.mp4`"
            ) from error
        raise DataError(f"video {path} must be readable, but decoding it gives: {error.strerror}") from error
    except UnicodeDecodeError as error:  # a name within the file
        raise DataError(f"video {path} must be readable, but decoding it gives: {error}") from error


def _is_playlist(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(_LOOKED_AT)
    return any(mark in start for mark in _PLAYLISTS)


def shown(container: Any, path: Path) -> Any:
    """The video stream that players show: the default one, of several the largest, never cover art or a preview."""
    streams = [stream for stream in container.streams.video if not _is(stream, *_PICTURES)]
    if not streams:
        held = "only a still picture" if container.streams.video else "none"
        raise DataError(f"video {path} must have a video stream, but has {held}")
    return max(streams, key=lambda stream: (_is(stream, "default"), _pixels(stream)))


def _is(stream: Any, *dispositions: str) -> bool:
    flags = stream.disposition
    return any(bool(flags & getattr(type(flags), name)) for name in dispositions)


def _pixels(stream: Any) -> int:
    return 0 if stream.codec_context is None else int(stream.width * stream.height)
