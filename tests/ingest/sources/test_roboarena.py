import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robot_datasets import moving_square, write_roboarena

from rfm.errors import ConfigError
from rfm.frames.reader import read_frames
from rfm.ingest.sources.roboarena import IngestRoboArenaOptions, ingest_roboarena_command
from rfm.trajectories.store import read_columns

ONE, TWO, THREE = (moving_square(count, count) for count in (5, 6, 7))
COLUMNS = ("id", "task", "quality_label", "partial_success", "scene_id", "preference_rank", "num_frames", "frames")


def ingest(path: Path, output: Path, **options: Any) -> int:
    return ingest_roboarena_command(IngestRoboArenaOptions(path=str(path), output=str(output), **options))


def rows(output: Path) -> list[dict[str, Any]]:
    return read_columns(output / "dump", COLUMNS).to_pylist()


def reasons(output: Path) -> dict[str, str]:
    lines = (output / "dump" / "rejected.jsonl").read_text().splitlines()
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


def policy(name: str, **more: Any) -> dict[str, Any]:
    return {"policy_name": name, "duration": 12.5, **more}


def test_both_namings(tmp_path: Path) -> None:
    root = tmp_path / "dump"
    write_roboarena(
        root,
        "s1",
        {
            "A": policy("pi0", partial_success=0.4, binary_success=0),
            "B": policy("pi0_fast", partial_success=1, binary_success=1),
            "C": policy("x"),
        },
        {
            "A/pi0_2025_01_01_video_left.mp4": ONE,
            "A/pi0_2025_01_01_video_wrist.mp4": TWO,
            "B/2025_left.mp4": TWO,
            "C/left.mp4": THREE,
        },
        "put the cup away",
    )
    write_roboarena(root, "s2", {"A": policy("pi0", partial_success=1.0)}, {"A/n_right.mp4": THREE})
    (root / "evaluation_sessions" / "s1" / "A_pi0" / "pi0_npz_file.npz").write_bytes(b"pickled")
    with pytest.raises(ConfigError, match="--camera must name one or more of left, right, wrist, but is not given"):
        ingest(root, tmp_path / "out")
    with pytest.raises(ConfigError, match="but is `top`"):
        ingest(root, tmp_path / "out", camera=("left", "top"))
    assert ingest(root, tmp_path / "out", camera=("left", "right")) == 0
    found = rows(tmp_path / "out")
    assert [row["id"] for row in found] == ["dump_s1_A", "dump_s1_B", "dump_s1_C", "dump_s2_A"]
    assert [row["task"] for row in found] == ["put the cup away"] * 3 + ["do it"]
    assert [row["quality_label"] for row in found] == ["failure", "successful", None, "successful"]
    assert [row["partial_success"] for row in found] == [pytest.approx(0.4), 1.0, None, 1.0]
    assert [row["preference_rank"] for row in found] == [2, 1, None, 1]
    assert [row["scene_id"] for row in found] == ["s1", "s1", "s1", "s2"]
    for row, frames in zip(found, (ONE, TWO, THREE, THREE), strict=True):
        assert np.array_equal(read_frames(tmp_path / "out", row["frames"], range(row["num_frames"])), frames)
    ingest(root, tmp_path / "wrist", camera=("wrist",))
    assert [row["id"] for row in rows(tmp_path / "wrist")] == ["dump_s1_A"]
    assert "must hold a video of wrist, but has left" in reasons(tmp_path / "wrist")["dump_s1_B"]


def test_views_of_the_newest_dumps(tmp_path: Path) -> None:
    root = tmp_path / "dump"
    names = ("left_shoulder.mp4", "right_shoulder.mp4", "wrist.mp4")
    films = {f"A/{name}": frames for name, frames in zip(names, (ONE, TWO, THREE), strict=True)}
    write_roboarena(root, "s1", {"A": policy("pi0", partial_success=1.0)}, films)
    (root / "evaluation_sessions" / "s1" / "A_pi0" / "WRIST.txt").write_text("")
    with pytest.raises(ConfigError, match="--camera must name one or more of left, right, wrist, but is not given"):
        ingest(root, tmp_path / "out")
    for camera, frames in (("left", ONE), ("left_shoulder", ONE), ("right", TWO), ("RIGHT", TWO), ("wrist", THREE)):
        assert ingest(root, tmp_path / camera, camera=(camera,)) == 0
        (row,) = rows(tmp_path / camera)
        assert np.array_equal(read_frames(tmp_path / camera, row["frames"], range(row["num_frames"])), frames)


def test_a_view_of_an_unknown_name_is_listed_and_two_of_one_view_are_no_choice(tmp_path: Path) -> None:
    root = tmp_path / "dump"
    write_roboarena(root, "s1", {"A": policy("a")}, {"A/overhead.mp4": ONE, "A/left.mp4": TWO})
    write_roboarena(root, "s2", {"A": policy("a")}, {"A/x_left.mp4": ONE, "A/y_left.mp4": TWO})
    with pytest.raises(ConfigError, match="must name one or more of left, overhead, but is not given"):
        ingest(root, tmp_path / "out")
    assert ingest(root, tmp_path / "out", camera=("left",)) == 1
    assert [row["id"] for row in rows(tmp_path / "out")] == ["dump_s1_A"]
    reason = reasons(tmp_path / "out")["dump_s2_A"]
    assert "must hold one video of left, but has x_left.mp4 and y_left.mp4: name one with --camera" in reason
    assert ingest(root, tmp_path / "named", camera=("y_left", "overhead")) == 0
    shown = [
        read_frames(tmp_path / "named", row["frames"], range(row["num_frames"])) for row in rows(tmp_path / "named")
    ]
    assert np.array_equal(shown[0], ONE)
    assert np.array_equal(shown[1], TWO)


def test_values_of_another_kind_cost_their_policy_alone(tmp_path: Path) -> None:
    root = tmp_path / "dump"
    policies = {
        "A": policy("a", partial_success=True),
        "B": {"policy_name": ["b"]},
        "C": policy("c", binary_success=[1]),
        "D": policy("d", partial_success=0.5),
        "E": "no mapping",
    }
    root_videos = {"C/left.mp4": ONE, "D/left.mp4": ONE}
    write_roboarena(root, "s1", policies, root_videos)
    assert ingest(root, tmp_path / "out") == 1
    (row,) = rows(tmp_path / "out")
    assert (row["id"], row["preference_rank"]) == ("dump_s1_D", 1)
    found = reasons(tmp_path / "out")
    for key, text in {
        "A": "`partial_success` of",
        "B": "`policy_name` of",
        "C": "`binary_success`",
        "E": "described",
    }.items():
        assert text in found[f"dump_s1_{key}"], found


def test_faulty_sessions_leave_the_others_alone(tmp_path: Path) -> None:
    root = tmp_path / "dump"
    good = {"A": policy("p", partial_success=0.5)}
    for name in ("a", "b", "c", "d"):
        write_roboarena(root, name, good, {"A/x_left.mp4": ONE})
    sessions = root / "evaluation_sessions"
    (sessions / "b" / "metadata.yaml").write_text("policies: [")
    (sessions / "c" / "metadata.yaml").unlink()
    (sessions / "d" / "metadata.yaml").write_text("!!python/object/apply:os.system ['true']")
    write_roboarena(
        root,
        "e",
        {
            "A": policy("p", partial_success=7),
            "B": policy("p", binary_success="maybe"),
            "C": policy("p", partial_success=0.1),
            "D": policy("../../a/A_p", partial_success=0.1),
            "E": policy("gone", partial_success=0.1),
            "F": policy("p", partial_success=0.1),
        },
        {"A/x_left.mp4": ONE, "B/x_left.mp4": ONE, "C/x_left.mp4": ONE, "F/x_left.mp4": ONE},
    )
    cut = sessions / "e" / "C_p" / "x_left.mp4"
    cut.write_bytes(cut.read_bytes()[:900])
    secret = sessions / "e" / "F_p" / "x_left.mp4"
    secret.rename(tmp_path / "secret.mp4")
    secret.symlink_to(tmp_path / "secret.mp4")
    write_roboarena(root, "f", good, {"A/x_left.mp4": ONE}, " ")
    assert ingest(root, tmp_path / "out") == 1
    assert [row["id"] for row in rows(tmp_path / "out")] == ["dump_a_A"]
    found = reasons(tmp_path / "out")
    expected = {
        "b": "must be YAML, but is not: while parsing a flow node",
        "c": "must exist, but does not",
        "d": "must do without tags, but has `python/object/apply:os.system` in line 1",
        "e_A": "`partial_success` of policy A of",
        "e_B": "`binary_success` of policy B of",
        "e_C": "must be readable, but decoding it gives",
        "e_D": "that is not there",
        "e_E": "that is not there",
        "e_F": "a video must lie in the dataset's folder",
        "f": "`language_instruction` in",
    }
    assert set(found) == {f"dump_{name}" for name in expected}
    for name, text in expected.items():
        assert text in found[f"dump_{name}"], found[f"dump_{name}"]


def test_no_data_dump(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a RoboArena data dump must have a folder evaluation_sessions, but"):
        ingest(tmp_path, tmp_path / "out")
