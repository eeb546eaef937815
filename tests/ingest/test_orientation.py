"""Recordings of every orientation and of cameras beside cameras, as public reports describe them, made here."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ingested import FOUND, rejections, rows, run, seen
from marked_frames import frame
from robot_datasets import png, rlds_episode, write_tfrecord

from rfm.frames.reader import read_frames

HDF5, RLDS, RBM, ARENA = (FOUND / name for name in ("hdf5", "rlds", "rbm", "roboarena"))


UPRIGHT, FLIPPED = ("--orientation", "upright"), ("--orientation", "vflip")


pytestmark = pytest.mark.filterwarnings("ignore")


STORED = {
    "upright": lambda pixels: pixels,
    "vflip": lambda pixels: pixels[::-1],
    "hflip": lambda pixels: pixels[:, ::-1],
    "rot180": lambda pixels: pixels[::-1, ::-1],
    "rot90cw": lambda pixels: np.rot90(pixels, -1),
    "rot90ccw": lambda pixels: np.rot90(pixels),
    "transpose": lambda pixels: pixels.swapaxes(0, 1),
    "transverse": lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
}


def marked(count: int, stored: str = "upright", start: int = 0) -> np.ndarray:
    return np.stack([np.ascontiguousarray(STORED[stored](frame(start + at))) for at in range(count)])


def write_hdf5(path: Path, demos: Sequence[np.ndarray], camera: str = "agentview_rgb", **attributes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs.update(attributes)
        for at, frames in enumerate(demos):
            data[f"demo_{at}/obs/{camera}"] = frames
    return path


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("source", ["hdf5", "rlds"])
def test_every_orientation_is_put_right_in_every_source(tmp_path: Path, source: str, stored: str) -> None:
    if source == "hdf5":
        path = write_hdf5(tmp_path / "a.hdf5", [marked(4, stored)])
    else:
        path = write_tfrecord(tmp_path / "a.tfrecord", [rlds_episode(marked(4, stored))])
    flags = ("--task", "t", "--orientation", stored)
    assert run(source, path, tmp_path / "out", *flags) == 0
    assert [shown for _, shown in seen(tmp_path / "out").values()] == [[0, 1, 2, 3]]
    assert run(source, path, tmp_path / "half", *flags, "--height", "24", "--width", "32") == 0
    (row,) = rows(tmp_path / "half")
    assert read_frames(tmp_path / "half", row["frames"], range(4)).shape == (4, 24, 32, 3)


@pytest.mark.parametrize(
    ("attributes", "stored"),
    [
        ({"macros_image_convention": "opengl"}, "vflip"),
        ({"macros_image_convention": b"opengl"}, "vflip"),
        ({"macros_image_convention": "opencv"}, "upright"),
        ({"macros_image_convention": "opengl", "env_args": '{"env_name": "Lift", "type": 1}'}, "vflip"),
        ({"env_args": '{"env_name": "Lift", "type": 1}'}, "upright"),
    ],
)
@pytest.mark.parametrize("text", [True, False])
def test_what_a_file_says_of_its_pictures_and_not_its_text(
    tmp_path: Path, attributes: Any, stored: str, text: bool
) -> None:
    problem = (
        {"problem_info": json.dumps({"language_instruction": "t"})}
        if text and "macros_image_convention" in attributes
        else {}
    )
    path = write_hdf5(tmp_path / "a.hdf5", [marked(4, stored)], **attributes, **problem)
    assert run("hdf5", path, tmp_path / "out", *(() if problem else ("--task", "t"))) == 0
    assert [shown for _, shown in seen(tmp_path / "out").values()] == [[0, 1, 2, 3]]


def test_a_text_says_nothing_of_the_orientation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = json.dumps({"language_instruction": "t"})
    path = write_hdf5(tmp_path / "a.hdf5", [marked(3, "vflip")], problem_info=problem, bddl_file_name="x.bddl")
    assert run("hdf5", path, tmp_path / "out") == 1
    assert "--orientation must say how the pictures of" in capsys.readouterr().err
    odd = write_hdf5(tmp_path / "b.hdf5", [marked(3)], macros_image_convention="sideways")
    assert run("hdf5", odd, tmp_path / "odd", "--task", "t") == 1
    assert "must be opengl or opencv, but is `sideways`: give --orientation" in next(
        iter(rejections(tmp_path / "odd").values())
    )


def test_files_that_do_not_say_it_are_rejected_among_those_that_do(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "in" / "a.hdf5", [marked(3, "vflip")], macros_image_convention="opengl")
    write_hdf5(tmp_path / "in" / "b.hdf5", [marked(3)])
    with h5py.File(write_hdf5(tmp_path / "in" / "c.hdf5", [marked(3, "hflip")]), "a") as file:
        file["data/demo_0/obs/agentview_rgb"].attrs["DISPLAY_ORIGIN"] = np.bytes_(b"UR")
    assert run("hdf5", tmp_path / "in", tmp_path / "out", "--task", "t") == 1
    assert {name: shown for name, (_, shown) in seen(tmp_path / "out").items()} == {
        "in_a_demo_0": [0, 1, 2],
        "in_c_demo_0": [0, 1, 2],
    }
    assert "--orientation must say" in rejections(tmp_path / "out")["in_b_demo_0"]


@pytest.mark.parametrize(
    "beside", ["agentview_depth", "agentview_normals", "agentview_segmentation_instance", "depth_image"]
)
def test_what_lies_beside_colour_is_never_taken(tmp_path: Path, beside: str) -> None:
    path = write_hdf5(tmp_path / "a.hdf5", [marked(3)])
    with h5py.File(path, "a") as file:
        file[f"data/demo_0/obs/{beside}"] = np.zeros((3, 48, 64, 3), np.uint8)
    for at, flags in enumerate(((), ("--camera", "agentview"), ("--camera", "agentview_rgb"))):
        assert run("hdf5", path, tmp_path / str(at), "--task", "t", *UPRIGHT, *flags) == 0
        assert [shown for _, shown in seen(tmp_path / str(at)).values()] == [[0, 1, 2]]
    assert run("hdf5", path, tmp_path / "out", "--task", "t", *UPRIGHT, "--camera", beside) == 1


def test_two_colour_cameras_of_one_short_name_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_hdf5(tmp_path / "a.hdf5", [marked(3)])
    with h5py.File(path, "a") as file:
        file["data/demo_0/obs/agentview_image"] = marked(3, start=9)
    assert run("hdf5", path, tmp_path / "out", "--task", "t", *UPRIGHT, "--camera", "agentview") == 1
    assert "but `agentview` may be agentview_image or agentview_rgb" in capsys.readouterr().err
    assert run("hdf5", path, tmp_path / "out", "--task", "t", *UPRIGHT, "--camera", "agentview_rgb") == 0
    assert [shown for _, shown in seen(tmp_path / "out").values()] == [[0, 1, 2]]


def aloha(path: Path, pictures: Any, **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["sim"] = False
        file.create_dataset("observations/images/cam_high", data=pictures, **options)
        file["action"] = np.zeros((len(pictures), 14))
        file["language_raw"] = np.array([b"stack the cups"], "S30")
    return path


def test_every_form_of_alohas_pictures(tmp_path: Path) -> None:
    frames = marked(5)
    encoded = [np.frombuffer(png(pixels), np.uint8) for pixels in frames]
    longest = max(map(len, encoded)) + 7
    padded = np.stack([np.pad(row, (0, longest - len(row))) for row in encoded])
    rows_of_their_own = np.empty(5, object)
    rows_of_their_own[:] = encoded
    (tmp_path / "in").mkdir()
    aloha(tmp_path / "in" / "episode_0.hdf5", frames)
    aloha(tmp_path / "in" / "episode_2.hdf5", padded)
    with h5py.File(tmp_path / "in" / "episode_2.hdf5", "a") as file:
        file["compress_len"] = np.array([[len(row) for row in encoded]], np.float64)
    aloha(tmp_path / "in" / "episode_10.hdf5", rows_of_their_own, dtype=h5py.vlen_dtype(np.uint8))
    broken = padded.copy()
    broken[3] = 0
    aloha(tmp_path / "in" / "episode_11.hdf5", broken)
    assert run("hdf5", tmp_path / "in", tmp_path / "out", "--task_column", "language_raw") == 1
    expected = ("stack the cups", [0, 1, 2, 3, 4])
    assert seen(tmp_path / "out") == {f"in_episode_{at}": expected for at in (0, 2, 10)}
    assert list(seen(tmp_path / "out")) == ["in_episode_0", "in_episode_2", "in_episode_10"]
    (reason,) = rejections(tmp_path / "out").values()
    assert "at step 3 of" in reason


@pytest.mark.parametrize("holder", [1.5, np.arange(3), np.array([b"\xff\xfe"]), h5py.Empty("f"), "", [["a"]]])
def test_attributes_of_other_kinds_cost_their_episode(tmp_path: Path, holder: Any) -> None:
    path = write_hdf5(tmp_path / "a.hdf5", [marked(3), marked(3, start=3)])
    with h5py.File(path, "a") as file:
        file["data/demo_0"].attrs["text"] = "lift"
        file["data/demo_1"].attrs["text"] = holder
        file["data/demo_1"].attrs["ep_meta"] = np.arange(4)
    if isinstance(holder, list):
        assert run("hdf5", path, tmp_path / "out", "--task_column", "text", *UPRIGHT) == 0
        return
    assert run("hdf5", path, tmp_path / "out", "--task_column", "text", *UPRIGHT) == 1
    assert list(seen(tmp_path / "out")) == ["a_demo_0"]
    assert "`text` of demo_1" in rejections(tmp_path / "out")["a_demo_1"]


def test_patterns_by_path_and_lists_that_fit_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("success/a", "failure/b", "other/c"):
        write_hdf5(tmp_path / "in" / f"{name}.hdf5", [marked(3)])
    flags = ("--task", "t", *UPRIGHT)
    by_path = ("--success_pattern", "^success/", "--failure_pattern", "^failure/")
    assert run("hdf5", tmp_path / "in", tmp_path / "out", *flags, *by_path) == 0
    assert [row["quality_label"] for row in rows(tmp_path / "out")] == ["failure", None, "successful"]
    assert run("hdf5", tmp_path / "in", tmp_path / "b", *flags, "--success_pattern", "a", "--label", "failure") == 1
    assert "at most one rule for labels must be given, but --label and --success_pattern are" in capsys.readouterr().err
    assert run("hdf5", tmp_path / "in", tmp_path / "c", *flags, "--success_pattern", "(") == 1
    assert "`success_pattern` must be a regular expression, but is `(`" in capsys.readouterr().err
    assert (
        run("hdf5", tmp_path / "in", tmp_path / "d", *flags, "--success_pattern", "s", "--failure_pattern", "succ") == 1
    )
    assert "must not both match" in next(iter(rejections(tmp_path / "d").values()))
    for text, message in (("a", "must have one group"), ("(a)(b)", "must have one group"), ("[", "must be a regular")):
        assert run("hdf5", tmp_path / "in", tmp_path / "e", "--task_pattern", text, *UPRIGHT) == 1
        assert message in capsys.readouterr().err
    (tmp_path / "tasks.csv").write_text("episode,task\nsuccess,yes\nnowhere,no\n")
    assert run("hdf5", tmp_path / "in", tmp_path / "f", "--tasks", str(tmp_path / "tasks.csv"), *UPRIGHT) == 1
    assert "each `episode` of --tasks must be one of the dataset, but nowhere is not there" in capsys.readouterr().err


def test_a_line_for_an_episode_that_cannot_be_read_is_no_fault_of_the_list(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "in" / "a.hdf5", [marked(3)])
    (tmp_path / "in" / "b.hdf5").write_bytes(b"no HDF5")
    (tmp_path / "tasks.csv").write_text("episode,task\na.hdf5/demo_0,one\nb.hdf5/demo_0,two\n")
    assert run("hdf5", tmp_path / "in", tmp_path / "out", "--tasks", str(tmp_path / "tasks.csv"), *UPRIGHT) == 1
    assert seen(tmp_path / "out") == {"in_a_demo_0": ("one", [0, 1, 2])}


def test_links_within_a_file_do_not_lead_out_of_it(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "secret.hdf5", [marked(3)])
    path = write_hdf5(tmp_path / "in" / "a.hdf5", [marked(3), marked(3), marked(3), marked(3)])
    with h5py.File(path, "a") as file:
        for demo in ("demo_1", "demo_2", "demo_3"):
            del file[f"data/{demo}/obs/agentview_rgb"]
        file["door"] = h5py.ExternalLink("../secret.hdf5", "/data/demo_0/obs/agentview_rgb")
        file["data/demo_1/obs/agentview_rgb"] = h5py.SoftLink("/door")
        file["data/demo_2/obs/agentview_rgb"] = h5py.SoftLink("/data/demo_2/obs/agentview_rgb")
        file["data/demo_3/obs/agentview_rgb"] = h5py.SoftLink("/data/demo_0/obs/agentview_rgb")
    assert run("hdf5", path, tmp_path / "out", "--task", "t", *UPRIGHT) == 1
    assert {name: shown for name, (_, shown) in seen(tmp_path / "out").items()} == {
        "a_demo_0": [0, 1, 2],
        "a_demo_3": [0, 1, 2],
    }
    found = rejections(tmp_path / "out")
    assert "is a link to ../secret.hdf5" in found["a_demo_1"]
    assert "its links lead in a circle" in found["a_demo_2"]


def test_shards_of_one_name_in_two_folders_and_odd_records(tmp_path: Path) -> None:
    shard = "x-train.tfrecord-00000-of-00001"
    for at, folder in enumerate(("a", "b")):
        records = [
            rlds_episode(marked(3, start=9 * at), f"do {folder}"),
            rlds_episode(marked(3), steps__language_instruction=[0.5]),
        ]
        write_tfrecord(tmp_path / "in" / folder / shard, records)
    (tmp_path / "in" / "a" / "c.tfrecord.gz").write_bytes(gzip.compress(b"x" * 99))
    assert run("rlds", tmp_path / "in", tmp_path / "out") == 1
    assert seen(tmp_path / "out") == {
        "in_a/train_00000_000000": ("do a", [0, 1, 2]), "in_b/train_00000_000000": ("do b", [9, 10, 11])
    }  # fmt: skip
    found = rejections(tmp_path / "out")
    assert set(found) == {"in_a/train_00000_000001", "in_b/train_00000_000001", "in_a/c_rest"}
    assert "but is compressed: unpack it" in found["in_a/c_rest"]
