from pathlib import Path

import av
import numpy as np
import pytest
from marked_frames import frame, numbers, write_marked
from robot_datasets import SHARED

from rfm.errors import DataError
from rfm.frames.video.decoding import read_frames_at, read_video, read_video_frames

FOUND = SHARED / "found" / "videos"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 123456\n"


def set_disposition(stream: av.VideoStream, *names: str) -> None:
    # PyAV before 18 wants a number
    stream.disposition = sum(getattr(av.stream.Disposition, name).value for name in names)


def write_streams(path: Path, *streams: tuple[tuple[int, int], int, str]) -> Path:
    """A file with a video stream for each (size, number of the first frame, dispositions)."""
    with av.open(str(path), "w") as container:
        made = []
        for size, _, disposition in streams:
            stream = container.add_stream("libx264", rate=10)
            stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
            set_disposition(stream, *disposition.split())
            made.append(stream)
        for at in range(4):
            for stream, (size, first, _) in zip(made, streams, strict=True):
                for packet in stream.encode(av.VideoFrame.from_ndarray(frame(first + at, *size), format="rgb24")):
                    container.mux(packet)
        for stream in made:
            for packet in stream.encode():
                container.mux(packet)
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize(
    ("streams", "right"),
    [
        ([((48, 64), 0, "default"), ((96, 128), 100, "default")], 100),
        ([((96, 128), 0, "default"), ((48, 64), 100, "default")], 0),
        ([((48, 64), 0, "default"), ((96, 128), 100, "default"), ((64, 96), 50, "default")], 100),
    ],
)
def test_the_stream_that_players_show(
    tmp_path: Path, suffix: str, streams: list[tuple[tuple[int, int], int, str]], right: int
) -> None:
    path = write_streams(tmp_path / f"a.{suffix}", *streams)
    assert numbers(read_video(path)[0]) == list(range(right, right + 4))
    assert numbers(read_video_frames(path, [3])) == [right + 3]
    assert numbers(read_frames_at(path, np.array([0.1]), 0.05)) == [right + 1]


def test_the_default_stream_comes_before_a_larger_one(tmp_path: Path) -> None:
    path = write_streams(tmp_path / "a.mkv", ((96, 128), 0, ""), ((48, 64), 100, "default"))
    assert numbers(read_video(path)[0]) == list(range(100, 104))


def test_cover_art_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        cover, stream = container.add_stream("mjpeg", rate=1), container.add_stream("libx264", rate=10)
        cover.height, cover.width, cover.pix_fmt = 96, 128, "yuvj420p"
        set_disposition(cover, "attached_pic")
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for at in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(at), format="rgb24")))
        container.mux(stream.encode())
        art = av.VideoFrame.from_ndarray(frame(200, 96, 128), format="rgb24").reformat(format="yuvj420p")
        container.mux(cover.encode(art) + cover.encode())
    with av.open(str(path)) as container:
        assert [stream.width for stream in container.streams.video] == [64, 128]
    assert numbers(read_video(path)[0]) == [0, 1, 2, 3]


@pytest.mark.skipif(not FOUND.is_dir(), reason="the recordings with known faults are not here")
def test_a_thumbnail_before_the_recording() -> None:
    assert numbers(read_video(FOUND / "two_streams" / "thumb_first.mp4", 64)[0]) == list(range(12))


def test_git_lfs_pointers_say_how_to_fetch_what_they_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text(POINTER)
    with pytest.raises(DataError, match=r"a.mp4 must hold the data itself, but is a Git LFS pointer to it: run `git"):
        read_video(path)
    write_marked(path, 2)
    assert numbers(read_video(path)[0]) == [0, 1]
