import dataclasses
import json
from pathlib import Path

import pytest
import torch
from runs import losses, tiny_run
from transformers import TrainerState
from vqa_fakes import fake_dataset, row, write_dataset, write_frames
from worlds import make_world

from rfm.batch.input_format import InputFormat
from rfm.errors import ConfigError, DataError, RfmError
from rfm.generation.generate import GenerateOptions, generate
from rfm.inference.predictor import Predictor
from rfm.model.load import load_model
from rfm.training.arguments import training_arguments
from rfm.training.dataset import open_training_set
from rfm.training.run import train
from rfm.training.trainable import input_format, weights_dtype
from rfm.vqa.dataset import load_dataset
from rfm.vqa.provenance import load_hashes, trajectory_hashes


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 8, episodes=4)


def shades(folder: Path, *, flipped: bool = False) -> Path:
    """Four rows about a dark and a bright clip; `flipped` swaps the answers."""
    dark, bright = ((path, [0, 5, 10, 15]) for path in write_frames(folder / "root", 2, levels=(30, 220)))
    answers = ("100", "7", "2", "1") if flipped else ("7", "100", "1", "2")
    rows = [
        row("progress", answers[0], "how far?", clip=dark),
        row("progress", answers[1], "how far?", clip=bright),
        row("preference", answers[2], "which?", first=bright, second=dark),
        row("preference", answers[3], "which?", first=dark, second=bright),
    ]
    return write_dataset(folder / "vqa", folder / "root", rows)


LEARN = {
    "max_steps": 50,
    "learning_rate": 5e-3,
    "max_grad_norm": 1.0,
    "lr_scheduler_type": "constant",
    "save_strategy": "no",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny model of other answers: adapters need a base, since a random one caps the logits that they can reach."""
    folder = tmp_path_factory.mktemp("trained")
    return train(tiny_run(shades(folder, flipped=True), folder / "out", **LEARN))


@pytest.mark.parametrize(
    "mode",
    [
        {},
        {"freeze_vision_tower": True},
        {"lora_rank": 16},
        {"lora_rank": 16, "freeze_vision_tower": True},
        {"use_multi_image": True},
        {"gradient_checkpointing": True},
    ],
    ids=["full", "frozen", "lora", "lora-frozen", "images", "checkpointing"],
)
def test_each_mode_learns_a_few_rows_by_heart(trained, tmp_path, mode):
    base = {"model_name": str(trained)} if "lora_rank" in mode else {}
    dataset = shades(tmp_path)
    final = train(tiny_run(dataset, tmp_path / "out", **{**LEARN, **base, **mode}))
    assert losses(tmp_path / "out")[-1] < 0.02
    rows = open_training_set(dataset).rows
    predictor = Predictor.from_checkpoint(final, "cpu", datasets_root=tmp_path / "root")
    answers = [prediction.text for prediction in predictor.predict(rows, 4, progress=False)]
    assert answers == [f"ANS: {one['answer']}" for one in rows]


def test_a_checkpoint_that_is_trained_on_keeps_its_frame_size(dataset, trained, tmp_path):
    made = tiny_run(dataset, tmp_path, model_name=str(trained))
    assert input_format(made) == InputFormat(32, 32, "box", max_frames=4)
    other = dataclasses.replace(made, config_overrides=("data.resize_filter=bicubic",))
    assert input_format(other) == InputFormat(32, 32, "bicubic", max_frames=4)


def test_an_adapter_is_resumed_and_not_trained_on(dataset, tmp_path):
    final = train(tiny_run(dataset, tmp_path / "out", max_steps=1, lora_rank=2))
    with pytest.raises(
        ConfigError, match=r"`model_name` must be a full model, but .*final is an adapter; .* --resume_from_checkpoint"
    ):
        train(tiny_run(dataset, tmp_path / "more", model_name=str(final)))


def test_resuming_gives_the_losses_of_a_run_in_one_go(dataset, tmp_path):
    whole = tiny_run(dataset, tmp_path / "whole", max_steps=6, save_steps=3, lr_scheduler_type="constant")
    train(whole)
    cut = dataclasses.replace(whole, output_dir=str(tmp_path / "cut"), max_steps=3)
    train(cut)
    train(dataclasses.replace(cut, max_steps=6, resume_from_checkpoint="latest"))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_resuming_an_adapter_gives_the_same_losses(dataset, tmp_path):
    whole = tiny_run(dataset, tmp_path / "whole", max_steps=4, save_steps=2, lr_scheduler_type="constant", lora_rank=4)
    train(whole)
    cut = dataclasses.replace(whole, output_dir=str(tmp_path / "cut"), max_steps=2)
    train(cut)
    train(dataclasses.replace(cut, max_steps=4, resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-2")))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_every_checkpoint_is_complete_and_logs_go_to_tensorboard(dataset, tmp_path):
    train(
        tiny_run(
            dataset,
            tmp_path,
            max_steps=2,
            save_steps=1,
            report_to="tensorboard",
            eval_dataset_path=str(dataset),
            eval_steps=1,
        )
    )
    for name in ("checkpoint-1", "checkpoint-2", "final"):
        loaded = load_model(tmp_path / name)
        assert loaded.form == InputFormat(32, 32, "box", max_frames=4)  # of the rows: their record does not say
        for file_name in ("preprocessor_config.json", "video_preprocessor_config.json", "chat_template.jinja"):
            assert (tmp_path / name / file_name).is_file()
    assert list((tmp_path / "runs").rglob("events.out.tfevents.*"))
    assert json.loads((tmp_path / "final" / "training_options.json").read_text())["max_steps"] == 2
    state = TrainerState.load_from_json(str(tmp_path / "trainer_state.json"))
    assert [entry["step"] for entry in state.log_history if "eval_loss" in entry] == [1, 2]


def test_checkpoints_remember_the_trajectories_they_were_trained_on(tmp_path):
    world = make_world(tmp_path / "world", "toy_train", episodes=6)
    overrides = (f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.max_frames=4")
    path = generate(GenerateOptions(output_path=str(tmp_path / "vqa"), num_samples=30, config_overrides=overrides))
    train(tiny_run(path, tmp_path / "out", max_steps=1, save_steps=1))
    rows, _ = load_dataset(path)
    for name in ("checkpoint-1", "final"):
        assert load_hashes(tmp_path / "out" / name).tolist() == trajectory_hashes(rows).tolist()
    assert len(trajectory_hashes(rows)) == 6


def test_loader_workers_change_nothing(dataset, tmp_path):
    plain = tiny_run(dataset, tmp_path / "plain", save_strategy="no")
    train(plain)
    train(dataclasses.replace(plain, output_dir=str(tmp_path / "workers"), dataloader_num_workers=2))
    assert losses(tmp_path / "plain") == losses(tmp_path / "workers")


def test_a_finished_run_is_not_trampled_on(dataset, tmp_path):
    made = tiny_run(dataset, tmp_path, max_steps=1, save_strategy="no")
    train(made)
    with pytest.raises(ConfigError) as caught:
        train(made)
    text = str(caught.value)
    assert "`output_dir` must not hold a run already" in text
    for way_out in ("holds final", "--resume_from_checkpoint latest", "--overwrite_output_dir"):
        assert way_out in text
    train(dataclasses.replace(made, overwrite_output_dir=True))


def test_resuming_from_nothing_is_an_error(dataset, tmp_path):
    with pytest.raises(
        DataError, match=r"`resume_from_checkpoint` must find a checkpoint, but .* holds no checkpoint-"
    ):
        train(tiny_run(dataset, tmp_path, resume_from_checkpoint="latest"))
    with pytest.raises(DataError, match=r"must be a checkpoint of a run, but .* has no trainer_state.json"):
        train(tiny_run(dataset, tmp_path, resume_from_checkpoint=str(tmp_path)))


def test_a_checkpoint_remembers_how_its_questions_were_put_and_evaluations_that_differ_are_said(tmp_path, caplog):
    make_world(tmp_path / "world", "toy_train")
    made = {}
    for frames, more in ((4, "data.discrete_progress=true"), (8, "data.discrete_progress=false")):
        where = (f"data.datasets_root={tmp_path / 'world'}", "data.train_datasets=[toy_train]")
        overrides = (*where, f"data.max_frames={frames}", more, "data.sample_type_ratio=[0.5,0.5,0]")
        made[frames] = generate(
            GenerateOptions(output_path=str(tmp_path / f"vqa_{frames}"), num_samples=20, config_overrides=overrides)
        )
    options = tiny_run(made[4], tmp_path / "run", max_steps=1, eval_dataset_path=str(made[8]), eval_steps=1)
    final = train(options)
    asked = {"max_frames": 4, "frame_choice": "evenly_spaced", "prompt_version": 1, "discrete_progress": True}
    assert InputFormat.load(final) == InputFormat(32, 32, **asked)
    said = [record.getMessage() for record in caplog.records if "worth less" in record.getMessage()]
    assert said == [
        f"`eval_dataset_path` {made[8]}: the checkpoint was trained on up to 4 frames a clip and is shown up to 8 "
        "frames, was trained on scores from 1 to 5 and is asked for 0 to 100: its answers are worth less; generate "
        "with data.max_frames=4; generate with data.discrete_progress=true"
    ]
    caplog.clear()
    train(dataclasses.replace(options, eval_dataset_path=str(made[4]), overwrite_output_dir=True))
    assert "worth less" not in caplog.text


def test_a_loss_that_is_no_number_stops_the_run(dataset, tmp_path):
    with pytest.raises(
        RfmError, match=r"`(loss|grad_norm)` must be finite, but is (nan|inf) at step \d+; lower --learning_rate"
    ):
        train(tiny_run(dataset, tmp_path, learning_rate=1e30, max_grad_norm=1e30, max_steps=10, warmup_ratio=0.0))


def test_frame_size_comes_from_the_overrides(dataset, tmp_path):
    form = input_format(tiny_run(dataset, tmp_path))
    assert (form.resized_height, form.resized_width, form.resize_filter) == (32, 32, "box")
    size = ("data.resized_height=64", "data.resized_width=48")
    form = input_format(tiny_run(dataset, tmp_path, config_overrides=size))
    assert (form.resized_height, form.resized_width) == (64, 48)
    form = input_format(tiny_run(dataset, tmp_path, config_overrides=("data.max_pixels=2304",)))
    assert (form.resized_height, form.min_pixels, form.max_pixels) == (None, None, 2304)
    assert input_format(tiny_run(dataset, tmp_path, model_name="Qwen/Qwen3-VL-4B-Instruct")).resized_height is None


def test_the_command_of_the_specification_becomes_stock_arguments(dataset, tmp_path):
    made = tiny_run(dataset, tmp_path, eval_strategy="steps", max_steps=-1)
    arguments = training_arguments(made, evaluates=False)
    assert arguments.eval_strategy == "no"
    assert arguments.warmup_steps == 0.1
    assert arguments.remove_unused_columns is False
    assert training_arguments(made, evaluates=True).eval_strategy == "steps"
    assert training_arguments(dataclasses.replace(made, bf16=True), evaluates=False).bf16 is True
    assert weights_dtype(dataclasses.replace(made, model_dtype="bfloat16")) == torch.bfloat16


def test_colours_jitter_in_training_and_not_in_its_evaluation(dataset, tmp_path):
    jitter = {"config_overrides": ("data.colour_jitter=0.9",)}
    evaluated = {"eval_dataset_path": str(dataset), "eval_strategy": "steps", "eval_steps": 1, "learning_rate": 1e-12}
    plain, jittery = (
        train(tiny_run(dataset, tmp_path / name, max_steps=2, **evaluated, **more)).parent
        for name, more in (("plain", {}), ("jittery", jitter))
    )
    assert losses(plain) != losses(jittery)
    state = [TrainerState.load_from_json(str(folder / "trainer_state.json")) for folder in (plain, jittery)]
    one, other = ([entry["eval_loss"] for entry in s.log_history if "eval_loss" in entry] for s in state)
    assert one == pytest.approx(other, abs=1e-6)
