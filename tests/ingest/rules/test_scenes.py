"""`--scene`: which scene episodes show, for every source alike."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robot_datasets import moving_square, rlds_episode, write_demos, write_lerobot, write_tfrecord, write_video

from rfm.cli import run_command
from rfm.errors import ConfigError
from rfm.ingest.episode import IngestOptions
from rfm.ingest.rules.scenes import libero_scene
from rfm.trajectories.store import read_columns


def run(kind: str, path: Path, output: Path, *flags: str) -> int:
    return run_command(("ingest", kind), [str(path), "--output", str(output), *flags], f"rfm ingest {kind}")


def scenes(output: Path, key: str) -> list[Any]:
    return read_columns(output / key, ("scene_id",))["scene_id"].to_pylist()


def info(output: Path, key: str) -> dict[str, Any]:
    return json.loads((output / key / "dataset_info.json").read_text())


@pytest.fixture
def films(tmp_path: Path) -> Path:
    rows: list[dict[str, str]] = []
    for name in "abc":
        write_video(tmp_path / "in" / f"{name}.mp4", moving_square(4))
        rows.append({"path": f"{name}.mp4", "task": f"do {name}"})
    rows[1]["scene_id"] = "hall"
    (tmp_path / "in" / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("none", [None, "hall", None]), ("source", ["in", "hall", "in"]), ("episode", ["a", "hall", "c"])],
)
def test_episodes_without_a_scene_get_the_one_that_the_user_says(films: Path, rule: str, expected: list[Any]) -> None:
    output = films.parent / "out"
    assert run("videos", films, output, "--scene", rule) == 0
    assert scenes(output, "in") == expected
    said = info(output, "in")
    known = [one for one in expected if one]
    assert (said["with_scene"], said["num_scenes"]) == (len(known), len(set(known)))
    assert (said["ingest"]["scene"], said["ingest"]["scenes_recorded"]) == (rule, 1)


def test_another_rule_is_another_dataset(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = films.parent / "out"
    assert run("videos", films, output) == 0
    assert run("videos", films, output) == 0, "nothing to do"
    assert run("videos", films, output, "--scene", "source") == 1
    assert "exists; add --overwrite to replace it" in capsys.readouterr().err
    assert scenes(output, "in") == [None, "hall", None]
    assert run("videos", films, output, "--scene", "source", "--overwrite") == 0
    assert scenes(output, "in") == ["in", "hall", "in"]


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="`scene` must be one of source, episode, none, but is `table`"):
        IngestOptions(scene="table")


def test_every_source_takes_the_rule(tmp_path: Path) -> None:
    write_lerobot(tmp_path / "robot", [moving_square(4), moving_square(5)])
    assert run("lerobot", tmp_path / "robot", tmp_path / "out", "--scene", "episode") == 0
    assert scenes(tmp_path / "out", "robot") == ["robot_000000", "robot_000001"]


@pytest.mark.parametrize(
    ("path", "scene"),
    [
        ("x/libero_90/KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet.bddl", "libero-KITCHEN_SCENE10"),
        ("LIVING_ROOM_SCENE2_put_both_the_soup_and_the_sauce_in_the_basket_demo.hdf5", "libero-LIVING_ROOM_SCENE2"),
        ("/a/STUDY_SCENE1_pick_up_the_book_demo.hdf5", "libero-STUDY_SCENE1"),
        ("libero_goal/open_the_middle_drawer_of_the_cabinet_demo.hdf5", None),
        ("KITCHEN_SCENE3_runs/demo.hdf5", None),
        ("SCENE1_open.hdf5", None),
        ("kitchen_scene1_open.hdf5", None),
    ],
)
def test_scenes_that_libero_names_its_files_after(path: str, scene: str | None) -> None:
    assert libero_scene([path]) == scene


def test_libero_says_its_scenes_in_hdf5_and_rlds(tmp_path: Path) -> None:
    names = ["KITCHEN_SCENE1_open_the_drawer", "STUDY_SCENE2_pick_up_the_book", "open_the_middle_drawer"]
    for name in names:
        write_demos(tmp_path / "hdf5" / f"{name}_demo.hdf5", [moving_square(4)], "libero")
    assert run("hdf5", tmp_path / "hdf5", tmp_path / "out") == 0
    assert scenes(tmp_path / "out", "hdf5") == ["libero-KITCHEN_SCENE1", "libero-STUDY_SCENE2", None]
    records = [
        rlds_episode(moving_square(4), episode_metadata__file_path=[f"/data/{name}_demo.hdf5".encode()])
        for name in names
    ]
    write_tfrecord(tmp_path / "rlds" / "toy-train.tfrecord-00000-of-00001", records)
    assert run("rlds", tmp_path / "rlds", tmp_path / "out", "--scene", "source") == 0
    assert scenes(tmp_path / "out", "rlds") == ["libero-KITCHEN_SCENE1", "libero-STUDY_SCENE2", "rlds"]


def test_a_description_of_another_kind_is_no_scene(tmp_path: Path) -> None:
    import h5py

    path = write_demos(tmp_path / "a.hdf5", [moving_square(4)], "libero")
    with h5py.File(path, "a") as file:
        file["data"].attrs["bddl_file_name"] = np.arange(3)
    assert run("hdf5", path, tmp_path / "out") == 0
    assert scenes(tmp_path / "out", "a") == [None]
