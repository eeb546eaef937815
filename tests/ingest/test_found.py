"""Recordings with properties that public reports describe: the number and orientation of every frame that comes in."""

import csv
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ingested import FOUND, rejections, rows, run, seen, there
from marked_frames import numbers

from rfm.frames.reader import read_frames
from rfm.frames.video.decoding import read_video

HDF5, RLDS, RBM, ARENA = (FOUND / name for name in ("hdf5", "rlds", "rbm", "roboarena"))


UPRIGHT, FLIPPED = ("--orientation", "upright"), ("--orientation", "vflip")


pytestmark = pytest.mark.filterwarnings("ignore")


TWO = {"demo_0": list(range(8)), "demo_1": list(range(50, 59))}


@pytest.mark.parametrize("name", ["lift_depth.hdf5", "lift_seg.hdf5"])
def test_colour_beside_depth_and_normals(tmp_path: Path, name: str) -> None:
    assert run("hdf5", there(HDF5 / name), tmp_path, "--task", "t", "--camera", "agentview") == 0
    stem = name.removesuffix(".hdf5")
    assert seen(tmp_path) == {f"{stem}_{demo}": ("t", shown) for demo, shown in TWO.items()}


def test_libero_without_attributes_asks_and_takes_texts_by_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = there(HDF5 / "libero_no_noops")
    flags = ("--camera", "agentview", "--task_pattern", r"^(.+)_demo\.hdf5")
    assert run("hdf5", path, tmp_path / "asked", *flags) == 1
    assert "--orientation must say how the pictures of" in capsys.readouterr().err
    assert not (tmp_path / "asked").exists()
    assert run("hdf5", path, tmp_path / "out", *flags, *FLIPPED) == 0
    texts = {
        "open_the_top_drawer_demo": "open the top drawer",
        "put_the_bowl_on_the_plate_demo": "put the bowl on the plate",
    }
    assert seen(tmp_path / "out") == {
        f"libero_no_noops_{file}_{demo}": (text, shown) for file, text in texts.items() for demo, shown in TWO.items()
    }
    (tmp_path / "tasks.csv").write_text(
        "episode,task\nopen_the_top_drawer_demo.hdf5,pull\nput_the_bowl_on_the_plate_demo/demo_1,put\n"
    )
    assert (
        run(
            "hdf5", path, tmp_path / "listed", "--camera", "agentview", "--tasks", str(tmp_path / "tasks.csv"), *FLIPPED
        )
        == 1
    )
    assert [text for text, _ in seen(tmp_path / "listed").values()] == ["pull", "pull", "put"]
    (reason,) = rejections(tmp_path / "listed").values()
    assert "must have an instruction, but has none" in reason


def test_one_file_name_in_every_folder(tmp_path: Path) -> None:
    assert run("hdf5", there(HDF5 / "robomimic_v15"), tmp_path, "--task_pattern", "^([^/]+)/") == 0
    starts = {"can": (50, 70), "lift": (0, 20), "square": (100, 120)}
    assert seen(tmp_path) == {
        f"robomimic_v15_{task}/ph/image_v15_demo_{at}": (task, list(range(start, start + 6)))
        for task, both in starts.items()
        for at, start in enumerate(both)
    }


def test_endings_in_capitals_aloha_and_texts_in_attributes(tmp_path: Path) -> None:
    assert run("hdf5", there(HDF5 / "upper"), tmp_path / "a", "--task", "t") == 0
    assert [shown for _, shown in seen(tmp_path / "a").values()] == list(TWO.values())
    assert run("hdf5", there(HDF5 / "aloha_jpeg"), tmp_path / "b", "--task", "t") == 0
    assert seen(tmp_path / "b") == {f"aloha_jpeg_episode_{at}": ("t", shown) for at, shown in enumerate(TWO.values())}
    robocasa = there(HDF5 / "robocasa.hdf5")
    assert run("hdf5", robocasa, tmp_path / "c", "--task_column", "task_description", *UPRIGHT) == 0
    texts = ["pick the apple from the counter", "pick the mug from the sink"]
    assert list(seen(tmp_path / "c").values()) == list(zip(texts, TWO.values(), strict=True))


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path) -> None:
    path = there(HDF5 / "zstd.hdf5")
    try:
        import hdf5plugin  # noqa: F401
    except ImportError:
        assert run("hdf5", path, tmp_path, "--task", "t") == 1
        assert all(
            "by filter 32015" in reason and "pip install hdf5plugin" in reason
            for reason in rejections(tmp_path).values()
        )
        return
    assert run("hdf5", path, tmp_path, "--task", "t") == 0
    assert [shown for _, shown in seen(tmp_path).values()] == list(TWO.values())


@pytest.mark.parametrize("inside", [True, False])
def test_a_folder_that_is_a_link(tmp_path: Path, inside: bool) -> None:
    root = tmp_path / "linked"
    shutil.copytree(there(HDF5 / "linked") / "lift", root / "lift")
    store = (root if inside else tmp_path) / "store"
    shutil.copytree(HDF5 / "linked_store" / "can", store / "can")
    (root / "can").symlink_to(store / "can")
    assert run("hdf5", root, tmp_path / "out", "--task", "t") == (0 if inside else 1)
    shown = {"linked_lift/image_lift_demo_0": ("t", list(range(9, 14)))}
    if inside:
        shown["linked_store/can/image_demo_0"] = ("t", list(range(5)))
    assert seen(tmp_path / "out") == shown
    found = rejections(tmp_path / "out")
    assert list(found) == ([] if inside else ["linked_can"])
    assert inside or "a folder must lie in the dataset's folder" in found["linked_can"]


def test_steps_without_a_picture_cost_their_episode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = there(RLDS / "first_step_empty")
    assert run("rlds", path, tmp_path / "none") == 1
    assert "--camera must name one of image, wrist_image, but is not given" in capsys.readouterr().err
    assert run("rlds", path, tmp_path / "image", "--camera", "image") == 0
    assert [shown for _, shown in seen(tmp_path / "image").values()] == [list(range(6)), list(range(50, 56))]
    for name, camera, kept in (("first_step_empty", "wrist_image", 100), ("only_camera_first_empty", "image", 50)):
        assert run("rlds", there(RLDS / name), tmp_path / name, "--camera", camera) == 1
        assert seen(tmp_path / name) == {f"{name}_train_00000_000001": ("pick up the cup", list(range(kept, kept + 6)))}
        (reason,) = rejections(tmp_path / name).values()
        assert "must have a picture at each of 6 steps, but lacks 1, first at step 0" in reason


def test_droid_has_texts_by_a_list_and_success_by_its_paths(tmp_path: Path) -> None:
    with (tmp_path / "tasks.csv").open("w", newline="") as stream:
        lines = [
            ["episode", "task"],
            ["1.0.0/train_00000/000001", "open it"],
            ["droid_1.0.0/train_00000_000002", "close it"],
        ]
        csv.writer(stream).writerows(lines)
    patterns = ("--success_pattern", "/success/", "--failure_pattern", "/failure/")
    column = ("--label_column", "episode_metadata/file_path", "--tasks", str(tmp_path / "tasks.csv"))
    assert run("rlds", there(RLDS / "droid"), tmp_path / "out", *column, *patterns) == 0
    texts = ["put the marker in the pot", "open it", "close it"]
    starts = (0, 50, 100)
    assert list(seen(tmp_path / "out").values()) == [
        (text, list(range(start, start + 6))) for text, start in zip(texts, starts, strict=True)
    ]
    assert [row["quality_label"] for row in rows(tmp_path / "out")] == ["successful", "failure", "successful"]


def test_compressed_records_say_how_to_unpack_them_and_it_works(tmp_path: Path) -> None:
    source = there(RLDS / "gz")
    (tmp_path / "FOLDER").mkdir()
    shutil.copytree(source, tmp_path / "gz")
    assert run("rlds", tmp_path / "gz", tmp_path / "out") == 1
    (reason,) = rejections(tmp_path / "out").values()
    command = reason.partition("one of gzip by `")[2].partition("`")[0]
    subprocess.run(command.replace("> FOLDER", "> ../FOLDER"), shell=True, check=True, cwd=tmp_path / "gz")
    assert run("rlds", tmp_path / "FOLDER", tmp_path / "unpacked") == 0
    assert all(
        shown == list(range(shown[0], shown[0] + len(shown))) for _, shown in seen(tmp_path / "unpacked").values()
    )


@pytest.mark.parametrize("name", ["video_bytes", "image_list.parquet", "videofolder"])
def test_media_in_rows_and_in_a_folder_with_metadata(tmp_path: Path, name: str) -> None:
    assert run("rbm", there(RBM / name), tmp_path) == 0
    found = seen(tmp_path)
    assert [text for text, _ in found.values()] == ["pick up the cup", "lift it"]
    assert [row["quality_label"] for row in rows(tmp_path)] == ["successful", "failure"]
    assert all(len(shown) > 3 and shown == list(range(shown[0], shown[0] + len(shown))) for _, shown in found.values())


def test_all_views_of_the_newest_arena(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = there(ARENA / "dump")
    assert run("roboarena", path, tmp_path / "none") == 1
    assert "--camera must name one or more of left, right, wrist, but is not given" in capsys.readouterr().err
    films = {"left": "left_shoulder", "right": "right_shoulder", "wrist": "wrist", "left_shoulder": "left_shoulder"}
    for camera, film in films.items():
        assert run("roboarena", path, tmp_path / camera, "--camera", camera) == 0
        found = rows(tmp_path / camera)
        files = sorted(path.glob(f"evaluation_sessions/*/*/{film}.mp4"))
        assert len(found) == len(files) == 4
        for row, file in zip(found, files, strict=True):
            frames = read_frames(tmp_path / camera, row["frames"], range(row["num_frames"]))
            assert np.array_equal(frames, read_video(file)[0])
            assert numbers(frames) == list(range(len(frames)))
