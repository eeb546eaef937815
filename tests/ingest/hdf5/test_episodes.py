import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from robot_datasets import moving_square, write_demos

from rfm.errors import ConfigError, MissingExtraError
from rfm.frames.reader import read_frames
from rfm.ingest.hdf5.episodes import IngestHdf5Options, ingest_hdf5_command
from rfm.trajectories.store import read_columns

EPISODES = [moving_square(count, seed) for seed, count in enumerate((5, 9, 4))]


def ingest(path: Path, output: Path, **options: Any) -> int:
    return ingest_hdf5_command(IngestHdf5Options(path=str(path), output=str(output), **options))


def rows(output: Path, source: str) -> list[dict[str, Any]]:
    return read_columns(output / source, ("id", "task", "quality_label", "num_frames", "frames")).to_pylist()


def reasons(output: Path, source: str) -> dict[str, str]:
    lines = (output / source / "rejected.jsonl").read_text().splitlines()
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


def frames_of(output: Path, row: dict[str, Any]) -> np.ndarray:
    return read_frames(output, row["frames"], range(row["num_frames"]))


@pytest.mark.parametrize("storage", [{}, {"compression": "gzip"}, {"chunks": (1, 32, 48, 3), "compression": "lzf"}])
def test_robomimic(tmp_path: Path, storage: dict[str, Any]) -> None:
    path = write_demos(tmp_path / "lift.hdf5", EPISODES, **storage)
    assert ingest(path, tmp_path / "out", task="lift the cube", label_column="rewards") == 0
    found = rows(tmp_path / "out", "lift")
    assert [row["id"] for row in found] == ["lift_demo_0", "lift_demo_1", "lift_demo_2"]
    assert {row["task"] for row in found} == {"lift the cube"}
    assert [row["quality_label"] for row in found] == ["successful", "failure", "successful"]
    for row, frames in zip(found, EPISODES, strict=True):
        assert np.array_equal(frames_of(tmp_path / "out", row), frames)


@pytest.mark.parametrize("text", ["put the bowl on the plate", list("put the bowl on the plate")])
def test_libero_is_put_right(tmp_path: Path, text: Any) -> None:
    write_demos(tmp_path / "in" / "b_demo.hdf5", EPISODES, "libero", text)
    write_demos(tmp_path / "in" / "a_demo.hdf5", EPISODES[:1], "libero", "other")
    assert ingest(tmp_path / "in", tmp_path / "out", max_frames=4) == 0
    found = rows(tmp_path / "out", "in")
    assert [row["task"] for row in found] == ["other"] + ["put the bowl on the plate"] * 3
    assert [row["quality_label"] for row in found] == [None] * 4
    assert np.array_equal(frames_of(tmp_path / "out", found[3]), EPISODES[2])
    ingest(tmp_path / "in", tmp_path / "raw", orientation="upright", height=16, width=24, num_workers=2)
    ingest(tmp_path / "in", tmp_path / "small", height=16, width=24)
    raw, right = (frames_of(out, rows(out, "in")[3]) for out in (tmp_path / "raw", tmp_path / "small"))
    assert np.array_equal(raw[:, ::-1], right)


def test_demos_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = write_demos(tmp_path / "a.hdf5", [EPISODES[2]] * 12)
    ingest(path, tmp_path / "out", task="t", label="successful")
    assert [row["id"] for row in rows(tmp_path / "out", "a")] == [f"a_demo_{at}" for at in range(12)]


def test_an_instruction_is_needed(tmp_path: Path) -> None:
    path = write_demos(tmp_path / "a.hdf5", EPISODES)
    with h5py.File(path, "a") as file:
        file["data/demo_1"].attrs["ep_meta"] = json.dumps({"lang": "close the door"})
    assert ingest(path, tmp_path / "out") == 1
    assert [row["task"] for row in rows(tmp_path / "out", "a")] == ["close the door"]
    assert (
        "must have an instruction, but has none: give --task, --tasks, --task_column or --task_pattern"
        in reasons(tmp_path / "out", "a")["a_demo_0"]
    )


def test_cameras_and_columns_are_listed(tmp_path: Path) -> None:
    path = write_demos(tmp_path / "a.hdf5", EPISODES)
    with h5py.File(path, "a") as file:
        file["data/demo_0/obs/wrist_image"] = EPISODES[0]
    with pytest.raises(ConfigError, match="--camera must name one of agentview_image, wrist_image, but is not given"):
        ingest(path, tmp_path / "out", task="t")
    with pytest.raises(ConfigError, match="but is `top`"):
        ingest(path, tmp_path / "out", task="t", camera="top")
    with pytest.raises(
        ConfigError, match=r"--label_column must name one of num_samples, rewards, env_args, but is `x`"
    ):
        ingest(path, tmp_path / "out", task="t", camera="agentview", label_column="x")
    assert ingest(path, tmp_path / "out", task="t", camera="agentview") == 0
    with pytest.raises(ConfigError, match=r"PATH must be an HDF5 file or a folder of them \(.hdf5, .h5\), but is"):
        ingest(tmp_path / "out", tmp_path / "out2")


def replace(file: Any, demo: int, data: Any = None, **options: Any) -> None:
    del file[f"data/demo_{demo}/obs/agentview_image"]
    if data is not None or options:
        file.create_dataset(f"data/demo_{demo}/obs/agentview_image", data=data, **options)


def link_out(file: Any) -> None:
    replace(file, 1)
    file["data/demo_1/obs/agentview_image"] = h5py.ExternalLink("../secret.hdf5", "/x")


def lie_elsewhere(file: Any) -> None:
    external = [("/etc/hostname", 0, h5py.h5f.UNLIMITED)]
    replace(file, 1, shape=(1, 2, 2, 3), dtype="u1", external=external)


def be_a_dataset(file: Any) -> None:
    del file["data/demo_1/obs"]
    file.create_dataset("data/demo_1/obs", shape=(10**12,), dtype="u1", chunks=(1000,))


def declare_a_long_row(file: Any) -> None:
    replace(file, 1)
    file.create_dataset("data/demo_1/obs/notes", shape=(5, 10**13), dtype="u1", chunks=(1, 2**20))


def be_virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(2, 4, 4, 3), dtype="u1")
    layout[:] = h5py.VirtualSource("../secret.hdf5", "x", shape=(2, 4, 4, 3))
    replace(file, 1)
    file.create_virtual_dataset("data/demo_1/obs/agentview_image", layout)


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda file: replace(file, 1, shape=(1000, 1000, 1000, 3), dtype="u1", chunks=(1, 100, 100, 3)),
         "must be stored in full, but declares 3000000000 bytes and stores 0"),
        (lambda file: replace(file, 1, shape=(1000, 1000, 1000, 3), dtype="u1", chunks=True, compression="gzip"),
         "must be stored in full, but declares 3000000000 bytes and stores 0"),
        (lambda file: replace(file, 1, EPISODES[1][:0]), "must have at least one frame, but has shape (0, 32, 48, 3)"),
        (lambda file: replace(file, 1, EPISODES[1] / 255), "(T, H, W, 3) or a JPEG or PNG a row, but is float64"),
        (lambda file: replace(file, 1, np.full((2, 2, 2, 3), "a", object), dtype=h5py.string_dtype()),
         "of shape (T, H, W, 3) or a JPEG or PNG a row, but is object"),
        (lambda file: replace(file, 1), "must have pictures of `agentview_image`, but has none"),
        (be_a_dataset, "`data/demo_1/obs` of demo_1 of"),
        (declare_a_long_row, "must have pictures of `agentview_image`, but has none"),
        (link_out, "must lie in the file itself, but is a link to ../secret.hdf5"),
        (lie_elsewhere, "must lie in the file itself, but lies in another"),
        (be_virtual, "must lie in the file itself, but lies in another"),
    ],
)  # fmt: skip
def test_a_faulty_demo_leaves_the_others_alone(tmp_path: Path, break_it: Any, reason: str) -> None:
    path = write_demos(tmp_path / "a.hdf5", EPISODES)
    with h5py.File(path, "a") as file:
        break_it(file)
    assert ingest(path, tmp_path / "out", task="t") == 1
    assert [row["id"] for row in rows(tmp_path / "out", "a")] == ["a_demo_0", "a_demo_2"]
    found = reasons(tmp_path / "out", "a")["a_demo_1"]
    assert reason in found, found


def test_a_demo_that_is_no_group_has_no_columns(tmp_path: Path) -> None:
    path = write_demos(tmp_path / "a.hdf5", EPISODES)
    with h5py.File(path, "a") as file:
        del file["data/demo_1"]
        file["data/demo_1"] = np.zeros(3)
        file["data/link"] = h5py.ExternalLink("../secret.hdf5", "/x")
    assert ingest(path, tmp_path / "out", task="t", label_column="rewards") == 1
    assert [row["id"] for row in rows(tmp_path / "out", "a")] == ["a_demo_0", "a_demo_2"]
    assert "must have `rewards`, which --label_column names, but has " in reasons(tmp_path / "out", "a")["a_demo_1"]


def test_a_cut_file_leaves_the_others_alone(tmp_path: Path) -> None:
    cut = write_demos(tmp_path / "in" / "a.hdf5", EPISODES)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    write_demos(tmp_path / "in" / "b.hdf5", EPISODES[:1])
    (tmp_path / "in" / "c.hdf5").write_bytes(b"no HDF5")
    (tmp_path / "in" / "d.hdf5").symlink_to(write_demos(tmp_path / "secret.hdf5", EPISODES))
    assert ingest(tmp_path / "in", tmp_path / "out", task="t") == 1
    assert [row["id"] for row in rows(tmp_path / "out", "in")] == ["in_b_demo_0"]
    found = reasons(tmp_path / "out", "in")
    assert list(found) == ["in_a", "in_c", "in_d"]
    assert "must be a readable HDF5 file, but reading it gives" in found["in_a"]
    assert "must lie in the dataset's folder" in found["in_d"]


def test_without_h5py_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_demos(tmp_path / "a.hdf5", EPISODES)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rfm-vqa\[hdf5\]'"):
        ingest(path, tmp_path / "out", task="t")
