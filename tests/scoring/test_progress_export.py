import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkpoints import random_checkpoint
from films import episode, film, write_episodes
from power_cuts import killed_at
from robot_datasets import edit_table, moving_square, write_lerobot, write_video

from rfm.errors import ConfigError, DataError
from rfm.files.lock import exclusive
from rfm.files.ownership import partial_of
from rfm.inference.prediction import Prediction
from rfm.inference.predictor import Predictor
from rfm.ingest.lerobot.dataset import read_dataset
from rfm.ingest.lerobot.episodes import IngestLeRobotOptions, ingest_lerobot_command
from rfm.scoring.lerobot_column import stretched
from rfm.scoring.progress_export import ProgressOptions, export_progress
from rfm.trajectories.catalog import load_catalog


@pytest.fixture
def root(tmp_path):
    """Episodes 0 and 2 of a LeRobot dataset have progress, 4 of their frames each."""
    values = (0.0, 0.2, 0.6, 1.0)
    rows = [episode(tmp_path, "robot", f"robot_{at:06d}", film(at, 4), progress=values) for at in (0, 2)]
    return write_episodes(tmp_path, "robot", [*rows, episode(tmp_path, "robot", "robot_000001", film(1, 4))])


@pytest.fixture(params=["v2.1", "v3.0"])
def lerobot(tmp_path, request):
    return write_lerobot(tmp_path / "lerobot", [moving_square(7, at) for at in range(3)], request.param)


def options(root: Path, **changes) -> ProgressOptions:
    values = {"dataset": "robot", "output": str(root / "out" / "progress.parquet"), "datasets_root": str(root)}
    return ProgressOptions(**{**values, **changes})


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_recorded_progress_becomes_rows_of_episode_and_frame(root):
    assert export_progress(options(root)) == 0
    table = pq.read_table(root / "out" / "progress.parquet")
    assert table.column_names == ["episode", "frame", "progress"]
    assert table["episode"].to_pylist() == ["robot_000000"] * 4 + ["robot_000002"] * 4
    assert table["frame"].to_pylist() == [0, 1, 2, 3] * 2
    assert table["progress"].to_pylist() == pytest.approx([0.0, 0.2, 0.6, 1.0] * 2)


def test_a_copy_of_the_lerobot_dataset_has_it_as_a_column(root, lerobot):
    before = content(lerobot)
    copy = root / "copy"
    export_progress(options(root, lerobot=str(lerobot), lerobot_output=str(copy)))
    assert content(lerobot) == before
    tables = [pq.read_table(path) for path in sorted((copy / "data").rglob("*.parquet"))]
    rows = [row for table in tables for row in table.to_pylist()]
    assert len(rows) == 21
    expected = [0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]  # between the kept frames 0, 2, 4 and 6
    for index in range(3):
        values = [row["progress"] for row in rows if row["episode_index"] == index]
        assert values == ([None] * 7 if index == 1 else pytest.approx(expected))
    assert json.loads((copy / "meta" / "info.json").read_text())["features"]["progress"]["dtype"] == "float32"
    changed = {name for name, data in content(copy).items() if before.get(name) != data}
    added = {"made_from.json", "meta/rfm_progress.json"}
    assert changed == {name for name in before if name.startswith("data/")} | {"meta/info.json"} | added
    flat = pq.read_table(root / "out" / "progress.parquet")
    assert flat["frame"].to_pylist() == list(range(7)) * 2
    assert flat["progress"].to_pylist() == pytest.approx(expected * 2)


def test_the_copy_is_a_lerobot_dataset_that_imports(root, lerobot, tmp_path):
    export_progress(options(root, lerobot=str(lerobot), lerobot_output=str(root / "copy")))
    assert "progress" in read_dataset(root / "copy").features
    made = IngestLeRobotOptions(path=str(root / "copy"), output=str(tmp_path / "again"), label="successful")
    assert ingest_lerobot_command(made) == 0
    assert len(load_catalog(tmp_path / "again", ["copy"])) == 3


def test_a_model_is_asked_for_every_prefix(root, tmp_path, caplog):
    checkpoint = random_checkpoint(tmp_path / "model")
    with pytest.raises(DataError, match="`model_path` must be a model that answers with scores, but"):
        export_progress(options(root, model_path=str(checkpoint), device="cpu", max_frames=4))
    assert "3 of 3 answers are no score" in caplog.text


def test_answers_become_progress(root, tmp_path, monkeypatch):
    def answer(self, rows, *_, **__):
        said = [10 * row["frame_indices"][-1] for row in rows]
        return [Prediction("ANS: none" if score == 20 else f"ANS: {score}") for score in said]

    monkeypatch.setattr(Predictor, "answer", answer)
    export_progress(options(root, model_path=str(random_checkpoint(tmp_path / "model")), device="cpu"))
    table = pq.read_table(root / "out" / "progress.parquet")
    assert table["progress"].to_pylist() == pytest.approx([0.1, 0.1, 0.2, 0.3] * 3)


def test_a_dataset_without_progress_needs_a_model(root):
    write_episodes(root, "robot", [episode(root, "robot", "robot_000000", film(0, 4))])
    with pytest.raises(DataError, match="`robot` must have recorded `progress`, but no episode has; name a checkpoint"):
        export_progress(options(root))


def test_what_cannot_be_written_is_said(root, lerobot):
    with pytest.raises(ConfigError, match="`lerobot` and `lerobot_output` must be given together"):
        options(root, lerobot="x")
    with pytest.raises(ConfigError, match=r"`column` must be a new one, but .* has `timestamp`"):
        export_progress(options(root, lerobot=str(lerobot), lerobot_output=str(root / "copy"), column="timestamp"))
    with pytest.raises(ConfigError, match=r"`lerobot_output` must be free or a copy with progress, but .* holds data/"):
        export_progress(options(root, lerobot=str(lerobot), lerobot_output=str(lerobot)))
    write_episodes(root, "robot", [episode(root, "robot", "odd", film(5, 4), progress=(0.0, 0.0, 0.0, 0.0))])
    with pytest.raises(DataError, match=r"`id` must end in the episode's number .* but is `odd`"):
        export_progress(options(root, lerobot=str(lerobot), lerobot_output=str(root / "copy")))


def test_kept_frames_get_exactly_their_values():
    values = np.linspace(0, 1, 64) ** 2
    kept = (2 * np.arange(64) * 499 + 63) // 126
    assert np.allclose(stretched(values, 500)[kept], values)
    with pytest.raises(DataError, match="must have at least its 64 kept frames, but has 10"):
        stretched(values, 10)


def test_the_same_command_goes_on_after_a_kill_at_any_step_and_leaves_nothing_else(root, lerobot, tmp_path):
    place = tmp_path / "kills"
    made = options(root, output=str(place / "p.parquet"), lerobot=str(lerobot), lerobot_output=str(place / "copy"))
    place.mkdir()
    before, step, code = content(lerobot), 0, -9
    while code:
        code = killed_at(step, export_progress, made)
        assert (place / "copy").exists() <= (place / "p.parquet").exists()
        step += 2
    assert export_progress(made) == 0
    assert sorted(path.name for path in place.iterdir()) == ["copy", "p.parquet"]
    assert content(lerobot) == before
    assert step > 6


def test_what_is_there_is_replaced_only_if_asked_and_if_it_is_ours(root, lerobot):
    made = options(root, lerobot=str(lerobot), lerobot_output=str(root / "copy"))
    export_progress(made)
    other = dataclasses.replace(made, column="reward")
    with pytest.raises(ConfigError, match=r"`lerobot_output` .*copy exists; add --overwrite to replace it"):
        export_progress(other)
    with pytest.raises(ConfigError, match=r"`output` .*progress.parquet exists; add --overwrite to replace it"):
        export_progress(options(root))
    (root / "copy" / "notes.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"copy holds notes.txt, which is no part of one and is not deleted"):
        export_progress(dataclasses.replace(other, overwrite=True))
    (root / "copy" / "notes.txt").unlink()
    assert export_progress(dataclasses.replace(other, overwrite=True)) == 0
    assert "reward" in read_dataset(root / "copy").features


def test_another_model_or_dataset_under_the_same_name_is_no_complete_export(root, lerobot, tmp_path, monkeypatch):
    def answer(self, rows, *_, **__):
        return [Prediction(f"ANS: {row['frame_indices'][-1]}") for row in rows]

    monkeypatch.setattr(Predictor, "answer", answer)
    model = random_checkpoint(tmp_path / "model")
    made = options(root, model_path=str(model), device="cpu", lerobot=str(lerobot), lerobot_output=str(root / "copy"))
    assert export_progress(made) == 0 == export_progress(made)
    random_checkpoint(model, seed=2)
    with pytest.raises(ConfigError, match=r"`lerobot_output` .*copy exists; add --overwrite to replace it"):
        export_progress(made)
    assert export_progress(dataclasses.replace(made, overwrite=True)) == 0 == export_progress(made)
    edit_table(next((lerobot / "data").rglob("*.parquet")), lambda rows: rows)
    with pytest.raises(ConfigError, match=r"`lerobot_output` .*copy exists; add --overwrite to replace it"):
        export_progress(made)


@pytest.mark.parametrize("numbers", [[10, 11, 12, 13, 14, 15, 16], [0, 1, 2, 5, 6, 7, 10**13], [-1, 0, 1, 2, 3, 4, 5]])
def test_progress_goes_by_the_order_of_frames_and_not_by_their_numbers(root, numbers):
    lerobot = write_lerobot(root / "lerobot", [moving_square(7)], "v2.1")
    [table] = (lerobot / "data").rglob("*.parquet")
    edit_table(table, lambda rows: [row.update(frame_index=at) for row, at in zip(rows, numbers, strict=True)] and None)
    export_progress(options(root, lerobot=str(lerobot), lerobot_output=str(root / "copy")))
    written = pq.read_table(root / "copy" / table.relative_to(lerobot))["progress"]
    assert written.to_pylist() == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])


def without(name):
    return lambda table: table.drop_columns([name])


def described(text):
    return lambda table: table.replace_schema_metadata({b"huggingface": text})


def a_null(table):
    at = table.column_names.index("frame_index")
    return table.set_column(at, "frame_index", pa.array([*range(6), None], pa.int64()))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (without("episode_index"), r"episode_000000.parquet must have the columns episode_index, but lacks"),
        (a_null, r"`frame_index` in .*episode_000000.parquet must be one number a frame, but is not: .* 1 nulls"),
        (described(b'{"a": 1}'), r"`huggingface` of .*episode_000000.parquet lacks `info`"),
        (described(b'{"info": {"features": []}}'), r"`huggingface` of .* `info.features` must be an object"),
    ],
)
def test_a_table_that_is_none_is_an_error_that_names_it(root, change, text):
    lerobot = write_lerobot(root / "lerobot", [moving_square(7)], "v2.1")
    [path] = (lerobot / "data").rglob("*.parquet")
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(DataError, match=text):
        export_progress(options(root, lerobot=str(lerobot), lerobot_output=str(root / "copy")))
    assert not (root / "copy").exists()


def test_an_episode_that_lies_in_two_files_is_an_error(root):
    lerobot = write_lerobot(root / "lerobot", [moving_square(7)], "v2.1")
    [path] = (lerobot / "data").rglob("*.parquet")
    shutil.copyfile(path, path.with_name("episode_000001.parquet"))
    with pytest.raises(DataError, match=r"the frames of robot_000000 must lie in one file of .*, but lie in several"):
        export_progress(options(root, lerobot=str(lerobot), lerobot_output=str(root / "copy")))


def test_the_second_of_two_is_refused_before_its_work(root, lerobot):
    with (
        exclusive(partial_of(root / "copy"), wait=False),
        pytest.raises(ConfigError, match="must have one writer at a time, but another process is writing it"),
    ):
        export_progress(options(root, lerobot=str(lerobot), lerobot_output=str(root / "copy")))
    assert not (root / "out").exists()


def test_progress_goes_to_the_rows_that_had_a_picture(tmp_path):
    lerobot = write_lerobot(tmp_path / "slow", [moving_square(9)], "v2.1")
    films = lerobot / "videos" / "chunk-000" / "observation.images.front"
    write_video(films / "episode_000000.mp4", moving_square(9)[[0, 4, 8]], 1)
    table = lerobot / "data" / "chunk-000" / "episode_000000.parquet"
    times = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.9, 1.0, 2.0]  # pictures at 0, 1 and 2 s: of rows 0, 7 and 8
    edit_table(table, lambda rows: [row.update(timestamp=time) for row, time in zip(rows, times, strict=True)][9:])
    assert ingest_lerobot_command(IngestLeRobotOptions(path=str(lerobot), output=str(tmp_path), data_source="a")) == 0
    ingested = load_catalog(tmp_path, ["a"]).frames_path[0].as_py()
    row = episode(tmp_path, "robot", "robot_000000", film(0, 3), progress=(0.0, 0.7, 1.0))
    root = write_episodes(tmp_path, "robot", [row])
    shutil.copy(tmp_path / ingested, root / load_catalog(root, ["robot"]).frames_path[0].as_py())
    export_progress(options(root, lerobot=str(lerobot), lerobot_output=str(root / "copy")))
    written = pq.read_table(root / "copy" / table.relative_to(lerobot))["progress"]
    assert written.to_pylist() == pytest.approx([*np.arange(8) / 10, 1.0])
