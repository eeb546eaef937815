"""What can be wrong with MCAP files and ROS 2 bags costs them alone, with a reason."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingested import rejections, run
from mcap.writer import CompressionType
from mcap_files import COMPRESSED, FLAGS, HEADER, RAW, TEXTS, bag, compressed, encoded, images, one, raw, stamp, write
from PIL import Image

from rfm.errors import ConfigError
from rfm.ingest.mcap.episodes import IngestMcapOptions, ingest_mcap_command


@pytest.mark.parametrize(
    ("information", "reason"),
    [
        ({"relative_file_paths": "[bag_0.mcap, gone.mcap]"}, "but `gone.mcap` is not there"),
        ({"relative_file_paths": "[../other.mcap]"}, "must name files beside it, but has `../other.mcap`"),
        ({"relative_file_paths": "[/etc/passwd]"}, "must name files beside it, but has `/etc/passwd`"),
        ({"relative_file_paths": "[link.mcap]"}, "must lie in the dataset's folder"),
        ({"relative_file_paths": "[]"}, "`relative_file_paths` of"),
        ({"relative_file_paths": "[bag_1.mcap]"}, "must list all files of the bag, but `bag_0.mcap` is not listed"),
        ({"relative_file_paths": "[bag_0.mcap.zstd]"}, "is compressed as a whole"),
        ({"relative_file_paths": "{a: [}"}, "must be YAML, but is not"),
    ],
)
def test_bags_that_list_what_is_not_theirs(tmp_path: Path, information: dict[str, str], reason: str) -> None:
    write(tmp_path / "other.mcap", images([1]))
    folder = bag(tmp_path / "in" / "bag", {"bag_0.mcap": images([1, 2])}, **information)
    if "link" in information["relative_file_paths"]:
        (folder / "link.mcap").symlink_to(tmp_path / "other.mcap")
    if "bag_1" in information["relative_file_paths"]:
        write(folder / "bag_1.mcap", images([3]))
    write(tmp_path / "in" / "good.mcap", images([7, 8]))
    assert run("mcap", tmp_path / "in", tmp_path / "out", *FLAGS) == 1
    assert one(tmp_path / "out") == [7, 8]
    assert reason in rejections(tmp_path / "out")["s_bag"]


def damaged(path: Path, output: Path) -> str:
    assert run("mcap", path, output, *FLAGS) == 1
    return rejections(output)["s"]


def test_a_file_cut_off_anywhere_is_rejected(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mcap", images(range(4))).read_bytes()
    for at, size in enumerate(sorted({0, 3, 8, 20, 45, *range(60, len(whole), len(whole) // 12), len(whole) - 1})):
        (tmp_path / "cut.mcap").write_bytes(whole[:size])
        reason = damaged(tmp_path / "cut.mcap", tmp_path / f"out{at}")
        assert "does not begin as one" in reason or "`mcap recover`" in reason


@pytest.mark.parametrize("packing", list(CompressionType))
def test_no_damage_is_a_traceback(tmp_path: Path, packing: CompressionType) -> None:
    whole = write(tmp_path / "whole.mcap", images(range(3)), compression=packing).read_bytes()
    random = np.random.default_rng(3)
    rejected = 0
    for at in range(40):
        content = bytearray(whole)
        start = int(random.integers(8, len(whole) - 12))
        content[start : start + 8] = random.bytes(8) if at % 2 else b"\xff" * 8
        (tmp_path / "bad.mcap").write_bytes(content)
        status = run("mcap", tmp_path / "bad.mcap", tmp_path / f"out{at}", *FLAGS)
        rejected += status
        assert status or one(tmp_path / f"out{at}") == [0, 1, 2]
    assert rejected > 20


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def chunk(compression: bytes, declared: int, data: bytes, length: int | None = None) -> bytes:
    held = len(data) if length is None else length
    return record(6, struct.pack("<QQQI", 0, 0, declared, 0) + text(compression) + struct.pack("<Q", held) + data)


def hostile(path: Path, body: bytes) -> Path:
    magic = b"\x89MCAP0\r\n"
    header, end = record(1, text(b"") + text(b"")), record(15, struct.pack("<I", 0))
    path.write_bytes(magic + header + body + end + record(2, struct.pack("<QQI", 0, 0, 0)) + magic)
    return path


def zstd_bomb() -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(bytes(2**26))


def lz4_bomb() -> bytes:
    import lz4.frame

    return lz4.frame.compress(bytes(2**24))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (chunk(b"bzip2", 3, b"abc"), "must be compressed by zstd or lz4, or not at all, but is by `bzip2`"),
        (chunk(b"zstd", 2**50, b"abc"), "must take at most 134217728 bytes, but takes 1125899906842624"),
        (chunk(b"", 2**20, b"abc"), "must inflate to the 1048576 bytes it declares, but gives 3"),
        (chunk(b"", 2**20, b"abc", 2**62), "must inflate to the 1048576 bytes it declares, but gives 3"),
        (chunk(b"zstd", 100, zstd_bomb()), "must inflate to the 100 bytes it declares, but gives more"),
        (chunk(b"lz4", 100, lz4_bomb()), "must inflate to the 100 bytes it declares, but gives more"),
        (chunk(b"zstd", 100, b"no zstd"), "must be a readable MCAP file, but reading it gives"),
        (chunk(b"lz4", 100, b"no lz4 at all"), "must be a readable MCAP file, but reading it gives"),
        (chunk(b"", 9, struct.pack("<BQ", 5, 2**60)), "must hold whole records, but the one at byte 0"),
        (struct.pack("<BQ", 5, 2**60), "must hold whole records"),
        (record(5, bytes(22)), "the channel of each message must be declared before it, but channel 0 is not"),
        (record(3, struct.pack("<H", 1) + struct.pack("<I", 2**31)), "reading it gives: EndOfFile"),
        (record(4, struct.pack("<HH", 1, 0) + text(b"/a") + text(b"cdr") + struct.pack("<I", 0))
         + record(4, struct.pack("<HH", 1, 0) + text(b"/b") + text(b"cdr") + struct.pack("<I", 0)),
         "channel 1 must be declared alike each time"),
        (b"", "must have a topic of colour pictures (sensor_msgs/msg/CompressedImage or Image of ROS 2), but has no m"),
    ],
)  # fmt: skip
def test_what_files_declare_is_checked_before_it_is_believed(tmp_path: Path, body: bytes, reason: str) -> None:
    assert reason in damaged(hostile(tmp_path / "a.mcap", body), tmp_path / "out")


@pytest.mark.parametrize("size", [0, 1, 5])
def test_a_message_that_holds_nothing(tmp_path: Path, size: int) -> None:
    schema = struct.pack("<H", 1) + text(RAW.encode()) + text(b"ros2msg") + text(TEXTS[RAW].encode())
    channel = struct.pack("<HH", 1, 1) + text(b"/a") + text(b"cdr") + text(b"")
    message = struct.pack("<HIQQ", 1, 0, 1, 1) + bytes(size)
    body = record(3, schema) + record(4, channel) + record(5, message)
    assert "must be a readable MCAP file, but" in damaged(hostile(tmp_path / "a.mcap", body), tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"height": 2**31, "width": 2**31}, "must have at most 67108864 pixels a frame, but declares 2147483648 x"),
        ({"height": 0}, "must hold `height` rows of `step` bytes"),
        ({"step": 5}, "64 x 48 pixels of rgb8 with a step of 5"),
        ({"data": b"abc"}, "but 3 bytes are no 64 x 48 pixels of rgb8 with a step of 192"),
        ({"encoding": "bayer_rggb8"}, "the encoding rgb8, bgr8, mono8, rgba8, bgra8, but has `bayer_rggb8`"),
    ],
)
def test_raw_pictures_that_are_none(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    path = write(tmp_path / "a.mcap", [("/front", RAW, raw(1, 100.0) | changes, 1.0)])
    found = damaged(path, tmp_path / "out")
    assert reason in found
    assert "on `/front`" in found


def test_a_pixel_bomb_and_a_damaged_picture(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    bomb = {"header": stamp(100), "format": "png", "data": buffer.getvalue()}
    path = write(tmp_path / "bomb.mcap", [("/front", COMPRESSED, bomb, 1.0)])
    assert "must have at most 67108864 pixels a frame, but declares 9000 x 9000" in damaged(path, tmp_path / "a")
    cut = compressed(1, 100.0) | {"data": encoded(1)[:500]}
    path = write(tmp_path / "cut.mcap", [("/front", COMPRESSED, cut, 1.0)])
    assert "must be a JPEG or PNG picture, but decoding it gives" in damaged(path, tmp_path / "b")


def test_a_definition_of_other_fields_is_not_followed(tmp_path: Path) -> None:
    texts = {COMPRESSED: f"std_msgs/Header header\nuint8[] data\nstring format\n{HEADER}"}
    path = write(tmp_path / "a.mcap", images([1]), texts)
    assert f"but has /front ({COMPRESSED} of other fields than in ROS 2)" in damaged(path, tmp_path / "out")


def test_a_path_that_is_no_recording(tmp_path: Path) -> None:
    options = {"output": str(tmp_path / "out"), "task": "t"}
    with pytest.raises(ConfigError, match=r"^PATH must be an MCAP file, a ROS 2 bag, or a folder of them, but is"):
        ingest_mcap_command(IngestMcapOptions(path=str(tmp_path), **options))
