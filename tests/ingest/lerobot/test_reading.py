"""LeRobot datasets as its writers write them: every frame, camera and name."""

import json
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_fakes import point_to
from lerobot_ingested import EPISODES, FRONT, frames_of, ingest, rows
from robot_datasets import SHARED, write_lerobot

from rfm.errors import ConfigError, DataError
from rfm.ingest.lerobot.dataset import fill
from rfm.trajectories.catalog import load_catalog


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
