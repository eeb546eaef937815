"""`rfm relabel`: every frame's progress, the same number as everywhere, in each format."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkpoints import random_checkpoint
from films import episode, film, write_episodes
from rabc_reader import read_gains, read_weights
from relabelled import LENGTHS, content, expected, films, options, rows_of
from robot_datasets import SHARED, write_lerobot
from worlds import make_world

import rfm
from rfm.cli import run_command
from rfm.ingest.lerobot.dataset import read_dataset
from rfm.ingest.lerobot.episodes import IngestLeRobotOptions, ingest_lerobot_command
from rfm.model.shipped import resolved
from rfm.scoring.relabelling.command import relabel
from rfm.trajectories.catalog import load_catalog


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
