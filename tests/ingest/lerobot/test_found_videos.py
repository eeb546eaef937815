"""LeRobot datasets with videos that public reports describe: the number and orientation of every frame."""

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingested import rejections, run, seen, there
from lerobot_marked import (
    CUP,
    FRONT,
    LEROBOT,
    SHOWN,
    WHOLE,
    edit_meta,
    edit_rows,
    marked,
    shown,
    three,
    v2_video,
    v3_video,
)
from marked_frames import frame
from robot_datasets import edit_table, write_lerobot, write_video

from rfm.trajectories.store import read_columns


@pytest.mark.parametrize(
    ("name", "flags", "expected", "said"),
    [
        ("v21_timestamp_list", (), WHOLE, ""),
        ("v21_lists_of_one", (), WHOLE, ""),
        ("v21_image_shuffled", (), WHOLE, ""),
        ("v21_slow_camera", (), [list(range(0, 20, 2))], "there are 10 pictures for 20 rows: each is kept once"),
        ("v21_one_frame_short", (), [row[:-1] for row in WHOLE], "there are 9 pictures for 10 rows"),
        ("v21_hw_fast", (), [list(range(40))], "clocks of rows and video differ by up to 0.2551 s"),
        ("v21_wall_clock", (), WHOLE, "`timestamp` begins at 1719662400 s, which is taken for the first picture's"),
        ("v3_stale_file_index", (), WHOLE, "its rows lie in data/chunk-000/file-001.parquet, not in data/chunk-000/f"),
    ],
)
def test_datasets_whose_frames_can_be_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, flags: tuple[str, ...], expected: Any, said: str
) -> None:
    assert run("lerobot", there(LEROBOT / name), tmp_path, *flags) == 0
    assert list(seen(tmp_path).values()) == [(CUP, numbers) for numbers in expected]
    assert said in caplog.text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("v21_gr00t", "episode 1 must have an instruction, but has none: give --task, --tasks, --task_column or"),
        ("v21_task_string", "episode 1 must have an instruction, but has none: give --task, --tasks, --task_column or"),
        ("v21_subtasks", "episode 1 must have one task, but has 3: give --task, --tasks, --task_column or"),
        ("v21_apple_storage_lfs", "is a Git LFS pointer to it: run `git lfs pull`"),
    ],
)
def test_what_is_missing_is_said_with_the_way_out(tmp_path: Path, name: str, reason: str) -> None:
    assert run("lerobot", there(LEROBOT / name), tmp_path) == 1
    found = rejections(tmp_path)
    assert len(found) == 3
    assert reason in found[f"{name}_000001"]


def test_merged_datasets_whose_episodes_all_name_the_last_video(tmp_path: Path) -> None:
    name = "v3_all_point_to_last_video"
    assert run("lerobot", there(LEROBOT / name), tmp_path) == 1
    assert seen(tmp_path) == {f"{name}_000002": (CUP, WHOLE[2])}
    found = rejections(tmp_path)
    video = "videos/observation.images.front/chunk-000/file-00"
    assert (
        f"episode 0 must show a part of its own of {video}1.mp4, but shows 0.0000 to 1.0000 s as episode 1 does"
        in (found[f"{name}_000000"])
    )
    assert "as episode 0 does" in found[f"{name}_000001"]
    assert f"must be shown by an episode, but 1 are by none: {video}0.mp4" in found[f"{name}_unused_videos"]


def test_parts_that_overlap_by_a_frame_or_more(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", three())
    edit_meta(root, PART_from_timestamp=[0.0, 0.5, 1.3], PART_to_timestamp=[0.5, 1.4, 1.7])
    assert run("lerobot", root, tmp_path / "out") == 1
    assert shown(tmp_path / "out") == SHOWN[:1]
    assert "shows 1.3000 to 1.4000 s as episode 2 does" in rejections(tmp_path / "out")["set_000001"]


def test_one_long_part_over_all_others(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", three())
    edit_meta(root, PART_from_timestamp=[0.0, 0.5, 1.4], PART_to_timestamp=[1.8, 1.4, 1.8])
    assert run("lerobot", root, tmp_path / "out") == 1
    assert list(rejections(tmp_path / "out")) == ["set_000000", "set_000001", "set_000002"]


def test_parts_end_to_end_in_a_video_that_is_shorter_while_another_is_unused(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", three())
    write_video(v3_video(root, 0), three()[0])
    write_video(v3_video(root, 1), np.concatenate(three()[1:]))
    edit_meta(root, PART_file_index=[1, 1, 1])
    assert run("lerobot", root, tmp_path / "out") == 1
    assert shown(tmp_path / "out") == []
    assert (
        "must cover it where other videos are not used, but it ends at 1.3000 s, they at 1.8000 s"
        in (rejections(tmp_path / "out")["set_000000"])
    )


def test_one_video_for_all_episodes_of_the_older_formats(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", three(), "v2.1")
    info = root / "meta" / "info.json"
    info.write_text(info.read_text().replace("{video_key}/episode_{episode_index:06d}.mp4", "{video_key}/all.mp4"))
    write_video(root / "videos" / "chunk-000" / FRONT / "all.mp4", three()[0])
    write_video(root / "videos" / "chunk-001" / FRONT / "all.mp4", three()[2])
    assert run("lerobot", root, tmp_path / "out") == 1
    assert shown(tmp_path / "out") == SHOWN[2:]
    assert "but shows all of it as episode 1 does" in rejections(tmp_path / "out")["set_000000"]


@pytest.mark.parametrize("version", ["v2.0", "v2.1", "v3.0"])
def test_a_video_that_no_episode_uses_is_named_and_costs_no_other(tmp_path: Path, version: str) -> None:
    root = write_lerobot(tmp_path / "set", three(), version)
    video = v3_video(root) if version == "v3.0" else v2_video(root)
    other = v3_video(root, 7) if version == "v3.0" else v2_video(root, 7)
    other.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(video, other)
    assert run("lerobot", root, tmp_path / "out") == 1
    assert shown(tmp_path / "out") == SHOWN
    (reason,) = rejections(tmp_path / "out").values()
    assert str(other.relative_to(root)) in reason


def test_what_no_episode_shows_of_a_video_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_lerobot(tmp_path / "set", three())
    edit_table(root / "meta" / "episodes" / "chunk-000" / "file-000.parquet", lambda table: [table[0], table[2]])
    run("lerobot", root, tmp_path / "out")
    assert shown(tmp_path / "out") == [SHOWN[0], SHOWN[2]]
    assert f"videos/{FRONT}/chunk-000/file-000.mp4: none shows 0.5000 to 1.4000 s" in caplog.text


def set_times(root: Path, clock: Callable[[float], float], kind: type = np.float64) -> None:
    def change(table: list[dict[str, Any]]) -> None:
        for row in table:
            row["timestamp"] = kind(clock(row["frame_index"] / 10))

    edit_rows(root, change)


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
@pytest.mark.parametrize(
    ("clock", "kind", "said"),
    [
        (lambda time: time / 1.3, np.float64, "clocks of rows and video differ by up to"),
        (lambda time: time * 1.2, np.float32, "clocks of rows and video differ by up to"),
        (lambda time: time + 0.3, np.float64, "clocks of rows and video differ by up to 0.3 s"),
        (lambda time: time * 1000, np.float64, "clocks of rows and video differ by up to"),
        (lambda time: time + 1.7e9, np.float64, "`timestamp` begins at 1700000000 s"),
        (lambda time: time + 1.7e9, np.float32, "`timestamp` repeats: rows have pictures by their number"),
        (lambda time: 0.0, np.float64, "`timestamp` repeats: rows have pictures by their number"),
    ],
)
def test_clocks_of_all_kinds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: str, clock: Any, kind: type, said: str
) -> None:
    root = write_lerobot(tmp_path / "set", three(), version)
    set_times(root, clock, kind)
    assert run("lerobot", root, tmp_path / "out") == 0
    assert shown(tmp_path / "out") == SHOWN
    assert said in caplog.text
    assert run("lerobot", root, tmp_path / "few", "--max_frames", "2") == 0
    assert shown(tmp_path / "few") == [[0, 4], [50, 58], [100, 103]]


def test_pictures_in_rows_keep_their_times(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_lerobot(tmp_path / "set", three()[:1], kind="image")
    edit_rows(root, lambda table: table[4].update(timestamp=np.float32(2.0)))
    assert run("lerobot", root, tmp_path / "out") == 0
    assert shown(tmp_path / "out") == SHOWN[:1]
    (times,) = read_columns(tmp_path / "out" / "set", ("frame_times",))["frame_times"].to_pylist()
    assert times == pytest.approx([0, 0.05, 0.1, 0.15, 1])
    set_times(root, lambda time: 1.7e9, np.float32)
    assert run("lerobot", root, tmp_path / "flat") == 0
    assert "`timestamp` repeats: frames are taken as evenly spaced" in caplog.text


@pytest.mark.parametrize(
    ("film", "fps", "expected", "said"),
    [
        (range(0, 20, 2), 5, list(range(0, 20, 2)), "there are 10 pictures for 20 rows"),
        (range(0, 20, 4), 2.5, list(range(0, 20, 4)), "there are 5 pictures for 20 rows"),
        (range(0, 20, 10), 1, [0, 10], "there are 2 pictures for 20 rows"),
        (range(19), 10, list(range(19)), "there are 19 pictures for 20 rows"),
        (range(40), 20, list(range(0, 40, 2)), ""),
        (range(20), 10, list(range(20)), ""),
        (range(23), 10, list(range(20)), "its video goes on for 0.3 s after the last row"),
        (range(40), 10, list(range(20)), "its video goes on for 2 s after the last row"),
    ],
)
def test_cameras_of_other_rates_and_lengths(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, film: range, fps: float, expected: list[int], said: str
) -> None:
    root = write_lerobot(tmp_path / "set", [marked(20)], "v2.1")
    write_video(v2_video(root), np.stack([frame(at) for at in film]), Fraction(fps))
    assert run("lerobot", root, tmp_path / "out") == 0
    assert shown(tmp_path / "out") == [expected]
    warned = caplog.text
    assert said in warned
    assert said or "set_000000" not in warned


def test_a_camera_that_is_slow_within_a_shared_video(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", [marked(10), marked(10, 50), marked(6, 100)])
    write_video(v3_video(root), np.concatenate([marked(10)[::2], marked(10, 50)[::2], marked(6, 100)[::2]]), 5)
    assert run("lerobot", root, tmp_path / "out") == 0
    assert shown(tmp_path / "out") == [[0, 2, 4, 6, 8], [50, 52, 54, 56, 58], [100, 102, 104]]


def test_the_tolerance_is_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_lerobot(tmp_path / "set", [marked(10)], "v2.1")
    write_video(v2_video(root), marked(7))
    assert run("lerobot", root, tmp_path / "a") == 1
    assert (
        "must have a picture within 0.1001 s of each row, but the nearest of its 7 is 0.2000 s from row 8"
        in (rejections(tmp_path / "a")["set_000000"])
    )
    assert run("lerobot", root, tmp_path / "b", "--tolerance", "0.35") == 0
    assert shown(tmp_path / "b") == [list(range(7))]
    write_video(v2_video(root), marked(10))
    set_times(root, lambda time: time * 1.2)
    assert run("lerobot", root, tmp_path / "c", "--tolerance", "0.05") == 1
    assert "must have a picture within 0.0500 s of each row" in rejections(tmp_path / "c")["set_000000"]
    for value in ("0", "-1"):
        assert run("lerobot", root, tmp_path / "d", f"--tolerance={value}") == 1
        assert f"`tolerance` must be a number of seconds above 0, but is {float(value)}" in capsys.readouterr().err


def test_pointers_in_place_of_videos_alone(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", three())
    v3_video(root).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert run("lerobot", root, tmp_path / "out") == 1
    assert all("run `git lfs pull`" in reason for reason in rejections(tmp_path / "out").values())
    assert json.loads((root / "meta" / "info.json").read_text())["total_episodes"] == len(rejections(tmp_path / "out"))
