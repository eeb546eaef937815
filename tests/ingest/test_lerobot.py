import json
import re
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_fakes import point_to
from robot_datasets import SHARED, declared, edit_table, moving_square, png, write_lerobot

from rfm.errors import ConfigError, DataError
from rfm.frames.reader import read_frames
from rfm.ingest.lerobot.dataset import fill
from rfm.ingest.lerobot.episodes import IngestLeRobotOptions, ingest_lerobot_command
from rfm.ingest.rules.labels import outcome
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.store import read_columns

FRONT = "observation.images.front"
EPISODES = [moving_square(count, seed) for seed, count in enumerate((5, 9, 4))]


def ingest(root: Path, output: Path, **options: Any) -> int:
    return ingest_lerobot_command(IngestLeRobotOptions(path=str(root), output=str(output), **options))


def rows(output: Path, source: str) -> list[dict[str, Any]]:
    names = ("id", "task", "quality_label", "partial_success", "num_frames", "frames")
    return read_columns(output / source, names).to_pylist()


def frames_of(output: Path, row: dict[str, Any]) -> np.ndarray:
    return read_frames(output, row["frames"], range(row["num_frames"]))


def reasons(output: Path, source: str) -> dict[str, str]:
    path = output / source / "rejected.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


@pytest.mark.parametrize("version", ["v2.0", "v2.1", "v3.0"])
@pytest.mark.parametrize("kind", ["video", "image"])
def test_what_was_written_is_read(tmp_path: Path, version: str, kind: str) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, version, kind=kind, tasks=[1, 0, 1], success=[True, False, True])
    assert ingest(root, tmp_path / "out") == 0
    found = rows(tmp_path / "out", "set")
    assert [row["id"] for row in found] == ["set_000000", "set_000001", "set_000002"]
    assert [row["task"] for row in found] == ["do thing 1", "do thing 0", "do thing 1"]
    assert [row["quality_label"] for row in found] == ["successful", "failure", "successful"]
    for row, frames in zip(found, EPISODES, strict=True):
        assert np.array_equal(frames_of(tmp_path / "out", row), frames)


@pytest.mark.parametrize("kind", ["video", "image"])
def test_chosen_frames_and_sizes(tmp_path: Path, kind: str) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, kind=kind)
    ingest(root, tmp_path / "out", max_frames=3)
    for row, frames in zip(rows(tmp_path / "out", "set"), EPISODES, strict=True):
        chosen = [0, len(frames) // 2, len(frames) - 1]
        assert np.array_equal(frames_of(tmp_path / "out", row), frames[chosen])
    ingest(root, tmp_path / "out", height=16, width=24, overwrite=True)
    assert load_catalog(tmp_path / "out", ["set"]).frames_shape[0].tolist() == [5, 16, 24, 3]


def test_irregular_timestamps_find_the_nearest_frame(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, jitter=0.4)
    assert ingest(root, tmp_path / "out") == 0
    for row, frames in zip(rows(tmp_path / "out", "set"), EPISODES, strict=True):
        assert np.array_equal(frames_of(tmp_path / "out", row), frames)


def test_workers_change_nothing(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES)
    ingest(root, tmp_path / "one")
    ingest(root, tmp_path / "two", num_workers=2)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)


@pytest.mark.skipif(not (SHARED / "lerobot_v3").is_dir(), reason="the real LeRobot dataset is not here")
def test_a_dataset_that_lerobot_wrote(tmp_path: Path) -> None:
    root = SHARED / "lerobot_v3"
    assert ingest(root, tmp_path / "out") == 0
    found = rows(tmp_path / "out", "lerobot_v3")
    tasks = ["Open the drawer", "Pick up the puck and place it at the goal", "Open the door"]
    assert [row["task"] for row in found] == [task for task in tasks for _ in range(2)]
    assert [row["quality_label"] for row in found] == ["successful", "failure"] * 3
    with av.open(str(root / "videos" / FRONT / "chunk-000" / "file-000.mp4")) as container:
        shown = {round(frame.time, 4): frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)}
    starts = pq.read_table(root / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    data = pq.read_table(root / "data" / "chunk-000" / "file-000.parquet").to_pylist()
    for index, row in enumerate(found):
        start = starts[f"videos/{FRONT}/from_timestamp"][index].as_py()
        times = [round(start + frame["timestamp"], 4) for frame in data if frame["episode_index"] == index]
        assert np.array_equal(frames_of(tmp_path / "out", row), np.stack([shown[time] for time in times]))


def test_labels_are_given_never_guessed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, columns={"good": [1.0, 0.0, None]})

    def qualities(**options: Any) -> list[str | None]:
        ingest(root, tmp_path / "out", overwrite=True, **options)
        return [row["quality_label"] for row in rows(tmp_path / "out", "set")]

    assert qualities() == [None] * 3
    assert "3 episodes are not known to have succeeded or failed" in caplog.text
    assert qualities(label="optimal") == ["successful"] * 3
    assert qualities(label_column="good") == ["successful", "failure", None]
    (tmp_path / "labels.csv").write_text(
        "episode,quality_label,partial_success\n1,suboptimal,0.5\nset_000002,failed,\n"
    )
    assert qualities(labels=str(tmp_path / "labels.csv")) == [None, "suboptimal", "failure"]
    assert [row["partial_success"] for row in rows(tmp_path / "out", "set")] == [None, 0.5, None]


def test_a_rule_of_the_user_goes_before_recorded_success(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, success=[True, False, True])
    ingest(root, tmp_path / "out", label="suboptimal")
    assert [row["quality_label"] for row in rows(tmp_path / "out", "set")] == ["suboptimal"] * 3


def test_wrong_rules_are_errors(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES)
    csv = tmp_path / "labels.csv"

    def fails(error: str, text: str = "", **options: Any) -> None:
        csv.write_text(text)
        with pytest.raises((ConfigError, DataError), match=error):
            ingest(root, tmp_path / "out", **options)

    fails("at most one rule for labels must be given, but --label and --labels are", label="failure", labels=str(csv))
    fails("but --label and --success_pattern are", label="failure", success_pattern="")
    fails("`quality_label` in --label must be one of", label="great")
    fails(r"--label_column must name one of .*, timestamp, .*, length.*, but is `reward`", label_column="reward")
    fails("lacks episode, quality_label: it is `name`", "name\n", labels=str(csv))
    fails(
        "line 3: `episode` must be set and differ in every line, but is `0`",
        "episode,quality_label\n0,\n0,\n",
        labels=str(csv),
    )
    fails(
        "each `episode` of --labels must be one of the dataset, but 7 is not there",
        "episode,quality_label\n7,\n",
        labels=str(csv),
    )
    fails("--labels must name a readable CSV", labels=str(tmp_path / "gone.csv"))
    assert not (tmp_path / "out").exists()


def test_success_is_what_holds_at_the_end() -> None:
    assert outcome([False, True, True], "x") == "successful"
    assert outcome([0.0, 0.0], "x") == "failure"
    assert outcome([False, True, False], "x") is None
    assert outcome([None], "x") is None
    assert outcome([b"Optimal"], "x") == "successful"
    with pytest.raises(DataError, match=r"`x` must be true or false, 0 or 1, or a quality label, but is `0\.3`"):
        outcome([0.3, 1.0], "x")


def test_cameras_are_listed_where_one_must_be_chosen(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES)
    path = root / "meta" / "info.json"
    info = json.loads(path.read_text())
    info["features"]["observation.images.wrist"] = {"dtype": "video", "shape": [32, 48, 3], "names": None}
    info["features"]["observation.images.depth"] = {"dtype": "video", "info": {"video.is_depth_map": True}}
    path.write_text(json.dumps(info))
    both = rf"--camera must name one of {FRONT} \(video, 32 x 48\), observation.images.wrist \(video, 32 x 48\)"
    with pytest.raises(ConfigError, match=f"{both}, but is not given"):
        ingest(root, tmp_path / "out")
    with pytest.raises(ConfigError, match=f"{both}, but is `top`"):
        ingest(root, tmp_path / "out", camera="top")
    assert ingest(root, tmp_path / "out", camera="front") == 0
    assert ingest(root, tmp_path / "out", camera=FRONT, overwrite=True) == 0


def test_no_lerobot_dataset(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a LeRobot dataset must have a meta/info.json, but .* is not there"):
        ingest(tmp_path, tmp_path / "out")
    root = write_lerobot(tmp_path / "set", EPISODES)
    for change, error in [
        ({"codebase_version": "v1.6"}, "must be one of v2.0, v2.1, v3.0, but is v1.6: convert"),
        ({"fps": 0}, "`fps` in .* must be a number above 0, but is 0"),
        ({"features": []}, "`features` in .* must describe the columns"),
        ({"features": {"action": {"dtype": "float32"}}}, "must have a video or image feature, but has action"),
    ]:
        original = (root / "meta" / "info.json").read_text()
        (root / "meta" / "info.json").write_text(json.dumps(json.loads(original) | change))
        with pytest.raises((ConfigError, DataError), match=error):
            ingest(root, tmp_path / "out")
        (root / "meta" / "info.json").write_text(original)
    (root / "meta" / "info.json").write_text("{")
    with pytest.raises(DataError, match=r"info.json must be JSON, but is not"):
        ingest(root, tmp_path / "out")


def test_templates_reach_nothing_but_their_fields() -> None:
    assert fill("a/{x:03d}/{y}.mp4", {"x": 7, "y": "k"}) == "a/007/k.mp4"
    assert fill("{x.__class__}", {"x": 7}) == "{x.__class__}"
    with pytest.raises(DataError, match="must use x, but uses z"):
        fill("{z}", {"x": 7})


def change_episodes(root: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    edit_table(root / "meta" / "episodes" / "chunk-000" / "file-000.parquet", change)


def change_frames(root: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    edit_table(root / "data" / "chunk-000" / "file-000.parquet", change)


def set_value(index: int, name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(table: list[dict[str, Any]]) -> None:
        for row in table:
            if row["episode_index"] == index:
                row[name] = value

    return change


START, END = f"videos/{FRONT}/from_timestamp", f"videos/{FRONT}/to_timestamp"


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (
            lambda root: change_episodes(root, set_value(1, f"videos/{FRONT}/file_index", 9)),
            r"video .*file-009.mp4 must exist, but does not",
        ),
        (
            lambda root: change_episodes(root, set_value(1, "data/file_index", 9)),
            r"file-009.parquet must exist, but does not",
        ),
        (
            lambda root: change_episodes(
                root, lambda rows: (set_value(1, START, 90.0)(rows), set_value(1, END, 91.0)(rows))[2:]
            ),
            r"video .*file-000.mp4 from 90.0000 to 91.0000 s must have pictures, but has none",
        ),
        (
            lambda root: change_episodes(root, set_value(1, END, 1.0)),
            "from 0.5000 to 1.0000 s must have a picture within 0.1001 s of each row, but the nearest of its 5 is "
            "0.2000 s from row 6: --tolerance allows for more",
        ),
        (
            lambda root: change_episodes(root, set_value(1, "length", 0)),
            "`length` of episode 1 must be at least 1, but is 0",
        ),
        (
            lambda root: change_episodes(root, set_value(1, "length", 3 * 10**9)),
            r"`length` of episode 1 must be the number of its frames \(9\), but is 3000000000",
        ),
        (
            lambda root: change_frames(root, set_value(1, "task_index", 12)),
            "`task_index` of episode 1 must be one of the 1 tasks in meta/, but is 12",
        ),
        (
            lambda root: change_frames(root, lambda rows: rows[5].update(task_index=None)),
            "`task_index` of episode 1 must be one of the 1 tasks in meta/, but is None",
        ),
        (
            lambda root: change_frames(root, lambda rows: rows[8].update(timestamp=0.0)),
            "`timestamp` of episode 1 must ascend with its frames, but does not",
        ),
        (
            lambda root: change_frames(root, lambda rows: rows[8].update(timestamp=float("nan"))),
            "`timestamp` of episode 1 must ascend with its frames, but does not",
        ),
        (
            lambda root: change_frames(root, lambda rows: [row for row in rows if row["episode_index"] != 1]),
            "must hold the frames of episode 1, but does not",
        ),
        (
            lambda root: change_episodes(root, set_value(1, f"videos/{FRONT}/chunk_index", None)),
            "episode 1 must be described in meta/, but reading that gives: TypeError",
        ),
        (
            lambda root: change_episodes(
                root, lambda rows: [row.update(length=[5.0, inf, 4.0][at]) for at, row in enumerate(rows)][3:]
            ),
            "episode 1 must be described in meta/, but reading that gives: OverflowError",
        ),
    ],
)
def test_a_faulty_episode_leaves_the_others_alone(
    tmp_path: Path, break_it: Callable[[Path], None], reason: str
) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES)
    break_it(root)
    assert ingest(root, tmp_path / "out") == 1
    found = rows(tmp_path / "out", "set")
    assert [row["id"] for row in found] == ["set_000000", "set_000002"]
    assert np.array_equal(frames_of(tmp_path / "out", found[1]), EPISODES[2])
    (text,) = [text for name, text in reasons(tmp_path / "out", "set").items() if not name.endswith("_missing")]
    assert re.search(reason, text), text


def test_repeated_and_missing_episodes(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES)
    change_episodes(root, lambda rows: [rows[0], rows[0], rows[2]])
    ingest(root, tmp_path / "out")
    assert [row["id"] for row in rows(tmp_path / "out", "set")] == ["set_000000", "set_000002"]
    assert reasons(tmp_path / "out", "set") == {
        "set_missing": "meta/episodes must list the 3 episodes that `total_episodes` in meta/info.json counts, but "
        "lacks 1: 1",
        "set_000000": "`id` must differ in every episode of an ingest, but `set_000000` repeats",
    }


def test_several_tasks_in_one_episode_need_a_text(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, tasks=[0, 1, 1])
    change_frames(root, lambda rows: rows[6].update(task_index=0))
    ingest(root, tmp_path / "out")
    assert reasons(tmp_path / "out", "set") == {
        "set_000001": "episode 1 must have one task, but has 2: give --task, --tasks, --task_column or --task_pattern"
    }
    assert ingest(root, tmp_path / "out", task="tidy up", overwrite=True) == 0
    assert {row["task"] for row in rows(tmp_path / "out", "set")} == {"tidy up"}


def test_a_truncated_video_rejects_the_episodes_it_lost(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    path = root / "videos" / "chunk-000" / FRONT / "episode_000001.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert ingest(root, tmp_path / "out") == 1
    assert [row["id"] for row in rows(tmp_path / "out", "set")] == ["set_000000", "set_000002"]
    assert "must be readable, but decoding it gives" in reasons(tmp_path / "out", "set")["set_000001"]


def test_paths_do_not_leave_the_dataset(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    path = root / "videos" / "chunk-000" / FRONT / "episode_000001.mp4"
    path.rename(tmp_path / "elsewhere.mp4")
    path.symlink_to(tmp_path / "elsewhere.mp4")
    ingest(root, tmp_path / "out")
    assert "`video_path` must lie in the dataset's folder" in reasons(tmp_path / "out", "set")["set_000001"]
    info = (root / "meta" / "info.json").read_text()
    (root / "meta" / "info.json").write_text(info.replace('"data/chunk', '"../data/chunk'))
    ingest(root, tmp_path / "out2")
    assert len(reasons(tmp_path / "out2", "set")) == 3
    assert "`data_path` must lie in the dataset's folder" in reasons(tmp_path / "out2", "set")["set_000002"]


def test_pictures_that_are_none(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, kind="image")
    huge = declared(png(EPISODES[0][0]), 32_000)

    def change(table: list[dict[str, Any]]) -> None:
        table[0][FRONT] = {"bytes": huge, "path": None}
        table[6][FRONT] = {"bytes": None, "path": "../secret.png"}
        table[15][FRONT] = {"bytes": b"no picture", "path": None}

    change_frames(root, change)
    assert ingest(root, tmp_path / "out") == 1
    found = reasons(tmp_path / "out", "set")
    assert f"`{FRONT}` in row 0 of" in found["set_000000"]
    assert "decoding it gives: Image size (1024000000 pixels) exceeds limit" in found["set_000000"]
    assert "must lie in the dataset's folder" in found["set_000001"]
    assert "must be a JPEG or PNG picture, but decoding it gives" in found["set_000002"]


def test_rows_that_take_no_space_take_no_memory(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    path = root / "data" / "chunk-000" / "episode_000001.parquet"
    count = 3_000_000
    columns = {"episode_index": 1, "task_index": 0, "timestamp": 0.0}
    pq.write_table(pa.table({name: pa.repeat(value, count) for name, value in columns.items()}), path)
    assert path.stat().st_size < 50_000
    ingest(root, tmp_path / "out")
    assert [row["id"] for row in rows(tmp_path / "out", "set")] == ["set_000000", "set_000002"]
    assert "rows for its size, but declares 3000000" in reasons(tmp_path / "out", "set")["set_000001"]


def test_pictures_that_are_not_recorded(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, kind="image")
    change_frames(root, lambda table: [row for row in table if row.pop(FRONT)])
    assert ingest(root, tmp_path / "out") == 1
    assert f"must have a column `{FRONT}`, but has none" in reasons(tmp_path / "out", "set")["set_000000"]


def test_files_that_are_no_parquet(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.0")
    (root / "data" / "chunk-000" / "episode_000001.parquet").write_bytes(b"PAR1" * 40)
    (root / "meta" / "episodes.jsonl").open("a").write("[1]\n")
    ingest(root, tmp_path / "out")
    assert [row["id"] for row in rows(tmp_path / "out", "set")] == ["set_000000", "set_000002"]
    found = reasons(tmp_path / "out", "set")
    assert "must be a readable parquet file, but reading it gives" in found["set_000001"]
    assert "line 4 must be a JSON object, but is a list" in found["set_entry_3"]


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("total_episodes", "many", "`total_episodes` in .* must be a whole number from 0 on, but is 'many'"),
        ("total_episodes", [1], r"`total_episodes` in .* must be a whole number from 0 on, but is \[1\]"),
        ("total_episodes", 1.5, "`total_episodes` in .* must be a whole number from 0 on, but is 1.5"),
        ("chunks_size", "x", "`chunks_size` in .* must be at least 1, but is x"),
    ],
)
def test_values_of_another_kind_in_the_description(tmp_path: Path, key: str, value: Any, fault: str) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    info = root / "meta" / "info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {key: value}))
    with pytest.raises(DataError, match=fault):
        ingest(root, tmp_path / "out")


@pytest.mark.parametrize("key", ["data_path", "video_path"])
def test_a_path_that_no_file_can_have_costs_its_episodes_alone(tmp_path: Path, key: str) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    info = root / "meta" / "info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {key: "a\0b"}))
    assert ingest(root, tmp_path / "out") == 1
    fault = f"`{key}` must be the name of a file, but no file can be called"
    assert fault in str(reasons(tmp_path / "out", "set"))


@pytest.mark.parametrize("name", ["timestamp", "episode_index", "task_index"])
@pytest.mark.parametrize(
    "value", ["x", [1, 2], {"a": 1}, b"\xff", True, float("nan"), []], ids=lambda value: type(value).__name__
)
def test_columns_of_another_kind_cost_their_file_alone(tmp_path: Path, name: str, value: Any) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    path = root / "data" / "chunk-000" / "episode_000001.parquet"
    table = pq.read_table(path)
    column = pa.array([value] * len(table))
    pq.write_table(table.set_column(table.column_names.index(name), name, column), path)
    assert ingest(root, tmp_path / "out") == 1
    assert [row["id"] for row in rows(tmp_path / "out", "set")] == ["set_000000", "set_000002"]
    assert name in str(reasons(tmp_path / "out", "set")["set_000001"])


def test_lists_of_one_are_numbers(tmp_path: Path) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, "v2.1")
    path = root / "data" / "chunk-000" / "episode_000001.parquet"
    table = pq.read_table(path)
    for name in ("timestamp", "episode_index", "task_index"):
        values = pa.array([[value] for value in table[name].to_pylist()])
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, path)
    assert ingest(root, tmp_path / "out") == 0
    assert len(rows(tmp_path / "out", "set")) == 3


def in_hub_cache(root: Path, hub: Path, name: str, commit: str) -> None:
    """Lay a dataset out as the hub's cache has it: links by their names, files by their hashes."""
    repository = hub / f"datasets--{name.replace('/', '--')}"
    (repository / "blobs").mkdir(parents=True)
    for number, file in enumerate(sorted(path for path in root.rglob("*") if path.is_file())):
        link = repository / "snapshots" / commit / file.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.rename(repository / "blobs" / str(number)))
    (repository / "refs").mkdir()
    for reference in ("main", "v1"):
        (repository / "refs" / reference).write_text(commit)


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
@pytest.mark.parametrize("kind", ["video", "image"])
def test_a_dataset_of_the_hub_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, kind: str
) -> None:
    root = write_lerobot(tmp_path / "set", EPISODES, version, kind=kind)
    in_hub_cache(root, tmp_path / "hub", "lerobot/pusht", "c" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    point_to(monkeypatch, "http://127.0.0.1:9")
    assert ingest(Path("lerobot/pusht"), tmp_path / "out") == 0
    found = rows(tmp_path / "out", "pusht")
    assert [row["id"] for row in found] == ["pusht_000000", "pusht_000001", "pusht_000002"]
    assert all(np.array_equal(frames_of(tmp_path / "out", row), one) for row, one in zip(found, EPISODES, strict=True))
    assert ingest(Path("lerobot/pusht"), tmp_path / "named", revision="v1", data_source="push") == 0
    assert len(rows(tmp_path / "named", "push")) == 3
    both = "lerobot/pusht must be a folder here or a dataset on the Hugging Face hub at revision v9, but neither is f"
    with pytest.raises(ConfigError, match=both):
        ingest(Path("lerobot/pusht"), tmp_path / "none", revision="v9")


def test_names_that_are_neither_here_nor_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    point_to(monkeypatch, "http://127.0.0.1:9")
    for name in ("lerobot/nothing", "a--b/c"):
        with pytest.raises(ConfigError, match=f"{name} must be a folder here or a dataset on the Hugging Face hub"):
            ingest(Path(name), tmp_path / "out")
    root = write_lerobot(tmp_path / "set", EPISODES)
    with pytest.raises(ConfigError, match="--revision must go with `owner/name` on the hub, but PATH is"):
        ingest(root, tmp_path / "out", revision="main")
