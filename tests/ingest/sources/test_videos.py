import csv
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

from rfm.errors import ConfigError, DataError
from rfm.files.cache import cache_folder
from rfm.frames.reader import read_frames
from rfm.ingest import bundled, stored
from rfm.ingest.listing.manifest import find_manifest, read_manifest
from rfm.ingest.merge import MergeDatasetsOptions, merge_command
from rfm.ingest.sources.videos import ingest_videos
from rfm.ingest.validate import ValidateOptions, validate_command
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.store import read_columns


def write_video(path: Path, count: int) -> None:
    """Grey frames whose level, 4 a frame, tells which one it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for at in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 4 * at, np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def make_folder(folder: Path, rows: list[dict[str, object]], count: int = 9) -> Path:
    """A folder of videos with its manifest; a row without a file of that name gets one."""
    for row in rows:
        path = folder / str(row.get("path"))
        if row.get("path") and not path.exists():
            write_video(path, count)
    (folder / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


def test_csv_says_the_same_as_jsonl(tmp_path: Path) -> None:
    row: dict[str, object] = {
        "path": "a.mp4",
        "task": 'say "hi", then stop',
        "id": "x/1",
        "task_id": "hi",
        "is_robot": False,
        "quality_label": "suboptimal",
        "progress": [0.0] * 8 + [1.0],
        "progress_by_task": {"bye, then": [0.25] * 9},
        "scene_id": "hall",
    }
    folder = make_folder(tmp_path / "in", [row])
    with (tmp_path / "list.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        writer.writeheader()
        writer.writerow(row | {name: json.dumps(row[name]) for name in ("progress", "progress_by_task")})
    ingest_videos(folder, tmp_path / "one")
    ingest_videos(folder, tmp_path / "two", manifest=tmp_path / "list.csv")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert load_catalog(tmp_path / "one", ["in"]).ids.to_pylist() == ["x/1"]
    (held,) = read_columns(tmp_path / "one" / "in", ("scene_id", "progress_by_task")).to_pylist()
    assert held == {"scene_id": "hall", "progress_by_task": [{"task_id": "bye, then", "progress": [0.25] * 9}]}


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


def test_all_faults_of_a_manifest_are_found_before_any_work(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", [{"path": "a.mp4", "task": "t"}])
    rows = [
        {"path": "a.mp4", "task": "t", "id": "same"},
        {"path": "a.mp4", "id": "same"},
        {"path": "gone.mp4", "task": "t", "quality_label": "superb"},
        {"path": "a.mp4", "task": "t", "progress": [0, 2], "partial_success": "half", "is_robot": "maybe"},
    ]
    (folder / "manifest.jsonl").write_text("\n".join([*map(json.dumps, rows), "{broken", "[1]"]))
    with pytest.raises(DataError) as caught:
        ingest_videos(folder, tmp_path / "out")
    assert str(caught.value).splitlines() == [
        f"{folder}/manifest.jsonl has 9 faults:",
        "  line 5 must be JSON, but is not: Expecting property name enclosed in double quotes: line 1 column "
        "2 (char 1)",
        "  line 6 must be a JSON object, but is a list",
        "  line 2: `task` must be set, but is not",
        "  line 3: `quality_label` in the manifest must be one of `successful` (or optimal, success, succeeded, pass, "
        "passed, true, yes, 1, 1.0), `suboptimal` (or sub-optimal, partial), `failure` (or failed, fail, unsuccessful, "
        "false, no, 0, 0.0) or empty (unknown), but is `superb`",
        f"  line 3: `path` must name a file in {folder}, but `gone.mp4` is not there",
        "  line 4: `is_robot` must be true or false, but is `maybe`",
        "  line 4: `partial_success` must be a number in [0, 1], but is `half`",
        "  line 4: `progress` must be a list of numbers in [0, 1], but is `[0, 2]`",
        "  line 2: `id` must differ in every line, but `same` is in line 1 too",
    ]
    assert not (tmp_path / "out").exists()


def test_missing_manifest_or_columns(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the folder of videos must exist, but .*none is not a folder"):
        ingest_videos(tmp_path / "none", tmp_path / "out")
    with pytest.raises(
        ConfigError,
        match=r"but there is no .*manifest.jsonl or .*manifest.csv: `rfm manifest .*` writes one to",
    ):
        ingest_videos(tmp_path, tmp_path / "out")
    (tmp_path / "manifest.csv").write_text("path,label\na.mp4,x\n")
    with pytest.raises(
        DataError, match=r"path and task in its first line, separated by commas, but lacks task: it is `path,l"
    ):
        ingest_videos(tmp_path, tmp_path / "out")
    (tmp_path / "manifest.jsonl").write_text("\n")
    with pytest.raises(DataError, match="it must list at least one video, but is empty"):
        ingest_videos(tmp_path, tmp_path / "out")


def test_unknown_columns_are_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = {"task": "t", "colour": "red", "seed": 1, "camera": "side", "quality_label": "1"}
    rows: list[dict[str, object]] = [{"path": f"{at}.mp4", **row} for at in range(2)]
    ingest_videos(make_folder(tmp_path / "in", rows), tmp_path / "out")
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"{tmp_path}/in/manifest.jsonl: unknown columns are left out: colour"
    ]


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


def six_videos(folder: Path) -> Path:
    sources = ["one", "one", "one", "two", "two", "two"]
    return make_folder(
        folder,
        [
            {"path": f"{at}.mp4", "task": "t", "data_source": source, "progress": [place / 8 for place in range(9)]}
            for at, source in enumerate(sources)
        ],
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


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository with bundled videos, and a cache of its own."""
    six_videos(tmp_path / "repo" / "data" / "metaworld_mini")
    monkeypatch.setattr(bundled.rfm, "__file__", str(tmp_path / "repo" / "rfm" / "__init__.py"))
    monkeypatch.setenv("RFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # no worker processes, which would not see what tests replace
    return tmp_path / "repo"


def test_bundled_videos_are_ingested_once(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = bundled.bundled_root()
    assert len(load_catalog(root, ["one", "two"])) == 6
    assert [path.name for path in root.parent.iterdir()] == [root.name]
    monkeypatch.setattr(bundled, "ingest_videos", None)
    assert bundled.bundled_root() == root


def test_two_processes_fill_one_cache(repository: Path) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=bundled.bundled_root) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert [path.name for path in cache_folder().iterdir()] == [bundled.bundled_root().name]


def _killed_while_filling(videos: int) -> None:
    write, left = stored.write_npz, [videos]

    def write_or_die(path: Path, *rest: object) -> None:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        write(path, *rest)  # type: ignore[arg-type]

    stored.write_npz = write_or_die
    bundled.bundled_root()


def test_a_killed_fill_is_not_taken_for_complete(repository: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=_killed_while_filling, args=(4,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    (partial,) = cache_folder().iterdir()
    assert partial.name.endswith(".unfinished")
    assert len(load_catalog(bundled.bundled_root(), ["one", "two"])) == 6
    assert not partial.exists()


def test_without_the_repository_the_error_says_what_to_do(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled.rfm, "__file__", str(repository / "site-packages" / "rfm" / "__init__.py"))
    with pytest.raises(
        ConfigError, match=r"the bundled videos must lie in .*: clone the repository, or set `data.datas"
    ):
        bundled.bundled_root()


def test_a_script_without_a_main_guard_is_told_instead_of_waiting(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bundled.bundled_root()
    assert bundled.FILLING not in os.environ
    monkeypatch.setenv(bundled.FILLING, str(root))
    with pytest.raises(ConfigError, match=r"run your script again: put what it does under `if __name__ == '__main__'"):
        bundled.bundled_root()


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


def test_many_rows_of_one_video_are_numbered_in_one_pass(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    text = "path,task,id\n" + "a.mp4,open,a_7\n" + "a.mp4,open,\n" * 20_000
    (tmp_path / "manifest.csv").write_text(text)
    rows = read_manifest(tmp_path / "manifest.csv", tmp_path)
    names = [row.id for row in rows]
    assert names[:3] == ["a_7", "a", "a_2"]
    assert names[7:9] == ["a_8", "a_9"]
    assert names[-1] == "a_20001"
    assert len(set(names)) == 20_001


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('path,task\na.mp4,"open\na.mp4,close\n', "line 2 must be CSV, but is not (unexpected end of data)"),
        ('path,task\na.mp4,"open\na.mp4,close"\n', "line 2 must be CSV, but one of its fields goes on to line 3"),
        ("path,task,task\na.mp4,open,close\n", "must name each column once, but has task twice; remove one of them"),
        ("path,task\na.mp4\n", "line 2 must have 2 fields as the first line has, but has 1"),
        ("path,task\na.mp4,pick, then place\n", "line 2 must have 2 fields as the first line has, but has 3"),
        ("path,task,progress\na.mp4,open,[0;1]\n", "line 2: `progress` must be JSON, but is not: Expecting ',' delimi"),
        ('path,task,progress\na.mp4,open,"[0,NaN]"\n', "line 2: `progress` must have finite numbers, but has NaN"),
        (
            'path,task,progress_by_task\na.mp4,open,"{""b"": [0.5, NaN]}"\n',
            "line 2: `progress_by_task` must have finite numbers, but has NaN",
        ),
        (
            "path,task,progress_by_task\na.mp4,open,b\n",
            "line 2: `progress_by_task` must be JSON, but is not: Expecting",
        ),
        (
            "path,task,partial_success\na.mp4,open,1e400\n",
            "line 2: `partial_success` must be a number in [0, 1], but i",
        ),
    ],
)
def test_faults_of_a_csv_hide_nothing(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path / "manifest.csv", tmp_path)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"path": "a.mp4", "task": ["a", "b"]}', "line 1: `task` must be text, but is `['a', 'b']`"),
        (
            '{"path": "a.mp4", "task": "\\ud800"}',
            "line 1 must be Unicode text, but has half a pair of UTF-16, '\\ud800'",
        ),
        ('{"path": "a\\u0000.mp4", "task": "a"}', "line 1: `path` must name a file in"),
        (
            '{"path": "a.mp4", "task": "a", "partial_success": Infinity}',
            "line 1 must have finite numbers, but has Infi",
        ),
        (
            '{"path": "a.mp4", "task": "a", "task": "b"}',
            "line 1 must name each key of an object once, but has `task` tw",
        ),
        ('{"path": "%s.mp4", "task": "a"}' % ("x" * 5000), "line 1: `path` must name a file in"),
        (
            '{"path": "a.mp4", "task": "a", "progress_by_task": [0.5]}',
            "line 1: `progress_by_task` must be an object of",
        ),
        (
            '{"path": "a.mp4", "task": "a", "progress_by_task": {"b": [], "b": []}}',
            "line 1 must name each key of an object once, but has `b` tw",
        ),
        (
            '{"path": "a.mp4", "task": "a", "progress_by_task": {"A.": [0.5], "b": "0.5", "c": [0, 1.5]}}',
            "line 1: `progress_by_task` must name other tasks than the row's own, but names `A.`\n"
            "  line 1: `progress_by_task[b]` must be a list of numbers, but is '0.5'\n"
            "  line 1: `progress_by_task[c][1]` must be in [0, 1], but is 1.5",
        ),
        (
            '{"path": "a.mp4", "task": "x", "task_id": "a", "progress_by_task": {"a": [0.5], "b": ["1"], "b ": [0.5]}}',
            "line 1: `progress_by_task` must name other tasks than the row's own, but names `a`\n"
            "  line 1: `progress_by_task[b]` must be a list of numbers, but is ('1',)\n"
            "  line 1: `progress_by_task` must name each task once, but names `b ` twice",
        ),
        ("[" * 100_000, "line 1 must be nested at most 64 deep, but is deeper"),
    ],
    ids=lambda value: value[:40],
)
def test_faults_of_a_json_line(tmp_path: Path, line: str, fault: str) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "manifest.jsonl").write_text(line)
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path / "manifest.jsonl", tmp_path)
    assert fault in str(caught.value)


def test_a_manifest_that_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").mkdir()
    with pytest.raises(DataError, match=r"manifest\.csv must be a file, but is a folder"):
        read_manifest(find_manifest(tmp_path, None), tmp_path)
    os.mkfifo(tmp_path / "manifest.jsonl")
    with pytest.raises(DataError, match=r"manifest\.jsonl must be a file, but is a named pipe"):
        read_manifest(find_manifest(tmp_path, None), tmp_path)


@pytest.mark.skipif(not (SHARED / "found").is_dir(), reason="the inputs found by attack are not here")
def test_csv_files_found_by_attack(tmp_path: Path) -> None:
    hostile = SHARED / "found" / "hostile" / "csv"
    with pytest.raises(DataError, match=r"unclosed_quote\.csv has 1 fault:\n  line 2 must be CSV, but is not"):
        read_manifest(hostile / "unclosed_quote.csv", hostile)
    given = SHARED / "found" / "videos" / "long_progress"
    (row,) = read_manifest(find_manifest(given, None), given)
    assert len(row.progress or ()) == 9000
    with pytest.raises(DataError) as caught:
        read_manifest(hostile / "long_progress.csv", hostile)
    assert "`path` must name a file" in str(caught.value), "its video is not there, but it was read"
    assert "`progress`" not in str(caught.value)
