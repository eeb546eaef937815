import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rfm.errors import DataError
from rfm.files import limits
from rfm.frames.video import decoding as video
from rfm.frames.video.decoding import chosen_frames, decode_video, read_frames_at, read_video, read_video_frames

REAL_CLIPS = Path(__file__).parents[3] / "shared" / "data" / "real_clips"


def write_video(
    path: Path, count: int, codec: str = "libx264", pixels: str = "yuv420p", key_frames_every: int = 12
) -> None:
    """Grey frames whose level, 4 a frame, tells which one it is."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 48, 32, pixels, 2_000_000
        stream.gop_size = key_frames_every
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
def test_packets_that_promise_other_frames_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: int
) -> None:
    write_video(tmp_path / "a.mp4", 21)
    monkeypatch.setattr(video, "_packet_stamps", lambda path: list(range(declared)))
    chosen = decode_video(tmp_path / "a.mp4", 5)
    assert levels(chosen.frames) == chosen.indices.tolist() == [0, 5, 10, 15, 20]
    assert chosen.total == 21


def test_resized_while_decoding(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 3)
    assert decode_video(tmp_path / "a.mp4", 2, lambda *_: (8, 12)).frames.shape == (2, 8, 12, 3)


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
    with pytest.raises(
        DataError, match=r"a.wav must be in a container of videos \(mov, .*\), but is in none of them: con"
    ):
        read_video(path)


@pytest.mark.skipif(not REAL_CLIPS.is_dir(), reason="the clips of real robots are not beside the checkout")
def test_real_robot_clips() -> None:
    totals = {path.name.split("_")[0]: decode_video(path, 16) for path in sorted(REAL_CLIPS.glob("*.mp4"))}
    assert {name: clip.total for name, clip in totals.items()} == {"berkeley": 32, "jaco": 64, "soar": 32}
    assert all(clip.fps == 10 and len(clip.frames) == 16 for clip in totals.values())
    assert all(clip.frames.std() > 20 for clip in totals.values())


def test_frames_at_times_are_the_nearest_shown(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 40)
    path = tmp_path / "a.mp4"
    assert levels(read_frames_at(path, np.array([0.0, 0.1, 3.9]), 0.05)) == [0, 1, 39]
    assert levels(read_frames_at(path, np.array([2.04, 2.06, 2.06]), 0.05)) == [20, 21, 21]
    assert read_frames_at(path, np.array([1.0]), 0.05, lambda *_: (16, 24)).shape == (1, 16, 24, 3)


def test_decoding_starts_at_the_key_frame_before_and_ends_at_the_last(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 60, key_frames_every=10)
    with av.open(str(tmp_path / "a.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        shown = [float(packet.pts * packet.time_base) for packet in packets]
        start, end = [at for at, packet in enumerate(packets) if packet.is_keyframe][2:4]
        places = [(packet.pos, packet.size) for packet in (*packets[:start], *packets[end:])]
    broken = bytearray((tmp_path / "a.mp4").read_bytes())
    for place, size in places:
        broken[place : place + size] = bytes(size)
    (tmp_path / "b.mp4").write_bytes(broken)
    frame = round(shown[start] * 10)
    assert levels(read_frames_at(tmp_path / "b.mp4", np.array([shown[start], shown[start] + 0.2]), 0.05)) == [
        frame,
        frame + 2,
    ]
    with pytest.raises(DataError, match="decoding it gives"):
        read_frames_at(tmp_path / "b.mp4", np.array([0.5]), 0.05)


def test_every_frame_can_be_sought(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 60, key_frames_every=10)
    for at in range(60):
        assert levels(read_frames_at(tmp_path / "a.mp4", np.array([at / 10]), 0.05)) == [at]


@pytest.mark.parametrize("key_frames_every", [1, 2, 10, 60])
def test_times_far_apart_are_sought_one_by_one(tmp_path: Path, key_frames_every: int) -> None:
    write_video(tmp_path / "a.mp4", 60, key_frames_every=key_frames_every)
    for step in (1, 3, 7, 20):
        chosen = list(range(2, 60, step))
        assert levels(read_frames_at(tmp_path / "a.mp4", np.array(chosen) / 10, 0.05)) == chosen


def test_a_time_without_a_frame_is_an_error(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 10)
    with pytest.raises(DataError, match=r"must have a frame within 0.0500 s of 1.2000 s, but its nearest is at 0.9000"):
        read_frames_at(tmp_path / "a.mp4", np.array([0.9, 1.2]), 0.05)


def test_a_declared_size_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", 10)
    monkeypatch.setattr(limits, "MOST_PIXELS", 1000)
    with pytest.raises(DataError, match="must have at most 1000 pixels a frame, but declares 48 x 32"):
        read_video(tmp_path / "a.mp4")


def test_the_frames_that_are_kept_are_known_without_decoding(tmp_path):
    made = [tmp_path / f"{count}.mp4" for count in (1, 2, 9, 40)]
    for path in made:
        write_video(path, int(path.stem))
    for path in [*made, *sorted(REAL_CLIPS.glob("*.mp4"))]:
        for most in (2, 8, 64):
            assert chosen_frames(path, most).tolist() == decode_video(path, most).indices.tolist()
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"video .*text.mp4 must be"):
        chosen_frames(tmp_path / "text.mp4", 4)
