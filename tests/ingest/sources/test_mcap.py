"""MCAP files and ROS 2 bags as their own writers write them, and what can be wrong with them."""

import io
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingested import rejections, rows, run, seen
from marked_frames import frame
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as PlainWriter
from mcap_ros2.writer import Writer
from PIL import Image

from rfm.errors import ConfigError
from rfm.ingest.mcap.episodes import IngestMcapOptions, ingest_mcap_command

HEADER = "===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
RAW = "sensor_msgs/msg/Image"
TEXTS = {
    COMPRESSED: f"# a picture\nstd_msgs/Header header # its time\nstring format\n\nuint8[] data\n{HEADER}",
    RAW: "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n"
    f"uint8[] data\n{HEADER}",
    "std_msgs/msg/String": "string data\n",
}
SECOND = 10**9
FLAGS = ("--task", "fold", "--label", "successful", "--data_source", "s")


def encoded(number: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame(number)).save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


def stamp(at: float) -> dict[str, Any]:
    return {"stamp": {"sec": int(at), "nanosec": round(at % 1 * SECOND)}, "frame_id": "camera"}


def compressed(number: int, at: float, kind: str = "JPEG") -> dict[str, Any]:
    return {"header": stamp(at), "format": kind.lower(), "data": encoded(number, kind)}


def raw(number: int, at: float, encoding: str = "rgb8", padding: int = 0, **changes: Any) -> dict[str, Any]:
    rgb = frame(number)
    alpha = np.full((*rgb.shape[:2], 1), 7, np.uint8)
    pixels = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.concatenate([rgb, alpha], 2),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], 2),
    }.get(encoding, rgb[..., :1])
    height, width, size = pixels.shape
    lines = np.pad(pixels.reshape(height, width * size), ((0, 0), (0, padding)), constant_values=99)
    described = {"height": height, "width": width, "encoding": encoding, "step": width * size + padding}
    return {"header": stamp(at), "is_bigendian": 1, "data": lines.tobytes(), **described, **changes}


Said = tuple[str, str, dict[str, Any], float]
"""Topic, kind, message, and when it was logged."""


def images(numbers: Iterable[int], topic: str = "/front", start: float = 100.0) -> list[Said]:
    return [(topic, COMPRESSED, compressed(n, start + n / 10), 500 + n / 10) for n in numbers]


def write(path: Path, said: Iterable[Said], texts: dict[str, str] = TEXTS, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream, Writer(stream, **({"chunk_size": 9000} | options)) as writer:
        schemas = {}
        for topic, kind, message, logged in said:
            if kind not in schemas:
                schemas[kind] = writer.register_msgdef(kind, texts[kind])
            writer.write_message(topic, schemas[kind], message, log_time=round(logged * SECOND))
        writer.add_metadata("episode", {"text": "fold the towel", "done": "success"})
    return path


def write_plain(path: Path, said: Iterable[Said], **options: Any) -> Path:
    """The same by the plain writer, which may leave out indices, chunks and the summary."""
    from mcap_ros2._dynamic import serialize_dynamic

    with path.open("wb") as stream:
        writer = PlainWriter(stream, **options)
        writer.start()
        schema = writer.register_schema(COMPRESSED, "ros2msg", TEXTS[COMPRESSED].encode())
        channel = writer.register_channel("/front", "cdr", schema)
        encode = serialize_dynamic(COMPRESSED, TEXTS[COMPRESSED])[COMPRESSED]
        for _, _, message, logged in said:
            time = round(logged * SECOND)
            writer.add_message(channel, time, encode(message), time)
        writer.finish()
    return path


def one(output: Path) -> list[int]:
    """The numbers of the frames of the only episode."""
    ((_, found),) = seen(output).values()
    return found


@pytest.mark.parametrize("packing", list(CompressionType))
def test_every_frame_in_order_and_upright(tmp_path: Path, packing: CompressionType) -> None:
    path = write(tmp_path / "a.mcap", images(range(20)), compression=packing)
    assert run("mcap", path, tmp_path / "out", *FLAGS) == 0
    assert seen(tmp_path / "out") == {"s": ("fold", list(range(20)))}
    assert rows(tmp_path / "out")[0]["quality_label"] == "successful"
    assert run("mcap", path, tmp_path / "few", *FLAGS, "--max_frames", "5") == 0
    assert one(tmp_path / "few") == [0, 5, 10, 14, 19]


@pytest.mark.parametrize(
    "options",
    [
        {"use_chunking": False},
        {"use_statistics": False},
        {"index_types": IndexType.NONE},
        {"repeat_schemas": False},
        {"repeat_channels": False, "repeat_schemas": False, "use_statistics": False, "use_summary_offsets": False,
         "index_types": IndexType.NONE},
        {"use_chunking": False, "repeat_channels": False},
    ],
)  # fmt: skip
def test_files_without_indices_chunks_or_a_summary(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write_plain(tmp_path / "a.mcap", images(range(12)), **options)
    assert run("mcap", path, tmp_path / "out", *FLAGS) == 0
    assert one(tmp_path / "out") == list(range(12))


def test_messages_out_of_order_are_put_in_order_of_time(tmp_path: Path) -> None:
    order = [4, 0, 7, 1, 6, 3, 2, 5]
    assert run("mcap", write(tmp_path / "a.mcap", images(order)), tmp_path / "a", *FLAGS) == 0
    assert one(tmp_path / "a") == list(range(8))
    unset = [("/front", COMPRESSED, compressed(n, 0.0), 500.0 + n) for n in order]
    assert run("mcap", write(tmp_path / "b.mcap", unset), tmp_path / "b", *FLAGS) == 0
    assert one(tmp_path / "b") == list(range(8))


def test_frames_are_even_in_time_where_the_camera_paused(tmp_path: Path) -> None:
    times = [*range(5), *(range(15, 21))]
    said = [("/front", COMPRESSED, compressed(n, 100.0 + at), 500.0) for n, at in enumerate(times)]
    assert run("mcap", write(tmp_path / "a.mcap", said), tmp_path / "out", *FLAGS, "--max_frames", "5") == 0
    assert one(tmp_path / "out") == [0, 4, 4, 5, 10]  # at 0, 5, 10, 15 and 20 seconds


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8"])
@pytest.mark.parametrize("padding", [0, 13])
def test_raw_pictures_of_every_encoding(tmp_path: Path, encoding: str, padding: int) -> None:
    said = [("/front", RAW, raw(n, 100.0 + n, encoding, padding), 500.0 + n) for n in range(6)]
    assert run("mcap", write(tmp_path / "a.mcap", said), tmp_path / "out", *FLAGS) == 0
    assert one(tmp_path / "out") == list(range(6))


def test_grey_png_and_orientation(tmp_path: Path) -> None:
    from rfm.frames.reader import read_frames

    write(tmp_path / "grey.mcap", [("/front", RAW, raw(n, 100.0 + n, "mono8", 3), 1.0) for n in range(3)])
    assert run("mcap", tmp_path / "grey.mcap", tmp_path / "grey", *FLAGS) == 0
    row = rows(tmp_path / "grey")[0]
    kept = read_frames(tmp_path / "grey", row["frames"], range(3))
    assert np.array_equal(kept, np.stack([np.repeat(frame(n)[..., :1], 3, 2) for n in range(3)]))
    png = [("/front", COMPRESSED, compressed(n, 100.0 + n, "PNG"), 1.0) for n in range(3)]
    assert run("mcap", write(tmp_path / "png.mcap", png), tmp_path / "png", *FLAGS) == 0
    assert one(tmp_path / "png") == [0, 1, 2]
    turned = []
    for n in range(3):
        message = raw(n, 100.0 + n)
        message["data"] = np.ascontiguousarray(frame(n)[::-1]).tobytes()
        turned.append(("/front", RAW, message, 1.0))
    path = write(tmp_path / "turned.mcap", turned)
    assert run("mcap", path, tmp_path / "turned", *FLAGS, "--orientation", "vflip") == 0
    assert one(tmp_path / "turned") == [0, 1, 2]


def test_several_topics_need_a_name(tmp_path: Path) -> None:
    side = [("/side/image", RAW, raw(20 + n, 100.0 + n), 500.0 + n) for n in range(4)]
    depth = [("/depth/image_raw", RAW, raw(9, 100.0, "16UC1"), 500.0)]
    path = write(tmp_path / "a.mcap", [*images(range(4)), *side, *depth, ("/say", "std_msgs/msg/String", {}, 1.0)])
    options = {"path": str(path), "output": str(tmp_path / "out"), "task": "t"}
    with pytest.raises(ConfigError, match=r"^--camera must name one of /front, /side/image, but is not given$"):
        ingest_mcap_command(IngestMcapOptions(**options))
    with pytest.raises(ConfigError, match=r"^--camera must name one of /front, /side/image, but is `/top`$"):
        ingest_mcap_command(IngestMcapOptions(**options, camera="/top"))
    assert run("mcap", path, tmp_path / "side", *FLAGS, "--camera", "/side/image") == 0
    assert one(tmp_path / "side") == [20, 21, 22, 23]
    assert run("mcap", path, tmp_path / "depth", *FLAGS, "--camera", "/depth/image_raw") == 1
    assert (
        "on `/depth/image_raw` must have the encoding rgb8, bgr8, mono8, rgba8, bgra8, but has `16UC1`"
        in (rejections(tmp_path / "depth")["s"])
    )


def bag(folder: Path, files: dict[str, list[Said]], **information: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, said in files.items():
        write(folder / name, said)
    listed = {"relative_file_paths": list(files), "storage_identifier": "mcap", "version": 9} | information
    lines = ["rosbag2_bagfile_information:", *(f"  {key}: {value}" for key, value in listed.items())]
    (folder / "metadata.yaml").write_text("\n".join(lines) + "\n")
    return folder


def test_bags_and_files_in_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "in"
    bag(root / "two", {"two_0.mcap": images(range(5)), "two_1.mcap": images(range(5, 9))}, custom_data="{k: open it}")
    bag(root / "ten", {"ten_0.mcap": images([1, 2])}, custom_data="{k: close it}")
    write(root / "two.mcap", images([3, 4]))
    write(root / "sub" / "x.mcap", images([5, 6]))
    (root / "sub" / "metadata.yaml").write_text("of: something else\n")
    assert run("mcap", root, tmp_path / "out", *FLAGS) == 0
    assert {name: found for name, (_, found) in seen(tmp_path / "out").items()} == {
        "s_two": list(range(9)), "s_ten": [1, 2], "s_two.mcap": [3, 4], "s_sub/x": [5, 6]
    }  # fmt: skip
    assert run("mcap", root / "two", tmp_path / "one", "--task_column", "k", "--data_source", "s") == 0
    assert seen(tmp_path / "one") == {"s": ("open it", list(range(9)))}
    columns = ("--task_column", "episode.text", "--label_column", "episode.done", "--success_pattern", "success")
    assert run("mcap", root / "sub", tmp_path / "told", *columns, "--data_source", "s") == 0
    assert seen(tmp_path / "told") == {"s_x": ("fold the towel", [5, 6])}
    assert rows(tmp_path / "told")[0]["quality_label"] == "successful"


def test_lists_call_recordings_by_path_folder_or_id(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for name in ("a.mcap", "b.mcap", "sub/c.mcap"):
        write(root / name, images([1, 2]))
    (tmp_path / "tasks.csv").write_text("episode,task\na.mcap,one\ns_b,two\nsub,three\n")
    assert run("mcap", root, tmp_path / "out", "--tasks", str(tmp_path / "tasks.csv"), "--data_source", "s") == 0
    assert [task for task, _ in seen(tmp_path / "out").values()] == ["one", "two", "three"]


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


def test_bags_in_sqlite_get_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = bag(tmp_path / "bag", {}, relative_file_paths="[bag_0.db3]", storage_identifier="sqlite3")
    (folder / "bag_0.db3").write_bytes(b"SQLite format 3\0")
    for path in (folder, folder / "bag_0.db3", tmp_path):
        assert run("mcap", path, tmp_path / "out", *FLAGS) == 1
        told = capsys.readouterr()
        assert "is a ROS 2 bag in SQLite (.db3): convert it by `ros2 bag convert -i" in told.out + told.err
    assert not (tmp_path / "out").exists()


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


def test_the_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.mcap", images([1]))
    monkeypatch.setitem(sys.modules, "mcap_ros2.decoder", None)
    assert run("mcap", path, tmp_path / "out", *FLAGS) == 1
    told = capsys.readouterr()
    assert "pip install 'rfm-vqa[mcap]'" in told.out + told.err
