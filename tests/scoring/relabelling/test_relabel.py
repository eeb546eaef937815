"""`rfm relabel`: every frame's progress, the same number as everywhere, whatever kills it and however many work."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkpoints import random_checkpoint
from films import episode, film, write_episodes
from power_cuts import killed_at
from rabc_reader import read_gains, read_weights
from robot_datasets import SHARED, edit_table, moving_square, write_lerobot
from worlds import make_world

import rfm
from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.files.lock import exclusive
from rfm.files.ownership import partial_of
from rfm.ingest.lerobot.dataset import read_dataset
from rfm.ingest.lerobot.episodes import IngestLeRobotOptions, ingest_lerobot_command
from rfm.model.shipped import resolved
from rfm.scoring.relabelling import jobs as jobs_module
from rfm.scoring.relabelling.command import relabel
from rfm.scoring.relabelling.options import RelabelOptions
from rfm.trajectories.catalog import load_catalog

LENGTHS = (7, 1, 9)
TASK = "do thing 0"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("model") / "cups", max_frames=4, discrete_progress=False)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> rfm.RewardModel:
    return rfm.RewardModel.from_pretrained(checkpoint, "cpu")


def films() -> list[np.ndarray]:
    return [moving_square(length, at) for at, length in enumerate(LENGTHS)]


@pytest.fixture(params=["v2.1", "v3.0"])
def lerobot(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return write_lerobot(tmp_path / "their_robot", films(), request.param)


def options(path: Path | str, checkpoint: Path, output: Path, **changes: Any) -> RelabelOptions:
    values = {"path": str(path), "model_path": str(checkpoint), "output": str(output), "device": "cpu"}
    return RelabelOptions(**{**values, **changes})


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(copy: Path) -> list[dict[str, Any]]:
    tables = [pq.read_table(path) for path in sorted((copy / "data").rglob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


def expected(model: rfm.RewardModel) -> list[np.ndarray]:
    return [model.curve(frames, TASK).expected.astype(np.float32) for frames in films()]


def test_a_model_of_the_package_is_called_by_its_name(lerobot, tmp_path):
    assert relabel(options(lerobot, "metaworld-small", tmp_path / "out")) == 0
    file = tmp_path / "out" / "metaworld-small_progress.parquet"
    held = pq.read_schema(file).metadata
    assert held[b"reward_model_path"] == b"metaworld-small"
    assert not any(resolved("metaworld-small").encode() in value for value in held.values())


def test_the_parquet_is_what_lerobot_weights_samples_by(lerobot, checkpoint, model, tmp_path):
    assert relabel(options(lerobot, checkpoint, tmp_path / "out")) == 0
    file = tmp_path / "out" / "cups_progress.parquet"
    table = pq.read_table(file)
    wanted = [
        *((name, pa.int64()) for name in ("index", "episode_index", "frame_index")),
        ("progress_sparse", pa.float32()),
    ]
    assert [(field.name, field.type) for field in table.schema] == wanted
    assert table.schema.metadata[b"reward_model_path"].decode() == str(checkpoint)
    assert table["index"].to_pylist() == list(range(sum(LENGTHS)))
    assert table["episode_index"].to_pylist() == [at for at, length in enumerate(LENGTHS) for _ in range(length)]
    assert table["frame_index"].to_pylist() == [at for length in LENGTHS for at in range(length)]
    assert table["progress_sparse"].to_pylist() == pytest.approx(np.concatenate(expected(model)).tolist(), abs=1e-5)


def test_its_reader_finds_the_gain_of_every_frame(lerobot, checkpoint, model, tmp_path):
    relabel(options(lerobot, checkpoint, tmp_path / "p.parquet"))
    first, alone, _ = expected(model)
    gains = read_gains(tmp_path / "p.parquet", chunk_size=3)
    assert [gains[at] for at in range(7)] == pytest.approx(
        [first[min(at + 3, 6)] - first[at] for at in range(7)], abs=2e-5
    )
    assert gains[7] == 0
    assert len(alone) == 1
    assert {0.0, 1.0} >= {
        weight for at, weight in read_weights(tmp_path / "p.parquet", 3).items() if gains[at] < 0 or gains[at] > 0.01
    }
    with pytest.raises(ValueError, match="Column 'progress_dense' not found"):
        read_gains(tmp_path / "p.parquet", 3, "progress_dense")


def test_progress_is_no_staircase_of_whole_numbers(lerobot, checkpoint, tmp_path):
    relabel(options(lerobot, checkpoint, tmp_path / "p.parquet"))
    values = pq.read_table(tmp_path / "p.parquet")["progress_sparse"].to_numpy()
    assert np.abs(100 * values - np.round(100 * values)).max() > 1e-3


def test_pictures_in_the_tables_are_asked_about_too(checkpoint, model, tmp_path):
    dataset = write_lerobot(tmp_path / "pictures", films(), "v3.0", kind="image")
    relabel(options(dataset, checkpoint, tmp_path / "p.parquet"))
    values = pq.read_table(tmp_path / "p.parquet")["progress_sparse"].to_pylist()
    assert values == pytest.approx(np.concatenate(expected(model)).tolist(), abs=1e-5)


@pytest.mark.parametrize("values", ["progress", "reward"])
def test_a_copy_of_the_dataset_has_it_as_a_column(lerobot, checkpoint, model, tmp_path, values):
    before, copy = content(lerobot), tmp_path / "copy"
    assert relabel(options(lerobot, checkpoint, copy, format="column", values=values)) == 0
    assert content(lerobot) == before
    rows = rows_of(copy)
    for at, progress in enumerate(expected(model)):
        said = [row[values] for row in rows if row["episode_index"] == at]
        wanted = progress if values == "progress" else np.append(np.diff(progress), 0)
        assert said == pytest.approx(wanted.tolist(), abs=2e-5)
    assert read_dataset(copy).features[values] == {"dtype": "float32", "shape": [1], "names": None}
    changed = {name for name, data in content(copy).items() if before.get(name) != data}
    added = {"made_from.json", "meta/rfm_progress.json"}
    assert changed == {name for name in before if name.startswith("data/")} | {"meta/info.json"} | added


def test_the_copy_is_a_lerobot_dataset_that_imports(lerobot, checkpoint, tmp_path):
    relabel(options(lerobot, checkpoint, tmp_path / "copy", format="column", column="cups"))
    assert "cups" in read_dataset(tmp_path / "copy").features
    made = IngestLeRobotOptions(path=str(tmp_path / "copy"), output=str(tmp_path / "again"), label="successful")
    assert ingest_lerobot_command(made) == 0
    assert len(load_catalog(tmp_path / "again", ["copy"])) == 3


def test_the_plain_parquet_has_progress_and_rewards_by_episode(lerobot, checkpoint, model, tmp_path):
    relabel(options(lerobot, checkpoint, tmp_path / "p.parquet", format="parquet"))
    rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert list(rows[0]) == ["episode", "frame", "progress", "reward"]
    for at, progress in enumerate(expected(model)):
        own = [row for row in rows if row["episode"] == f"their_robot_{at:06d}"]
        assert [row["frame"] for row in own] == list(range(LENGTHS[at]))
        assert [row["progress"] for row in own] == pytest.approx(progress.tolist(), abs=1e-5)
        assert sum(row["reward"] for row in own) == pytest.approx(own[-1]["progress"] - own[0]["progress"], abs=1e-6)
        assert own[-1]["reward"] == 0


def test_values_are_those_of_the_evaluation_and_of_the_reward_model(tmp_path):
    """The end of each episode of a trajectory dataset, by `rfm evaluate --decoding scored`, Python and here."""
    world = make_world(tmp_path / "world", episodes=4, frames=11)
    checkpoint = random_checkpoint(tmp_path / "final", max_frames=8)
    config = [f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.max_frames=8"]
    words = [
        f"--output_path={tmp_path / 'data'}",
        "--eval_set",
        "ranking",
        "--partition",
        "train",
        "--num_workers",
        "1",
    ]
    assert run_command(("generate",), [*words, "--config_overrides", *config], "rfm generate") == 0
    found = rfm.evaluate(
        checkpoint, tmp_path / "data", output_path=tmp_path / "r.json", decoding="scored", device="cpu"
    )
    made = options("toy_train", checkpoint, tmp_path / "p.parquet", datasets_root=str(world))
    assert relabel(made) == 0
    model = rfm.RewardModel.from_pretrained(checkpoint, "cpu")
    table = pq.read_table(tmp_path / "p.parquet").to_pandas()
    rows = rfm.load_dataset(tmp_path / "data")
    assert len(rows) > 2
    for row, said in zip(rows, found["predictions"], strict=True):
        own = table[table["episode"] == row["trajectory_id"]]
        assert own["frame"].tolist() == list(range(11))
        judged = sum(score * share for score, share in enumerate(said["probabilities"])) / 100
        assert own["progress"].iloc[-1] == pytest.approx(judged, abs=1e-4)
        curve = model.curve(world / row["npz_path"], row["task"])
        assert own["progress"].to_numpy() == pytest.approx(curve.expected, abs=1e-5)


def test_people_are_asked_about_as_people(checkpoint, model, tmp_path):
    rows = [episode(tmp_path, "mixed", f"m_{at}", film(at, 4), is_robot=bool(at % 2)) for at in range(3)]
    write_episodes(tmp_path, "mixed", rows)
    relabel(options("mixed", checkpoint, tmp_path / "p.parquet", datasets_root=str(tmp_path)))
    table = pq.read_table(tmp_path / "p.parquet").to_pandas()
    for at in range(3):
        wanted = model.curve(film(at, 4), "do it", actor="robot" if at % 2 else "person").expected
        assert table[table["episode"] == f"m_{at}"]["progress"].to_numpy() == pytest.approx(wanted, abs=1e-5)


@pytest.fixture
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job an episode, so that there are several."""
    monkeypatch.setattr(jobs_module, "_PREFIXES", 1)


@pytest.mark.parametrize("kind", ["lerobot", "column"])
@pytest.mark.usefixtures("small_jobs")
def test_the_same_command_goes_on_after_a_kill_at_any_step_to_the_same_bytes(checkpoint, tmp_path, kind):
    lerobot, name = write_lerobot(tmp_path / "robot", films(), "v3.0"), "p.parquet" if kind == "lerobot" else "copy"
    (tmp_path / "whole").mkdir()
    (tmp_path / "kills").mkdir()
    relabel(options(lerobot, checkpoint, tmp_path / "whole" / name, format=kind))
    made, before, step, code = (
        options(lerobot, checkpoint, tmp_path / "kills" / name, format=kind),
        content(lerobot),
        0,
        -9,
    )
    while code:
        code = killed_at(step, relabel, made)
        step += 1
    assert step >= 4
    assert relabel(made) == 0
    assert content(tmp_path / "kills") == content(tmp_path / "whole")
    assert content(lerobot) == before


@pytest.mark.usefixtures("small_jobs")
def test_what_was_answered_is_not_asked_again(checkpoint, tmp_path, monkeypatch):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v3.0")
    made = options(lerobot, checkpoint, tmp_path / "p.parquet")
    asked: list[str] = []
    real = jobs_module._read

    def noting(one: Any, model: Any) -> Any:
        asked.append(one.id)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(one, model)

    monkeypatch.setattr(jobs_module, "_read", noting)
    with pytest.raises(KeyboardInterrupt):
        relabel(made)
    assert not (tmp_path / "p.parquet").exists()
    assert relabel(made) == 0
    assert asked == [f"robot_{at:06d}" for at in (0, 1, 2, 2)]
    assert relabel(made) == 0
    assert len(asked) == 4
    assert not partial_of(tmp_path / "p.parquet").exists()


@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.usefixtures("small_jobs")
def test_two_workers_give_the_bytes_of_one_process(checkpoint, tmp_path, monkeypatch, executor):
    if executor == "ray":
        pytest.importorskip("ray", reason="the extra `ray` is not installed")
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    lerobot = write_lerobot(tmp_path / "robot", films(), "v2.1")
    relabel(options(lerobot, checkpoint, tmp_path / "one.parquet"))
    relabel(options(lerobot, checkpoint, tmp_path / "two.parquet", executor=executor, num_workers=2))
    assert (tmp_path / "two.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()


def test_an_episode_that_cannot_be_read_is_named_and_has_no_progress(checkpoint, model, tmp_path, caplog):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v2.1")
    video = lerobot / "videos" / "chunk-001" / "observation.images.front" / "episode_000002.mp4"
    video.write_bytes(b"no video")
    for kind, name in (("lerobot", "p.parquet"), ("column", "copy")):
        made = options(lerobot, checkpoint, tmp_path / name, format=kind)
        assert relabel(made) == 1
        assert "robot_000002 has no progress: " in caplog.text
        caplog.clear()
        with caplog.at_level(logging.INFO):
            assert relabel(made) == 1
        assert "is complete; 1 of its episodes have no progress" in caplog.text
    table = pq.read_table(tmp_path / "p.parquet")
    assert table["progress_sparse"].null_count == 9
    assert table["progress_sparse"].to_pylist()[:7] == pytest.approx(expected(model)[0].tolist(), abs=1e-5)
    weights = read_weights(tmp_path / "p.parquet", 3)
    assert {weights[at] for at in range(8, 17)} == {1.0}
    assert [row["progress"] for row in rows_of(tmp_path / "copy")][8:] == [None] * 9


def test_a_dataset_of_which_nothing_can_be_read_is_an_error(checkpoint, tmp_path):
    lerobot = write_lerobot(tmp_path / "robot", [moving_square(3)], "v2.1")
    for video in lerobot.rglob("*.mp4"):
        video.write_bytes(b"no video")
    with pytest.raises(DataError, match=r"an episode of .*robot must be readable, but none is; .*episode_000000.mp4"):
        relabel(options(lerobot, checkpoint, tmp_path / "p.parquet"))
    assert not (tmp_path / "p.parquet").exists()


def test_what_is_there_is_replaced_only_if_asked_and_if_it_is_ours(lerobot, checkpoint, tmp_path):
    made = options(lerobot, checkpoint, tmp_path / "copy", format="column")
    relabel(made)
    other = dataclasses.replace(made, column="gain", values="reward")
    with pytest.raises(ConfigError, match=r"`output` .*copy exists; add --overwrite to replace it"):
        relabel(other)
    (tmp_path / "copy" / "notes.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"copy holds notes.txt, which is no part of one and is not deleted"):
        relabel(dataclasses.replace(other, overwrite=True))
    (tmp_path / "copy" / "notes.txt").unlink()
    assert relabel(dataclasses.replace(other, overwrite=True)) == 0
    assert "gain" in read_dataset(tmp_path / "copy").features
    flat = options(lerobot, checkpoint, tmp_path / "p.parquet")
    (tmp_path / "p.parquet").write_text("precious")
    with pytest.raises(ConfigError, match=r"`output` .*p.parquet exists; add --overwrite to replace it"):
        relabel(flat)
    assert relabel(dataclasses.replace(flat, overwrite=True)) == 0
    with pytest.raises(ConfigError, match=r"`output` must be free or a copy with progress, but .* holds data/"):
        relabel(options(lerobot, checkpoint, lerobot, format="column", overwrite=True))


def test_another_model_or_dataset_under_the_same_name_is_another_result(tmp_path):
    lerobot, checkpoint = write_lerobot(tmp_path / "robot", films(), "v3.0"), random_checkpoint(tmp_path / "model")
    made = options(lerobot, checkpoint, tmp_path / "p.parquet")
    assert relabel(made) == 0 == relabel(made)
    before = pq.read_table(tmp_path / "p.parquet")["progress_sparse"]
    random_checkpoint(checkpoint, seed=2)
    with pytest.raises(ConfigError, match=r"`output` .*p.parquet exists; add --overwrite to replace it"):
        relabel(made)
    assert relabel(dataclasses.replace(made, overwrite=True)) == 0
    assert pq.read_table(tmp_path / "p.parquet")["progress_sparse"] != before
    edit_table(next((lerobot / "data").rglob("*.parquet")), lambda rows: rows)
    with pytest.raises(ConfigError, match=r"`output` .*p.parquet exists; add --overwrite to replace it"):
        relabel(made)


def test_the_parquet_may_lie_in_the_dataset_and_a_copy_may_not(checkpoint, tmp_path):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v3.0")
    made = options(lerobot, checkpoint, lerobot)
    assert relabel(made) == 0 == relabel(made)
    assert (lerobot / "cups_progress.parquet").is_file()
    with pytest.raises(
        ConfigError, match=r"`output` must lie outside of the dataset that is copied, but .*copy lies in"
    ):
        relabel(options(lerobot, checkpoint, lerobot / "copy", format="column"))


def test_relative_paths_are_those_of_the_working_folder(checkpoint, tmp_path, monkeypatch):
    write_lerobot(tmp_path / "robot", films(), "v3.0")
    monkeypatch.chdir(tmp_path)
    assert relabel(options("robot", checkpoint, Path("p.parquet"))) == 0
    assert pq.read_table("p.parquet").num_rows == sum(LENGTHS)


def test_the_second_of_two_is_refused_before_its_work(lerobot, checkpoint, tmp_path):
    with (
        exclusive(partial_of(tmp_path / "p.parquet"), wait=False),
        pytest.raises(ConfigError, match="must have one writer at a time, but another process is writing it"),
    ):
        relabel(options(lerobot, checkpoint, tmp_path / "p.parquet"))


def repeated(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        row["index"] = row["frame_index"]
    return rows


def with_a_gap(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows[-1]["index"] += 1
    return rows


def without_index(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "index"} for row in rows]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (repeated, r"`index` must differ in all frames of .*, but 0 is of episodes 0 and 1; take --format column"),
        (with_a_gap, r"`index` must count the frames of episode 2 one by one, as LeRobot weights samples by it, but"),
        (without_index, r"file-000.parquet must have the columns index, episode_index, frame_index, but lacks index"),
    ],
)
def test_an_index_that_lerobot_would_find_others_by_is_an_error(checkpoint, tmp_path, change, text):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v3.0")
    edit_table(next((lerobot / "data").rglob("*.parquet")), change)
    with pytest.raises(DataError, match=text):
        relabel(options(lerobot, checkpoint, tmp_path / "p.parquet"))
    assert not (tmp_path / "p.parquet").exists()
    assert relabel(options(lerobot, checkpoint, tmp_path / "copy", format="column")) == 0


def test_rows_may_lie_in_any_order_in_their_file(checkpoint, model, tmp_path):
    lerobot = write_lerobot(tmp_path / "robot", films(), "v3.0")
    edit_table(next((lerobot / "data").rglob("*.parquet")), lambda rows: rows[::-1])
    relabel(options(lerobot, checkpoint, tmp_path / "p.parquet"))
    table = pq.read_table(tmp_path / "p.parquet").to_pandas().set_index("index")["progress_sparse"]
    wanted = np.concatenate(expected(model))
    assert [table[at] for at in range(len(wanted))] == pytest.approx(wanted.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"num_workers": 0}, "`num_workers` must be at least 1, but is 0"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, but is 0"),
        ({"max_frames": 1}, "`max_frames` must lie between 2 and 4096, but is 1"),
        ({"format": "csv"}, "`format` must be one of lerobot, column, parquet, but is `csv`"),
        ({"executor": "slurm"}, "`executor` must be one of local, ray, but is `slurm`"),
        ({"values": "reward"}, "`values` must go with --format column, but goes with none"),
        ({"format": "lerobot", "column": "x"}, "`column` must go with --format column, but goes with lerobot"),
    ],
)
def test_options_that_mean_nothing_are_refused(changes, text):
    with pytest.raises(ConfigError) as raised:
        options("robot", Path("model"), Path("p.parquet"), **changes)
    assert text in str(raised.value)


def test_what_a_trajectory_dataset_cannot_give_is_said(checkpoint, tmp_path):
    write_episodes(tmp_path, "robot", [episode(tmp_path, "robot", "r_0", film(0, 4))])
    named = {"datasets_root": str(tmp_path)}
    with pytest.raises(
        ConfigError, match=r"`format` lerobot must go with a LeRobot dataset, but robot is a trajectory"
    ):
        relabel(options("robot", checkpoint, tmp_path / "p.parquet", format="lerobot", **named))
    with pytest.raises(
        ConfigError, match=r"`camera` must go with a LeRobot dataset, but robot is a trajectory dataset"
    ):
        relabel(options("robot", checkpoint, tmp_path / "p.parquet", camera="front", **named))
    with pytest.raises(ConfigError, match=r"`path` must be a LeRobot dataset .*, but is nowhere; name the folder"):
        relabel(options("nowhere", checkpoint, tmp_path / "p.parquet", **named))


def test_a_column_that_is_there_is_not_written_over(lerobot, checkpoint, tmp_path):
    with pytest.raises(
        ConfigError, match=r"`column` must be a new one, but .* has `timestamp`; name another by --column"
    ):
        relabel(options(lerobot, checkpoint, tmp_path / "copy", format="column", column="timestamp"))


def test_the_command_line_does_it_on_a_dataset_that_lerobot_wrote(checkpoint, tmp_path):
    dataset = SHARED / "lerobot_v3"
    if not dataset.is_dir():
        pytest.skip("the dataset that lerobot wrote is not here")
    info = json.loads((dataset / "meta" / "info.json").read_text())
    words = [str(dataset), "--model_path", str(checkpoint), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert run_command(("relabel",), words, "rfm relabel") == 0
    table = pq.read_table(tmp_path / "out" / "cups_progress.parquet")
    assert sorted(table["index"].to_pylist()) == list(range(info["total_frames"]))
    assert table["progress_sparse"].null_count == 0
    theirs = rows_of(dataset)
    ours = {row["index"]: (row["episode_index"], row["frame_index"]) for row in table.to_pylist()}
    assert all(ours[row["index"]] == (row["episode_index"], row["frame_index"]) for row in theirs)
    assert len(read_gains(tmp_path / "out" / "cups_progress.parquet", 10)) == info["total_frames"]
