import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from robot_datasets import moving_square, write_video

from rfm.errors import ConfigError, DataError
from rfm.frames.npz.file import write_npz
from rfm.frames.reader import read_frames
from rfm.ingest.rbm.episodes import IngestRbmOptions, ingest_rbm_command
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.store import read_columns

FILMS = {f"shard_0/{name}.mp4": moving_square(count, count) for name, count in (("a", 5), ("b", 6), ("c", 7))}
COLUMNS = ("id", "task", "quality_label", "partial_success", "is_robot", "preference_group_id", "num_frames", "frames")


def ingest(path: Path | str, output: Path, **options: Any) -> int:
    return ingest_rbm_command(IngestRbmOptions(path=str(path), output=str(output), **options))


def rows(output: Path, source: str) -> list[dict[str, Any]]:
    return read_columns(output / source, COLUMNS).to_pylist()


def reasons(output: Path, source: str) -> dict[str, str]:
    lines = (output / source / "rejected.jsonl").read_text().splitlines()
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


def published(folder: Path, **changes: list[Any]) -> Dataset:
    """The rows that Robometer publishes, and their videos in the folder."""
    for name, frames in FILMS.items():
        write_video(folder / name, frames)
    return Dataset.from_dict(
        {
            "id": ["1", "2", "3"],
            "task": ["open", "open", "close"],
            "lang_vector": [[0.5] * 8] * 3,
            "data_source": ["mw"] * 3,
            "frames": list(FILMS),
            "is_robot": [True, True, False],
            "quality_label": ["successful", "failure", None],
            "preference_group_id": [None, "g", None],
            "preference_rank": [None, 1, None],
            "partial_success": [1.0, 0.25, None],
        }
        | changes
    )


def check(output: Path) -> None:
    found = rows(output, "mw")
    assert [row["id"] for row in found] == ["1", "2", "3"]
    assert [row["quality_label"] for row in found] == ["successful", "failure", None]
    assert [row["partial_success"] for row in found] == [1.0, 0.25, None]
    assert [row["is_robot"] for row in found] == [True, True, False]
    assert [row["preference_group_id"] for row in found] == [None, "g", None]
    for row, frames in zip(found, FILMS.values(), strict=True):
        assert np.array_equal(read_frames(output, row["frames"], range(row["num_frames"])), frames)


def test_saved_to_disk(tmp_path: Path) -> None:
    data = published(tmp_path / "in")
    data.save_to_disk(tmp_path / "in" / "saved", num_shards=2)
    assert ingest(tmp_path / "in", tmp_path / "out") == 0
    check(tmp_path / "out")
    assert ingest(tmp_path / "in" / "saved", tmp_path / "out2", videos_root=str(tmp_path / "in")) == 0
    check(tmp_path / "out2")
    DatasetDict(train=data, test=data.select([0])).save_to_disk(tmp_path / "in" / "saved")
    assert ingest(tmp_path / "in", tmp_path / "out3", split="train", num_workers=2) == 0
    check(tmp_path / "out3")


def test_parquet(tmp_path: Path) -> None:
    published(tmp_path / "in").to_parquet(tmp_path / "in" / "data" / "train-00000-of-00001.parquet")
    published(tmp_path / "in").select([0]).to_parquet(tmp_path / "in" / "data" / "test-00000-of-00001.parquet")
    assert ingest(tmp_path / "in", tmp_path / "out", split="train") == 0
    check(tmp_path / "out")
    file = tmp_path / "in" / "data" / "train-00000-of-00001.parquet"
    assert ingest(file, tmp_path / "out2", videos_root=str(tmp_path / "in")) == 0
    check(tmp_path / "out2")
    with pytest.raises(
        ConfigError, match=r"must hold a saved dataset, parquet files or metadata\.csv or .* of split val"
    ):
        ingest(tmp_path / "in", tmp_path / "out3", split="val")


def test_a_dataset_of_the_hub_is_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "hub" / "datasets--owner--name"
    snapshot, blobs = repository / "snapshots" / ("c" * 40), repository / "blobs"
    published(tmp_path / "raw").to_parquet(tmp_path / "raw" / "sub" / "train.parquet")
    blobs.mkdir(parents=True)
    for file in [path for path in (tmp_path / "raw").rglob("*") if path.is_file()]:
        link = snapshot / file.relative_to(tmp_path / "raw")
        link.parent.mkdir(parents=True, exist_ok=True)
        file.rename(blobs / file.name)
        link.symlink_to(blobs / file.name)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert ingest("owner/name", tmp_path / "out") == 0
    check(tmp_path / "out")
    with pytest.raises(ConfigError, match="owner/other must be a folder here or a dataset on the Hugging Face hub"):
        ingest("owner/other", tmp_path / "out2")
    with pytest.raises(ConfigError, match="PATH must be a dataset's folder, a parquet file or `owner/name`"):
        ingest("no such/thing/at all", tmp_path / "out2")


def test_older_columns(tmp_path: Path) -> None:
    data = published(tmp_path / "in", optimal=["optimal", "failed", "suboptimal"], frames=[[name] for name in FILMS])
    data = data.remove_columns(["quality_label", "data_source", "partial_success"])
    data.to_parquet(tmp_path / "in" / "train.parquet")
    assert ingest(tmp_path / "in", tmp_path / "out") == 0
    assert [row["quality_label"] for row in rows(tmp_path / "out", "in")] == ["successful", "failure", "suboptimal"]


def test_a_preprocessed_cache_is_used_in_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ingest_rows = published(tmp_path / "in", frames=[f"owner_name_x/frames/{at}.npz" for at in range(3)])
    (tmp_path / "cache" / "owner_name_x" / "frames").mkdir(parents=True)
    for at, frames in enumerate(FILMS.values()):
        write_npz(tmp_path / "cache" / "owner_name_x" / "frames" / f"{at}.npz", frames, "compressed")
    ingest_rows.save_to_disk(tmp_path / "cache" / "owner_name_x" / "processed_dataset")
    for path in (tmp_path / "cache", tmp_path / "cache" / "owner_name_x"):
        assert ingest(path, tmp_path / "out") == 0
        assert f"data.datasets_root={tmp_path}/cache data.train_datasets=owner_name_x" in caplog.text
        caplog.clear()
    with pytest.raises(
        ConfigError, match=r"--orientation must be left out for .*: preprocessed datasets are used where"
    ):
        ingest(tmp_path / "cache", tmp_path / "out", orientation="vflip")
    with pytest.raises(ConfigError, match=r"--scene must be left out for .*, and nothing in them is changed"):
        ingest(tmp_path / "cache", tmp_path / "out", scene="source")
    with pytest.raises(ConfigError, match=r"--opposites must be left out for .*: preprocessed datasets are used"):
        ingest(tmp_path / "cache", tmp_path / "out", opposites="pairs.yaml")
    assert not (tmp_path / "out").exists()
    assert len(load_catalog(tmp_path / "cache", ["owner_name_x"])) == 3
    (tmp_path / "cache" / "owner_name_x" / "frames" / "0.npz").unlink()
    assert ingest(tmp_path / "cache", tmp_path / "out") == 1
    assert "2 trajectories in owner_name_x, 1 unreadable" in caplog.text


def test_a_cache_whose_rows_name_the_folder_above_needs_a_link(tmp_path: Path) -> None:
    root = tmp_path / "processed_datasets"
    path = "x/frames/0.npz"
    (root / "x" / "frames").mkdir(parents=True)
    write_npz(root / path, FILMS["shard_0/a.mp4"])
    row = {"id": ["0"], "task": ["t"], "frames": [f"processed_datasets/{path}"], "frames_shape": [[5, 32, 48, 3]]}
    Dataset.from_dict(row | {"num_frames": [5]}).save_to_disk(root / "x" / "processed_dataset")
    with pytest.raises(
        DataError, match=r"but begin with `processed_datasets`: .* a link is enough: ln -s \. .*"
    ) as caught:
        ingest(root, tmp_path / "out")
    Path(str(caught.value).split()[-1]).symlink_to(".")
    assert ingest(root, tmp_path / "out") == 0


def test_faulty_rows_leave_the_others_alone(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    data = published(folder)
    np.savez(folder / "pickled.npz", frames=np.array([{}], object))
    write_npz(folder / "good.npz", FILMS["shard_0/a.mp4"])
    (folder / "cut.mp4").write_bytes((folder / "shard_0" / "a.mp4").read_bytes()[:900])
    write_video(tmp_path / "secret.mp4", FILMS["shard_0/a.mp4"])
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    paths = [
        "good.npz",
        "pickled.npz",
        "cut.mp4",
        "../secret.mp4",
        "link.mp4",
        "gone.mp4",
        "x.txt",
        None,
        "shard_0/b.mp4",
    ]
    count = len(paths)
    many = {name: [data[name][0]] * count for name in ("task", "data_source", "quality_label")}
    many |= {"id": [str(at) for at in range(count - 1)] + ["0"], "frames": paths}
    Dataset.from_dict(many | {"partial_success": [None] * count}).to_parquet(folder / "a.parquet")
    wrong = {"id": ["p", "q", "r", None], "task": ["t", " ", "t", "t"], "data_source": ["mw"] * 4}
    wrong |= {"quality_label": [None, None, "great", None], "frames": ["shard_0/c.mp4"] * 4}
    Dataset.from_dict(wrong | {"partial_success": [3.0, None, None, None]}).to_parquet(folder / "b.parquet")
    (folder / "c.parquet").write_bytes(b"PAR1" * 9)
    assert ingest(folder, tmp_path / "out", data_source="mw") == 1
    (row,) = rows(tmp_path / "out", "mw")
    assert np.array_equal(read_frames(tmp_path / "out", row["frames"], range(5)), FILMS["shard_0/a.mp4"])
    found = reasons(tmp_path / "out", "mw")
    expected = {
        "1": "is a pickled array, which is never loaded",
        "2": "must be readable, but decoding it gives",
        "3": "`frames` of row `3` must lie in the dataset's folder",
        "4": "`frames` of row `4` must lie in the dataset's folder",
        "5": "must exist, but does not",
        "6": "must end in .npz or .mp4",
        "7": "must be a video, its path or a list of pictures, but is NoneType",
        "0": "`id` must differ",
        "p": "`partial_success` must be in [0, 1] or null, but is 3.0",
        "q": "`task` of row `q` must be set, but is ` `",
        "r": "`quality_label` in row `r` must be one of",
        "mw_b_000004": "`id` of row `mw_b_000004` must be set, but is `None`",
        "mw_c": "must be a readable parquet file",
    }
    assert set(found) == set(expected)
    for name, text in expected.items():
        assert text in found[name], found[name]


def test_texts_of_a_damaged_arrow_file_are_not_read(tmp_path: Path) -> None:
    published(tmp_path / "in").save_to_disk(tmp_path / "in" / "saved")
    (file,) = (tmp_path / "in" / "saved").glob("*.arrow")
    offsets = np.array([0, 4, 8, 13], np.int32).tobytes()
    assert file.read_bytes().count(offsets) == 1
    file.write_bytes(file.read_bytes().replace(offsets, np.array([0, 4, 2**30, 13], np.int32).tobytes()))
    assert ingest(tmp_path / "in", tmp_path / "out", data_source="mw") == 1
    (reason,) = reasons(tmp_path / "out", "mw").values()
    assert "must be a readable arrow or parquet file" in reason


def test_a_missing_shard_leaves_the_others_alone(tmp_path: Path) -> None:
    published(tmp_path / "in").save_to_disk(tmp_path / "in" / "saved", num_shards=3)
    (tmp_path / "in" / "saved" / "data-00001-of-00003.arrow").unlink()
    assert ingest(tmp_path / "in", tmp_path / "out", data_source="mw") == 1
    assert [row["id"] for row in rows(tmp_path / "out", "mw")] == ["1", "3"]
    assert "must exist, but does not" in reasons(tmp_path / "out", "mw")["mw_saved/data-00001-of-00003"]


ODD = {
    "partial_success": (["0.5", "much", None], "`partial_success` must be in [0, 1] or null, but is 'much'", "2"),
    "preference_rank": ([1.0, float("nan"), None], "`preference_rank` must be a whole number or null, but is nan", "2"),
    "quality_label": ([True, False, None], "`quality_label` of row `2` must be text or null, but is False", "2"),
    "is_robot": (["true", "false", None], "`is_robot` must be true or false, but is 'false'", "2"),
    "task_id": ([["a"], ["b"], None], "`task_id` must be text or null, but is ['b']", "2"),
    "data_source": ([["a"], ["b"], None], "`data_source` of row `2` must be text or null, but is ['b']", "2"),
}


@pytest.mark.parametrize("column", ODD)
def test_values_of_another_kind_cost_their_row_alone(tmp_path: Path, column: str) -> None:
    values, reason, name = ODD[column]
    published(tmp_path / "in", **{column: values}).to_parquet(tmp_path / "in" / "a.parquet")
    assert ingest(tmp_path / "in", tmp_path / "out") == 1
    sources = [folder.name for folder in (tmp_path / "out").iterdir()]
    assert {**reasons(tmp_path / "out", "in" if column == "data_source" else "mw")}[name] == reason
    assert "3" in [row["id"] for source in sources for row in rows(tmp_path / "out", source)]
