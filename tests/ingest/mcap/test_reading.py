"""MCAP files and ROS 2 bags as their own writers write them."""

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingested import rejections, rows, run, seen
from marked_frames import frame
from mcap.writer import CompressionType, IndexType
from mcap_files import COMPRESSED, FLAGS, RAW, bag, compressed, images, one, raw, write, write_plain

from rfm.errors import ConfigError
from rfm.ingest.mcap.episodes import IngestMcapOptions, ingest_mcap_command


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


def test_bags_in_sqlite_get_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = bag(tmp_path / "bag", {}, relative_file_paths="[bag_0.db3]", storage_identifier="sqlite3")
    (folder / "bag_0.db3").write_bytes(b"SQLite format 3\0")
    for path in (folder, folder / "bag_0.db3", tmp_path):
        assert run("mcap", path, tmp_path / "out", *FLAGS) == 1
        told = capsys.readouterr()
        assert "is a ROS 2 bag in SQLite (.db3): convert it by `ros2 bag convert -i" in told.out + told.err
    assert not (tmp_path / "out").exists()


def text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def test_the_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.mcap", images([1]))
    monkeypatch.setitem(sys.modules, "mcap_ros2.decoder", None)
    assert run("mcap", path, tmp_path / "out", *FLAGS) == 1
    told = capsys.readouterr()
    assert "pip install 'rfm-vqa[mcap]'" in told.out + told.err
