import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.errors import DataError
from rfm.frames import video
from rfm.frames.video import decode_video, evenly_spaced, read_video, read_video_frames

REAL_CLIPS = Path(__file__).parents[3] / "shared" / "data" / "real_clips"


def write_video(path: Path, count: int, codec: str = "libx264", pixels: str = "yuv420p") -> None:
    """Grey frames whose level, 4 a frame, tells which one it is."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 48, 32, pixels, 2_000_000
        for at in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 4 * at, np.uint8), format="rgb24")
            for packet in stream.encode(frame.reformat(format=pixels)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def levels(frames: np.ndarray) -> list[int]:
    return np.rint(frames.mean(axis=(1, 2, 3)) / 4).astype(int).tolist()


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [
        ("mp4", "libx264", "yuv420p"),
        ("mov", "libx264", "yuv420p"),
        ("webm", "libvpx", "yuv420p"),
        ("gif", "gif", "gray"),
    ],
)
def test_formats(tmp_path: Path, suffix: str, codec: str, pixels: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write_video(path, 21, codec, pixels)
    frames, fps = read_video(path)
    assert frames.shape == (21, 32, 48, 3)
    assert levels(frames) == list(range(21))
    assert fps == pytest.approx(10)
    assert levels(read_video(path, 5)[0]) == [0, 5, 10, 15, 20]
    assert levels(read_video_frames(path, [20, 3, 3])) == [20, 3, 3]


def test_short_videos_come_whole(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 3)
    chosen = decode_video(tmp_path / "a.mp4", 16)
    assert chosen.indices.tolist() == [0, 1, 2]
    assert chosen.total == 3


@pytest.mark.parametrize("declared", [0, 5, 400])
def test_a_wrong_declared_count_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: int) -> None:
    write_video(tmp_path / "a.mp4", 21)
    monkeypatch.setattr(video, "_declared_count", lambda path: declared)
    chosen = decode_video(tmp_path / "a.mp4", 5)
    assert levels(chosen.frames) == chosen.indices.tolist() == [0, 5, 10, 15, 20]
    assert chosen.total == 21


def test_resized_while_decoding(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 3)
    assert decode_video(tmp_path / "a.mp4", 2, 8, 12).frames.shape == (2, 8, 12, 3)


def test_metadata_turn_the_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        pixels = np.zeros((32, 48, 3), np.uint8)
        pixels[:16, :16] = 255  # bright at the top left as stored
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")), *stream.encode()]:
            container.mux(packet)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # x' = -y, y' = x: a quarter turn clockwise, as upright telephones write it
    data[matrix : matrix + 20] = struct.pack(">5i", 0, 1 << 16, 0, -(1 << 16), 0)
    path.write_bytes(data)
    frame = read_video(path)[0][0]
    assert frame.shape == (48, 32, 3)
    assert frame[:16, 16:].mean() > 240
    assert frame[:16, :16].mean() < 15


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(DataError, match=r"video .*a.mp4 must exist, but does not"):
        read_video(path)
    path.write_bytes(b"no video" * 100)
    with pytest.raises(DataError, match=r"video .*a.mp4 must be readable, but decoding it gives: Invalid data found"):
        read_video(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"video .*a.mp4 must be readable"):
        read_video(path)
    write_video(path, 3)
    with pytest.raises(DataError, match=r"`frame_indices\[1\]` must be < 3 \(frames in .*a.mp4\), but is 3"):
        read_video_frames(path, [0, 3])


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.time_base = 8000, Fraction(1, 8000)
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(DataError, match="must have a video stream, but has none"):
        read_video(path)


@given(count=st.integers(1, 500), most=st.integers(1, 100))
def test_evenly_spaced(count: int, most: int) -> None:
    places = evenly_spaced(count, most)
    assert len(places) == min(count, most)
    assert places[-1] == count - 1
    steps = np.diff(places)
    if most > 1:
        assert places[0] == 0
        assert (steps >= 1).all()
    if len(steps):
        assert steps.max() - steps.min() <= 1


@pytest.mark.skipif(not REAL_CLIPS.is_dir(), reason="the clips of real robots are not beside the checkout")
def test_real_robot_clips() -> None:
    totals = {path.name.split("_")[0]: decode_video(path, 16) for path in sorted(REAL_CLIPS.glob("*.mp4"))}
    assert {name: clip.total for name, clip in totals.items()} == {"berkeley": 32, "jaco": 64, "soar": 32}
    assert all(clip.fps == 10 and len(clip.frames) == 16 for clip in totals.values())
    assert all(clip.frames.std() > 20 for clip in totals.values())
