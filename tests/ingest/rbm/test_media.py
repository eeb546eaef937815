"""Frames that rows hold themselves, in every form that a column of them has."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from PIL import Image
from robot_datasets import moving_square, png, write_video

from rfm.frames.reader import read_frames
from rfm.ingest.rbm.episodes import IngestRbmOptions, ingest_rbm_command
from rfm.trajectories.store import read_columns

FILMS = [moving_square(count, count) for count in (5, 70, 3)]


def ingest(path: Path, output: Path, **options: Any) -> int:
    return ingest_rbm_command(IngestRbmOptions(path=str(path), output=str(output), data_source="mw", **options))


def shown(output: Path) -> dict[str, np.ndarray]:
    found = read_columns(output / "mw", ("id", "num_frames", "frames")).to_pylist()
    return {row["id"]: read_frames(output, row["frames"], range(row["num_frames"])) for row in found}


def reasons(output: Path) -> dict[str, str]:
    lines = (output / "mw" / "rejected.jsonl").read_text().splitlines()
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


def mp4(folder: Path, frames: np.ndarray) -> bytes:
    write_video(folder / "film.mp4", frames)
    return (folder / "film.mp4").read_bytes()


def jpeg(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def form(name: str, folder: Path, frames: np.ndarray) -> Any:
    """The frames as a value of a row."""
    if name == "bytes":
        return mp4(folder, frames)
    if name == "struct":
        return {"bytes": mp4(folder, frames), "path": "anything.mp4"}
    if name == "list of bytes":
        return [png(frame) for frame in frames]
    if name == "list of structs":
        return [{"bytes": png(frame), "path": None} for frame in frames]
    if name == "list of one video":
        return [{"bytes": mp4(folder, frames), "path": None}]
    paths = [f"pictures/{len(frames)}/{at}.png" for at in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(png(frame))
    return paths if name == "list of paths" else [{"bytes": None, "path": path} for path in paths]


FORMS = ("bytes", "struct", "list of bytes", "list of structs", "list of one video", "list of paths", "list of files")


@pytest.mark.parametrize("saved", ["parquet", "arrow"])
@pytest.mark.parametrize("name", FORMS)
def test_media_in_rows(tmp_path: Path, name: str, saved: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    columns = {"id": ["a", "b", "c"], "task": ["t"] * 3, "frames": [form(name, folder, frames) for frames in FILMS]}
    if saved == "arrow":
        Dataset.from_dict(columns).save_to_disk(folder / "saved", num_shards=2)
    else:
        pq.write_table(pa.table(columns), folder / "train.parquet", row_group_size=2)
    assert ingest(folder, tmp_path / "out", max_frames=64, videos_root=str(folder)) == 0
    found = shown(tmp_path / "out")
    assert np.array_equal(found["a"], FILMS[0])
    assert np.array_equal(found["c"], FILMS[2])
    assert np.array_equal(found["b"][[0, -1]], FILMS[1][[0, -1]])
    assert len(found["b"]) == 64


def test_a_row_with_faulty_media_leaves_the_others_alone(tmp_path: Path) -> None:
    good = [{"bytes": jpeg(frame), "path": None} for frame in FILMS[0]]
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(FILMS[0][0]))
    values = [
        good,
        [],
        None,
        [*good[:2], {"bytes": b"no picture", "path": None}],
        [*good[:2], {"bytes": None, "path": "../secret.png"}],
        [*good[:2], {"bytes": None, "path": "gone.png"}],
        [*good[:2], {"bytes": None, "path": None}],
        [*good[:2], {"bytes": jpeg(FILMS[0][0][:8]), "path": None}],
        [*good[:2], {"bytes": None, "path": "pipe.png"}],
    ]
    ids = [str(at) for at in range(len(values))]
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe.png")
    pq.write_table(pa.table({"id": ids, "task": ["t"] * len(ids), "frames": values}), tmp_path / "in" / "a.parquet")
    assert ingest(tmp_path / "in", tmp_path / "out") == 1
    assert list(shown(tmp_path / "out")) == ["0"]
    found = reasons(tmp_path / "out")
    expected = {
        "1": "must hold pictures, but is an empty list",
        "2": "must be a video, its path or a list of pictures, but is NoneType",
        "3": "picture 2 of `frames` of row `3` must be a JPEG or PNG picture",
        "4": "must lie in the dataset's folder",
        "5": "must hold bytes or name a picture, but reading",
        "6": "must hold bytes or name a file, but does neither",
        "7": "must have frames of one size, but their size changes on the way",
        "8": "pipe.png must be a file, but is a named pipe",
    }
    assert set(found) == set(expected)
    for name, text in expected.items():
        assert text in found[name], found[name]


def test_a_faulty_video_in_a_row_is_called_by_its_row(tmp_path: Path) -> None:
    whole = mp4(tmp_path, FILMS[0])
    table = pa.table({"id": ["a", "b"], "task": ["t"] * 2, "frames": [whole, whole[:900]]})
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "a.parquet")
    assert ingest(tmp_path / "in", tmp_path / "out") == 1
    assert list(shown(tmp_path / "out")) == ["a"]
    reason = reasons(tmp_path / "out")["b"]
    assert reason.startswith("the video in `frames` of row `b` must be"), reason
    assert "/tmp" not in reason


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_folder_of_videos_with_metadata(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in" / "train"
    for at, frames in enumerate(FILMS):
        write_video(folder / f"v{at}.mp4", frames)
    rows = [{"file_name": f"v{at}.mp4", "task": f"t{at}", "partial_success": 0.25} for at in range(3)]
    if name.endswith(".csv"):
        lines = [f"{row['file_name']},{row['task']},0.25,false" for row in rows]
        (folder / name).write_text("\n".join(["file_name,task,partial_success,is_robot", *lines]))
    else:
        (folder / name).write_text("\n".join(json.dumps(row | {"is_robot": False}) for row in rows))
    assert ingest(tmp_path / "in", tmp_path / "out", max_frames=128) == 0
    columns = ("id", "task", "partial_success", "is_robot")
    assert read_columns(tmp_path / "out" / "mw", columns).to_pylist() == [
        {"id": f"v{at}.mp4", "task": f"t{at}", "partial_success": 0.25, "is_robot": False} for at in range(3)
    ]
    for found, frames in zip(shown(tmp_path / "out").values(), FILMS, strict=True):
        assert np.array_equal(found, frames)
