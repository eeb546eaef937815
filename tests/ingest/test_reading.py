import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rfm.errors import ConfigError, DataError
from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.decoding import Video
from rfm.ingest.episode import Episode, IngestOptions
from rfm.ingest.pipeline import ingest
from rfm.ingest.reading import confined, file_identity, opened_parquet, rejected
from rfm.trajectories.store import read_columns


@dataclass(frozen=True)
class Grey:
    """Frames of one grey level."""

    level: int
    count: int = 4

    def read(self, options: IngestOptions) -> Video:
        indices = evenly_spaced(self.count, options.max_frames)
        return Video(np.full((len(indices), 8, 8, 3), self.level, np.uint8), indices, self.count, 10.0)

    def identity(self) -> str:
        return str(self.level)


def episode(name: str, source: str = "s", level: int = 0) -> Episode:
    return Episode(name, "t", source, Grey(level), preference_group_id="g", preference_rank=2)


def test_episodes_may_come_from_a_generator(tmp_path: Path) -> None:
    summary = ingest((episode(str(at)) for at in range(3)), tmp_path, IngestOptions(max_frames=2))
    assert (summary.num_trajectories, summary.num_frames) == (3, 6)
    table = read_columns(tmp_path / "s", ("id", "preference_group_id", "preference_rank"))
    assert table.to_pylist()[2] == {"id": "2", "preference_group_id": "g", "preference_rank": 2}


def test_faults_that_an_adapter_found_and_taken_ids_are_rejected(tmp_path: Path) -> None:
    faulty = rejected("bad", "s", DataError("`task` must be set, but is not"))
    summary = ingest([episode("a", level=1), faulty, episode("a", level=2), episode("b")], tmp_path, IngestOptions())
    assert read_columns(tmp_path / "s", ("id",))["id"].to_pylist() == ["a", "b"]
    listed = [json.loads(line) for line in (tmp_path / "s" / "rejected.jsonl").read_text().splitlines()]
    assert listed == [
        {"id": "bad", "reason": "`task` must be set, but is not"},
        {"id": "a", "reason": "`id` must differ in every episode of an ingest, but `a` repeats"},
    ]
    assert [rejection.id for rejection in summary.rejected] == ["bad", "a"]
    assert np.load(tmp_path / "s" / "frames" / "trajectory_a.npz")["frames"].max() == 1


def test_an_id_taken_in_another_source_is_rejected_there(tmp_path: Path) -> None:
    summary = ingest([episode("a", "one"), episode("a", "two")], tmp_path, IngestOptions())
    assert summary.keys == ("one",)
    assert "repeats" in (tmp_path / "two" / "rejected.jsonl").read_text()


def test_sources_that_share_a_folder_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`a/b` and `a_b` share `a_b`: rename one"):
        ingest([episode("1", "a/b"), episode("2", "a_b")], tmp_path, IngestOptions())


def test_what_an_adapter_raises_while_it_lists_comes_before_any_work(tmp_path: Path) -> None:
    def listing():
        yield episode("a")
        raise DataError("no such thing")

    with pytest.raises(DataError, match="no such thing"):
        ingest(listing(), tmp_path / "out", IngestOptions())
    assert not (tmp_path / "out").exists()


def test_paths_stay_in_the_dataset(tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "secret.mp4").write_bytes(b"")
    (root / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    assert confined(root, "sub/../a.mp4", "x") == root / "sub/../a.mp4"
    for path in ("../secret.mp4", str(tmp_path / "secret.mp4"), "link.mp4"):
        with pytest.raises(DataError, match=rf"`file_name` must lie in the dataset's folder .*, but `{path}` leads to"):
            confined(root, path, "`file_name`")


def test_a_hugging_face_cache_is_a_folder_of_links(tmp_path: Path) -> None:
    snapshot = tmp_path / "datasets--a--b" / "snapshots" / "c0ffee"
    blob = tmp_path / "datasets--a--b" / "blobs" / "1234"
    for folder in (snapshot, blob.parent):
        folder.mkdir(parents=True)
    blob.write_bytes(b"")
    (snapshot / "a.mp4").symlink_to(blob)
    (snapshot / "train").mkdir()
    (snapshot / "train" / "b.mp4").symlink_to(blob)
    assert confined(snapshot, "a.mp4", "x") == snapshot / "a.mp4"
    assert confined(snapshot / "train", "b.mp4", "x") == snapshot / "train" / "b.mp4"
    with pytest.raises(DataError, match="must lie in the dataset's folder"):
        confined(snapshot, "../../../other", "x")


def test_the_identity_of_a_missing_file_says_so(tmp_path: Path) -> None:
    assert file_identity(tmp_path / "a") == f"{tmp_path}/a missing"


def test_a_column_that_unpacks_to_more_than_its_size_makes_credible_is_refused(tmp_path):
    bomb = pa.table({"id": ["a"], "text": pa.array([b"a" * 300_000_000], pa.large_binary())})
    pq.write_table(bomb, tmp_path / "bomb.parquet", compression="zstd", use_dictionary=False, write_statistics=False)
    assert (tmp_path / "bomb.parquet").stat().st_size < 100_000
    with pytest.raises(DataError, match=r"`text` in .*bomb.parquet must take at most \d+ bytes unpacked"):
        opened_parquet(tmp_path / "bomb.parquet")
    pq.write_table(pa.table({"text": ["the same text"] * 1_000_000}), tmp_path / "alike.parquet", compression="zstd")
    assert opened_parquet(tmp_path / "alike.parquet").metadata.num_rows == 1_000_000
