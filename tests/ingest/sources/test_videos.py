"""`rfm ingest videos`: which frames and labels come in, what is rejected, and where it goes on."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import av
import numpy as np
import pytest
from marked_frames import numbers, write_marked
from robot_datasets import SHARED
from video_folders import files, make_folder, six_videos

from rfm.errors import ConfigError
from rfm.frames.reader import read_frames
from rfm.ingest import stored
from rfm.ingest.merge import MergeDatasetsOptions, merge_command
from rfm.ingest.sources.videos import ingest_videos
from rfm.ingest.validate import ValidateOptions, validate_command
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.store import read_columns


def test_only_path_and_task_are_needed(tmp_path: Path) -> None:
    folder = make_folder(
        tmp_path / "my videos", [{"path": "a/b.mp4", "task": "open it"}, {"path": "c.mp4", "task": "t"}]
    )
    summary = ingest_videos(folder, tmp_path / "out")
    assert summary.keys == ("my videos",)
    assert (summary.num_trajectories, summary.num_frames, summary.rejected) == (2, 18, ())
    catalog = load_catalog(tmp_path / "out", ["my videos"])
    assert catalog.ids.to_pylist() == ["a_b", "c"]
    assert catalog.frames_path.to_pylist() == [f"my videos/frames/trajectory_{name}.npz" for name in ("a_b", "c")]
    assert catalog.quality.tolist() == [-1, -1]
    assert catalog.is_robot.all()
    assert not catalog.has_progress.any()
    assert not list((tmp_path / "out" / "my videos").glob("unfinished*"))


def test_progress_is_chosen_with_the_frames(tmp_path: Path) -> None:
    progress = [at / 8 for at in range(9)]
    row = {"path": "a.mp4", "task": "t", "progress": progress, "quality_label": "Failed", "partial_success": 0.5}
    ingest_videos(make_folder(tmp_path / "in", [row]), tmp_path / "out", max_frames=4, height=8, width=16)
    catalog = load_catalog(tmp_path / "out", ["in"])
    frames = read_frames(catalog.root, catalog.frames_path[0].as_py(), range(4))
    chosen = np.rint(frames.mean(axis=(1, 2, 3)) / 4).astype(int).tolist()
    assert chosen == [0, 3, 5, 8]
    assert catalog.progress_values.tolist() == [progress[at] for at in chosen]
    assert catalog.frames_shape.tolist() == [[4, 8, 16, 3]]
    assert (catalog.quality.tolist(), catalog.partial_success.tolist()) == ([0], [0.5])


def test_progress_towards_other_tasks_is_chosen_with_the_frames(tmp_path: Path) -> None:
    curves = {"b": [at / 8 for at in range(9)], "c": [1 - at / 8 for at in range(9)]}
    row: dict[str, object] = {"path": "a.mp4", "task": "t", "task_id": "a", "progress_by_task": curves}
    ingest_videos(make_folder(tmp_path / "in", [row, {**row, "path": "b.mp4"}]), tmp_path / "out", max_frames=4)
    first, second = read_columns(tmp_path / "out" / "in", ("progress_by_task",))["progress_by_task"].to_pylist()
    assert first == [
        {"task_id": task, "progress": [curve[at] for at in (0, 3, 5, 8)]} for task, curve in curves.items()
    ]
    assert second == first


def test_progress_towards_other_tasks_of_another_length_is_rejected_for_all_of_it(tmp_path: Path) -> None:
    row: dict[str, object] = {"path": "a.mp4", "task": "t", "progress": [0.5] * 8}
    row["progress_by_task"] = {"b": [0.5] * 9, "c": [0.5], "d": []}
    summary = ingest_videos(make_folder(tmp_path / "in", [row]), tmp_path / "out")
    assert [rejection.reason for rejection in summary.rejected] == [
        "`progress` must have one value a frame of the video (9), but has 8; "
        "`progress_by_task[c]` must have one value a frame of the video (9), but has 1; "
        "`progress_by_task[d]` must have one value a frame of the video (9), but has 0"
    ]


def test_uneven_recordings_are_kept_evenly_in_time_with_the_progress_of_the_frames_shown(tmp_path: Path) -> None:
    milliseconds = [0, 100, 200, 300, 400, 500, 8500, 8600, 8700, 8800, 8900, 9000]
    progress = [at / 11 for at in range(12)]
    (tmp_path / "in").mkdir()
    for suffix, codec, pixels in (
        ("mp4", "libx264", "yuv420p"),
        ("mkv", "ffv1", "bgra"),
        ("webm", "libvpx", "yuv420p"),
    ):
        write_marked(tmp_path / "in" / f"{suffix}.{suffix}", codec=codec, pixels=pixels, milliseconds=milliseconds)
    rows: list[dict[str, object]] = [
        {"path": f"{suffix}.{suffix}", "task": "t", "progress": progress} for suffix in ("mp4", "mkv", "webm")
    ]
    ingest_videos(make_folder(tmp_path / "in", rows), tmp_path / "out", max_frames=10)
    table = read_columns(tmp_path / "out" / "in", ["frames", "progress", "frame_times"]).to_pylist()
    for row in table:
        shown = numbers(read_frames(tmp_path / "out", row["frames"], range(10)))
        assert shown == [0, 5, 5, 5, 5, 5, 5, 5, 5, 11]
        assert row["progress"] == pytest.approx([progress[at] for at in shown])
        assert row["frame_times"] == pytest.approx([at / 9 for at in range(10)])


def test_the_times_of_a_recording_that_is_a_little_uneven_are_kept_from_ingest_to_merge(tmp_path: Path) -> None:
    milliseconds = [0, 100, 240, 300, 390, 500]
    write_marked(tmp_path / "in" / "a.mkv", milliseconds=milliseconds)
    root = tmp_path / "out"
    assert ingest_videos(make_folder(tmp_path / "in", [{"path": "a.mkv", "task": "t"}]), root).num_frames == 6
    assert validate_command(ValidateOptions(datasets=("in",), datasets_root=str(root))) == 0
    assert merge_command(MergeDatasetsOptions(folders=(str(root / "in"),), output=str(root / "all"))) == 0
    for key in ("in", "all"):
        (times,) = read_columns(root / key, ["frame_times"])["frame_times"].to_pylist()
        assert times == pytest.approx([at / 500 for at in milliseconds])


def test_what_was_taken_for_granted_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_marked(tmp_path / "in" / "a.mkv", milliseconds=[0, 100, 200, 5000])
    ingest_videos(make_folder(tmp_path / "in", [{"path": "a.mkv", "task": "t"}]), tmp_path / "out")
    assert "a: frame 2 stands still for 96% of the time: is there a gap in the recording?" in caplog.messages


def test_one_dataset_a_source(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"path": f"{at}.mp4", "task": "t", "data_source": source} for at, source in enumerate(["org/a", "b", "org/a"])
    ]
    summary = ingest_videos(make_folder(tmp_path / "in", rows), tmp_path / "out")
    assert summary.keys == ("org/a", "b")
    assert load_catalog(tmp_path / "out", ["org/a"]).ids.to_pylist() == ["0", "2"]


def test_same_paths_give_different_ids(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"path": path, "task": "t"} for path in ("a/b.mp4", "a_b.mp4", "a/b.mp4")]
    ingest_videos(make_folder(tmp_path / "in", rows), tmp_path / "out")
    assert load_catalog(tmp_path / "out", ["in"]).ids.to_pylist() == ["a_b", "a_b_2", "a_b_3"]


def test_unreadable_videos_are_rejected_by_name_and_the_others_kept(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "broken.mp4").write_bytes(b"no video" * 99)
    rows: list[dict[str, object]] = [
        {"path": "good.mp4", "task": "t"},
        {"path": "broken.mp4", "task": "t"},
        {"path": "long.mp4", "task": "t", "progress": [0.0, 1.0]},
    ]
    summary = ingest_videos(make_folder(folder, rows), tmp_path / "out")
    assert load_catalog(tmp_path / "out", ["in"]).ids.to_pylist() == ["good"]
    listed = [json.loads(line) for line in (tmp_path / "out" / "in" / "rejected.jsonl").read_text().splitlines()]
    assert listed == [rejection._asdict() for rejection in summary.rejected]
    assert [entry["id"] for entry in listed] == ["broken", "long"]
    assert "must be readable, but decoding it gives: Invalid data" in listed[0]["reason"]
    assert str(summary).startswith(
        f"1 trajectories with 9 frames in in under {tmp_path}/out; 2 rejected\n  broken: video"
    )
    assert listed[1]["reason"] == "`progress` must have one value a frame of the video (9), but has 2"


def test_finished_datasets_need_overwrite(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", [{"path": "a.mp4", "task": "t"}])
    ingest_videos(folder, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"`output` .*in exists; add --overwrite to replace it, or name another"):
        ingest_videos(folder, tmp_path / "out", max_frames=3)
    ingest_videos(folder, tmp_path / "out", max_frames=3, overwrite=True)
    assert load_catalog(tmp_path / "out", ["in"]).num_frames.tolist() == [3]


def test_foreign_frames_are_not_cleared_away(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", [{"path": "a.mp4", "task": "t"}])
    (tmp_path / "out" / "in" / "frames").mkdir(parents=True)
    (tmp_path / "out" / "in" / "frames" / "trajectory_a.npz").touch()
    with pytest.raises(ConfigError, match=r"`output` must be free or a trajectory dataset, but .*in is none; name"):
        ingest_videos(folder, tmp_path / "out")


def test_options_are_checked_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        ingest_videos(tmp_path, tmp_path, max_frames=0, height=8, form="zip")
    assert str(caught.value) == (
        "`max_frames` must be at least 1, but is 0; `height` and `width` must be given together, but only one is; "
        "`form` must be one of stored, compressed, jpeg, but is `zip`"
    )


def test_workers_change_nothing(tmp_path: Path) -> None:
    folder = six_videos(tmp_path / "in")
    ingest_videos(folder, tmp_path / "alone")
    ingest_videos(folder, tmp_path / "shared", num_workers=2)
    assert files(tmp_path / "alone") == files(tmp_path / "shared")


def _killed_after(folder: Path, output: Path, videos: int) -> None:
    """In a child process: as `ingest_videos`, ended by kill -9 while writing a frame file."""
    write, left = stored.write_npz, [videos]

    def write_or_die(path: Path, *rest: object) -> None:
        if not left[0]:
            path.with_name(f".{path.name}.{'0' * 16}.tmp").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        write(path, *rest)  # type: ignore[arg-type]

    stored.write_npz = write_or_die
    ingest_videos(folder, output, max_frames=4)


@pytest.mark.parametrize("videos", [0, 2, 5])
def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path, videos: int) -> None:
    folder = six_videos(tmp_path / "in")
    ingest_videos(folder, tmp_path / "whole", max_frames=4)
    child = multiprocessing.get_context("fork").Process(target=_killed_after, args=(folder, tmp_path / "out", videos))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("trajectory_*.npz")}
    assert len(done) == videos
    ingest_videos(folder, tmp_path / "out", max_frames=4)
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("trajectory_*.npz")}
    assert done.items() <= times.items()


def test_unfinished_frames_of_other_options_are_not_kept(tmp_path: Path) -> None:
    folder = six_videos(tmp_path / "in")
    child = multiprocessing.get_context("fork").Process(target=_killed_after, args=(folder, tmp_path / "out", 3))
    child.start()
    child.join()
    ingest_videos(folder, tmp_path / "out", max_frames=6)
    assert load_catalog(tmp_path / "out", ["one", "two"]).num_frames.tolist() == [6] * 6


@pytest.mark.skipif(not (SHARED / "real_clips").is_dir(), reason="the real clips are not here")
def test_clips_of_real_robots(tmp_path: Path) -> None:
    texts = {
        "berkeley_rpt_stack_cup": "Pick up the yellow cup and stack it on the other cup",
        "jaco_play_pick_up_green_cup": "Pick up the green cup",
        "soar_put_green_stick_in_brown_bowl": "Put green stick in brown bowl",
    }
    lines = [json.dumps({"path": f"{name}.mp4", "task": text}) for name, text in texts.items()]
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    folder = SHARED / "real_clips"
    summary = ingest_videos(folder, tmp_path / "out", manifest=tmp_path / "list.jsonl")
    assert (summary.num_trajectories, summary.num_frames, summary.rejected) == (3, 128, ())
    catalog = load_catalog(tmp_path / "out", ["real_clips"])
    for name, path, count in zip(texts, catalog.frames_path.to_pylist(), catalog.num_frames.tolist(), strict=True):
        with av.open(str(folder / f"{name}.mp4")) as container:
            shown = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        assert np.array_equal(read_frames(catalog.root, path, range(count)), shown)
    assert sorted(catalog.texts.to_pylist()) == sorted(texts.values())
