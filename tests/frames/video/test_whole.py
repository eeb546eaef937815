from pathlib import Path

import pytest
from marked_frames import numbers, write_marked

from rfm.errors import DataError
from rfm.frames.video.decoding import read_video

FORMATS = [
    ("mkv", "libx264", "yuv420p"),
    ("mkv", "ffv1", "bgra"),
    ("webm", "libvpx", "yuv420p"),
    ("avi", "mjpeg", "yuvj420p"),
    ("gif", "gif", "rgb8"),
    ("mp4", "libx264", "yuv420p"),
]


@pytest.mark.parametrize(("suffix", "codec", "pixels"), FORMATS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_recordings_that_were_cut_off_are_not_taken_for_shorter_ones(
    tmp_path: Path, suffix: str, codec: str, pixels: str, share: float
) -> None:
    path = write_marked(tmp_path / f"a.{suffix}", 20, codec=codec, pixels=pixels)
    whole = path.read_bytes()
    assert len(read_video(path)[0]) == 20
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"it was cut off; copy|must be readable, but|at least one frame, but has none"):
        read_video(path)


def test_a_recorder_that_never_finished_declares_nothing(tmp_path: Path) -> None:
    path = write_marked(tmp_path / "a.mkv", 20, codec="ffv1", pixels="bgra")
    data = bytearray(path.read_bytes())
    at = data.index(b"\x18\x53\x80\x67") + 4
    data[at : at + 8] = b"\x01" + b"\xff" * 7
    path.write_bytes(data[: len(data) * 3 // 4])
    shown = numbers(read_video(path)[0])
    assert shown == list(range(len(shown)))
    assert 10 < len(shown) < 20


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here can be opened but not read")
def test_a_file_that_can_be_opened_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=r"a\.mp4 must be readable, but reading it gives: Input/output error$"):
        read_video(tmp_path / "a.mp4")
