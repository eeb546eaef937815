"""Replay buffers as zarr itself writes them, in both formats, in folders and zips, and what can be wrong with them."""

import json
import logging
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numcodecs import BZ2, Blosc, Delta, GZip, Pickle, Zlib, Zstd
from robot_datasets import moving_square

from rfm.errors import ConfigError, MissingExtraError
from rfm.frames.reader import read_frames
from rfm.ingest.sources.zarr import IngestZarrOptions, ingest_zarr_command
from rfm.trajectories.store import read_columns

zarr = pytest.importorskip("zarr", "3", reason="zarr 3, which writes what these tests read, is not installed")
EPISODES = [moving_square(count, seed) for seed, count in enumerate((5, 9, 4))]
FRAMES = np.concatenate(EPISODES)
ENDS = [5, 14, 18]


def ingest(path: Path, output: Path, **options: Any) -> int:
    return ingest_zarr_command(IngestZarrOptions(path=str(path), output=str(output), **({"task": "t"} | options)))


def rows(output: Path, source: str) -> list[dict[str, Any]]:
    return read_columns(output / source, ("id", "task", "quality_label", "num_frames", "frames")).to_pylist()


def reasons(output: Path, source: str) -> dict[str, str]:
    lines = (output / source / "rejected.jsonl").read_text().splitlines()
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


def check(output: Path, source: str, episodes: list[np.ndarray] = EPISODES) -> None:
    found = rows(output, source)
    assert len(found) == len(episodes)
    for row, frames in zip(found, episodes, strict=True):
        assert np.array_equal(read_frames(output, row["frames"], range(row["num_frames"])), frames)


def write(
    path: Path, frames: Any = FRAMES, ends: Any = ENDS, version: int = 2, name: str = "img", **options: Any
) -> Path:
    """A replay buffer of one camera; a zip where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    store: Any = zarr.storage.ZipStore(path, mode="w") if path.suffix == ".zip" else str(path)
    root = zarr.open_group(store, mode="a", zarr_format=version)
    options = {"chunks": (3, *frames.shape[1:])} | options
    root.create_array(f"data/{name}", data=frames, **options)
    root.create_array("data/action", data=np.zeros((len(frames), 2), np.float32))
    root.create_array("meta/episode_ends", data=np.asarray(ends), chunks=(2,))
    if path.suffix == ".zip":
        store.close()
    return path


@pytest.mark.parametrize("where", ["buffer.zarr", "buffer.zarr.zip"])
@pytest.mark.parametrize("version", [2, 3])
def test_both_formats_in_a_folder_and_a_zip(tmp_path: Path, version: int, where: str) -> None:
    path = write(tmp_path / where, version=version)
    assert ingest(path, tmp_path / "out", data_source="s", label="successful") == 0
    assert [row["id"] for row in rows(tmp_path / "out", "s")] == ["s_000000", "s_000001", "s_000002"]
    check(tmp_path / "out", "s")
    ingest(path, tmp_path / "few", data_source="s", max_frames=3, num_workers=2)
    check(tmp_path / "few", "s", [frames[[0, len(frames) // 2 if len(frames) % 2 else 2, -1]] for frames in EPISODES])


@pytest.mark.parametrize(
    "options",
    [
        {"compressors": Blosc(cname="zstd", clevel=3, shuffle=Blosc.BITSHUFFLE)},
        {"compressors": Zstd()},
        {"compressors": GZip()},
        {"compressors": Zlib()},
        {"compressors": BZ2()},
        {"compressors": None},
        {"compressors": Zlib(), "filters": [Delta("u1")]},
        {"chunks": (4, 10, 48, 2)},
        {"chunks": (100, 32, 48, 3), "order": "F"},
        {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    ],
)
def test_packings_of_format_2(tmp_path: Path, options: dict[str, Any]) -> None:
    assert ingest(write(tmp_path / "a.zarr", **options), tmp_path / "out", data_source="s") == 0
    check(tmp_path / "out", "s")


@pytest.mark.parametrize(
    "options",
    [
        {"compressors": zarr.codecs.BloscCodec()},
        {"compressors": zarr.codecs.GzipCodec()},
        {"compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]},
        {"compressors": None},
        {"chunks": (4, 10, 48, 2), "chunk_key_encoding": {"name": "default", "separator": "."}},
    ],
)
def test_packings_of_format_3(tmp_path: Path, options: dict[str, Any]) -> None:
    assert ingest(write(tmp_path / "a.zarr", version=3, **options), tmp_path / "out", data_source="s") == 0
    check(tmp_path / "out", "s")


def test_floats_are_pictures_where_they_are_whole(tmp_path: Path) -> None:
    assert ingest(write(tmp_path / "a.zarr", FRAMES.astype(np.float32)), tmp_path / "out", data_source="s") == 0
    check(tmp_path / "out", "s")
    odd = FRAMES.astype(np.float32)
    odd[7, 3, 3] = 0.5
    odd[16] = np.nan
    assert ingest(write(tmp_path / "b.zarr", odd), tmp_path / "odd", data_source="s") == 1
    check(tmp_path / "odd", "s", EPISODES[:1])
    found = reasons(tmp_path / "odd", "s")
    assert list(found) == ["s_000001", "s_000002"]
    assert all("must be whole numbers from 0 to 255, but are not" in reason for reason in found.values())


def test_cameras_lists_and_columns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    path = write(tmp_path / "in" / "a.zarr", name="camera0_rgb")
    root = zarr.open_group(str(path), mode="a")
    root.create_array("data/camera1_rgb", data=FRAMES)
    root.create_array("data/camera0_depth", data=np.zeros((18, 4, 4, 3), np.float32))
    root.create_array("data/done", data=np.r_[np.zeros(13), 1, np.zeros(4)])
    root.create_array("meta/text", data=np.array(["one", "two", "three"], "S5"))
    with pytest.raises(ConfigError, match="--camera must name one of camera0_rgb, camera1_rgb, but is not given"):
        ingest(tmp_path / "in", tmp_path / "out")
    chosen = {"camera": "camera0_rgb", "data_source": "s"}
    assert (
        ingest(tmp_path / "in", tmp_path / "a", task=None, task_column="meta/text", label_column="data/done", **chosen)
        == 0
    )
    assert [(row["id"], row["task"], row["quality_label"]) for row in rows(tmp_path / "a", "s")] == [
        ("s_a_000000", "one", "failure"), ("s_a_000001", "two", "successful"), ("s_a_000002", "three", "failure")
    ]  # fmt: skip
    (tmp_path / "tasks.csv").write_text("episode,task\na.zarr/1,open it\ns_a_000002,close it\n")
    assert ingest(tmp_path / "in", tmp_path / "b", task=None, tasks=str(tmp_path / "tasks.csv"), **chosen) == 1
    assert [row["task"] for row in rows(tmp_path / "b", "s")] == ["open it", "close it"]
    assert "must have an instruction, but has none" in reasons(tmp_path / "b", "s")["s_a_000000"]
    with pytest.raises(ConfigError, match=r"--label_column must name one of data/action, .*, but is `success`"):
        ingest(tmp_path / "in", tmp_path / "c", label_column="success", **chosen)


@pytest.mark.parametrize(
    ("ends", "kept"),
    [
        ([5, 4, 18], [EPISODES[0]]),
        ([5, 14, 99], EPISODES[:2]),
        ([-1, 14, 18], [EPISODES[2]]),
        ([0, 5, 14], EPISODES[:2]),
    ],
)
def test_an_odd_end_costs_the_episodes_that_it_bounds(tmp_path: Path, ends: list[int], kept: list[np.ndarray]) -> None:
    assert ingest(write(tmp_path / "a.zarr", ends=ends), tmp_path / "out", data_source="s") == 1
    check(tmp_path / "out", "s", kept)
    known = ("must rise", "must end within", "at least one frame")
    assert all(any(one in text for one in known) for text in reasons(tmp_path / "out", "s").values())


def edit(path: Path, **values: Any) -> None:
    file = path / "data" / "img" / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def lose_a_chunk(path: Path) -> None:
    (path / "data" / "img" / "2.0.0.0").unlink()


def lead_out(path: Path) -> None:
    lose_a_chunk(path)
    (path.parents[1] / "secret").write_bytes(bytes(10_000))
    (path / "data" / "img" / "2.0.0.0").symlink_to(path.parents[1] / "secret")


def explode(path: Path) -> None:
    edit(path, compressor={"id": "zlib", "level": 9})
    for chunk in (path / "data" / "img").glob("*.0.0.0"):
        chunk.write_bytes(Zlib(9).encode(bytes(10_000_000)))


def declare_much(path: Path) -> None:
    edit(path, compressor={"id": "zstd", "level": 1})
    for chunk in (path / "data" / "img").glob("*.0.0.0"):
        chunk.write_bytes(Zstd().encode(bytes(10_000_000)))


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lose_a_chunk, "chunk 2.0.0.0 of `data/img` of .* must be stored, but is not there"),
        (lead_out, "a chunk must lie in the dataset's folder"),
        (lambda path: (path / "data" / "img" / "2.0.0.0").write_bytes(b"x" * 99), "when unpacked, but unpacking gives"),
        (declare_much, "10000000 bytes are declared"),
        (explode, "more than 13824 bytes come"),
        (lambda path: edit(path, compressor=Pickle().get_config()), "must be packed by zlib, .*, but is by `pickle`"),
        (lambda path: edit(path, filters=[Pickle().get_config()]), "must be packed by zlib, .*, but is by `pickle`"),
        (lambda path: edit(path, chunks=[10**6, 10**6, 48, 3]), "a chunk of .* must take at most 134217728 bytes"),
        (lambda path: edit(path, shape=[18, 10**6, 10**6, 3]), "must have at most .* pixels a frame"),
        (lambda path: edit(path, dtype="|O"), "must hold numbers or texts of one length, but holds"),
    ],
)  # fmt: skip
def test_faulty_stores_are_named_and_cost_no_memory(tmp_path: Path, break_it: Any, reason: str) -> None:
    path = write(tmp_path / "in" / "a.zarr")
    break_it(path)
    write(tmp_path / "in" / "b.zarr")
    assert ingest(tmp_path / "in", tmp_path / "out", camera="img") == 1
    assert {"in_b_000000", "in_b_000001", "in_b_000002"} <= {row["id"] for row in rows(tmp_path / "out", "in")}
    found = list(reasons(tmp_path / "out", "in").values())
    assert found
    assert any(re.search(reason, text) for text in found), found


def test_a_column_that_declares_much_takes_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", ends=[2**39])
    for name in ("img", "action"):
        file = path / "data" / name / ".zarray"
        described = json.loads(file.read_text())
        file.write_text(json.dumps(described | {"shape": [2**39, *described["shape"][1:]]}))
    zarr.open_group(str(path), mode="a", zarr_format=2).create_array("data/done", data=np.ones(18, np.int64))
    file = path / "data" / "done" / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"shape": [2**39]}))
    assert ingest(path, tmp_path / "out", label_column="data/done", data_source="s") == 1
    assert reasons(tmp_path / "out", "s")["s_000000"] == (
        f"rows 0 to 549755813888 of `data/done` of {path} must take at most 134217728 bytes, but takes 4398046511104"
    )


def test_stores_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "in" / "a.zarr").mkdir(parents=True)
    (tmp_path / "in" / "b.zarr.zip").write_bytes(b"no zip")
    with zipfile.ZipFile(tmp_path / "in" / "c.zarr.zip", "w") as archive:
        archive.writestr("x", "y")
    assert ingest(tmp_path / "in", tmp_path / "out") == 1
    found = reasons(tmp_path / "out", "in")
    assert "`meta/episode_ends` of" in found["in_a"]
    assert "must be a Zarr store in a folder or a zip" in found["in_b"]
    assert "must be an array, but is not there" in found["in_c"]
    with pytest.raises(
        ConfigError, match=r"PATH must be a Zarr store \(.zarr, .zarr.zip\) or a folder of them, but is"
    ):
        ingest(tmp_path / "out", tmp_path / "out2")


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.zarr")
    edit(path, compressor={"id": "imagecodecs_jpegxl", "level": 99})
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(MissingExtraError, match="is packed by imagecodecs_jpegxl and needs the package imagecodecs"):
        ingest(path, tmp_path / "out", camera="img")
    monkeypatch.setitem(sys.modules, "numcodecs", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rfm-vqa\[zarr\]'"):
        ingest(path, tmp_path / "out")
