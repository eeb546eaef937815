"""The example workflow of the specification, command by command, with a tiny model and small sizes."""

import json
from importlib.util import find_spec

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from worlds import make_world

from rfm.cli import run_command

SIZES = "--per_device_train_batch_size 2 --gradient_accumulation_steps 8 --num_train_epochs 3 --learning_rate 2e-5"
TRAIN = f"--model_name tiny {SIZES} --bf16 --gradient_checkpointing --dataloader_num_workers 0"


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.setenv("RFM_PROCESSED_DATASETS_PATH", str(make_world(tmp_path / "root", "metaworld_train")))
    monkeypatch.chdir(tmp_path)


def run(name: str, line: str) -> int:
    return run_command((name,), line.split(), program=f"rfm {name}")


def test_generate_train_monitor_evaluate_view(tmp_path, caplog):
    ratio = "--config_overrides data.sample_type_ratio=[0.7,0.3,0.0]"
    assert run("generate", f"--num_samples 40 --output_path data/vqa_train_10k --seed 42 {ratio}") == 0
    assert run("generate", f"--num_samples 10 --output_path data/vqa_test_1k --seed 123 {ratio}") == 0
    datasets = "--dataset_path data/vqa_train_10k --eval_dataset_path data/vqa_test_1k"
    assert run("train", f"{datasets} {TRAIN} --logging_steps 2 --eval_steps 4 --output_dir outputs/run") == 0

    (events,) = (tmp_path / "outputs" / "run" / "runs").rglob("events*")
    log = EventAccumulator(str(events)).Reload()
    assert {"train/loss", "train/learning_rate", "eval/loss"} <= set(log.Tags()["scalars"])

    results = "outputs/run/eval_results.json"
    ask = f"--model_path outputs/run/final --dataset_path data/vqa_test_1k --output_path {results}"
    assert run("evaluate", f"{ask} --batch_size 4 --save_predictions") == 0
    assert "these are not held-out results" in caplog.text
    content = json.loads((tmp_path / results).read_text())
    assert content["total_samples"] == 10
    assert content["sample_types"] == {"preference": 7, "progress": 3}
    assert set(content["preference"]) >= {"count", "correct", "accuracy"}
    assert set(content["progress"]) >= {"count", "mae", "rmse"}
    assert len(content["predictions"]) == 10


@pytest.mark.skipif(find_spec("unsloth") is not None, reason="unsloth is installed")
@pytest.mark.parametrize("flags", ["--use_unsloth", "--use_unsloth --quantization"])
def test_unsloth_that_is_not_installed_is_said(flags, capsys):
    assert run("generate", "--num_samples 20 --output_path data/train") == 0
    assert run("train", f"--dataset_path data/train {TRAIN} --output_dir outputs/run {flags}") == 1
    assert "unsloth requested but not installed" in capsys.readouterr().err


def test_similarity_trains_and_evaluates(tmp_path):
    ratio = "--config_overrides data.sample_type_ratio=[0,0,1] data.max_frames=4"
    assert run("generate", f"--num_samples 8 --output_path data/similar {ratio}") == 0
    few = "--model_name tiny --max_steps 1 --per_device_train_batch_size 2 --dataloader_num_workers 0"
    assert run("train", f"--dataset_path data/similar {few} --output_dir outputs/run") == 0
    ask = "--model_path outputs/run/final --dataset_path data/similar --output_path results.json --save_predictions"
    assert run("evaluate", ask) == 0
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["sample_types"] == {"similarity": 8}
    assert content["similarity"]["count"] == 8
    assert 0 <= content["similarity"]["accuracy"] <= 1
    assert len(content["predictions"]) == 8
