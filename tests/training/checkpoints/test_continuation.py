import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from runs import losses, tiny_run
from vqa_fakes import fake_dataset, progress_row, write_dataset, write_frames

from rfm.errors import ConfigError
from rfm.training.checkpoints import continuation
from rfm.training.run import train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 8, episodes=4)


@pytest.fixture(scope="module")
def begun(dataset, tmp_path_factory):
    options = tiny_run(dataset, tmp_path_factory.mktemp("run"), max_steps=2, save_steps=1, lora_rank=4)
    train(options)
    return dataclasses.replace(options, resume_from_checkpoint="latest")


@pytest.mark.parametrize(
    ("changes", "was", "now"),
    [
        ({"lora_rank": 8}, "4", "8"),
        ({"lora_rank": 0}, "4", "0"),
        ({"lora_alpha": 8}, "32", "8"),
        ({"freeze_vision_tower": True}, "False", "True"),
        ({"model_dtype": "bfloat16"}, "float32", "bfloat16"),
        ({"optim": "adamw_8bit"}, "adamw", "adamw_8bit"),
        ({"learning_rate": 1e-4}, "0.003", "0.0001"),
        ({"weight_decay": 0.5}, "0.05", "0.5"),
        ({"use_multi_image": True}, "False", "True"),
    ],
)
def test_what_a_run_began_with_stays(begun, changes, was, now):
    with pytest.raises(ConfigError) as fault:
        train(dataclasses.replace(begun, max_steps=3, **changes))
    (name,) = changes
    assert str(fault.value) == (
        f"`{name}` must be {was} to go on with {begun.output_dir}/checkpoint-2, which was written with that, but is "
        f"{now}; pass it as it was, or start a new run without --resume_from_checkpoint"
    )


SIZE = ("data.resized_height=64", "data.resized_width=64")


@pytest.mark.parametrize(
    ("overrides", "faults"),
    [
        (SIZE, {"data.resized_height": ("32", "64"), "data.resized_width": ("32", "64")}),
        (
            ("data.max_pixels=2304",),
            {
                "data.resized_height": ("32", "null"),
                "data.resized_width": ("32", "null"),
                "data.max_pixels": ("null", "2304"),
            },
        ),
        (("data.resize_filter=bicubic",), {"data.resize_filter": ("box", "bicubic")}),
        (("data.colour_jitter=0.3",), {"data.colour_jitter": ("0.0", "0.3")}),
    ],
)
def test_frames_stay_as_a_run_began_with_them(begun, overrides, faults):
    with pytest.raises(ConfigError) as fault:
        train(dataclasses.replace(begun, max_steps=3, config_overrides=overrides))
    assert str(fault.value).splitlines() == [
        f"`{name}` must be {was} to go on with {begun.output_dir}/checkpoint-2, which was written with that, but is "
        f"{now}; pass it as it was, or start a new run without --resume_from_checkpoint"
        for name, (was, now) in faults.items()
    ]


def test_forgetting_the_size_that_a_run_began_with_is_an_error(dataset, tmp_path):
    begun = tiny_run(dataset, tmp_path, max_steps=1, config_overrides=(*SIZE, "data.colour_jitter=0.3"))
    train(begun)
    goes_on = dataclasses.replace(begun, max_steps=2, resume_from_checkpoint="latest")
    with pytest.raises(ConfigError) as fault:
        train(dataclasses.replace(goes_on, config_overrides=()))
    assert [line.split(" to go on")[0] for line in str(fault.value).splitlines()] == [
        "`data.resized_height` must be 64", "`data.resized_width` must be 64", "`data.colour_jitter` must be 0.3",
    ]  # fmt: skip
    train(goes_on)
    assert json.loads((tmp_path / "final" / "rfm_config.json").read_text())["resized_height"] == 64


def test_going_on_with_rows_of_another_number_of_frames_is_said(begun, tmp_path, caplog):
    paths, rng = write_frames(tmp_path / "root", 2), np.random.default_rng(0)
    rows = [{**progress_row(paths, rng), "frame_indices": list(range(0, 16, 2))} for _ in range(4)]
    other = write_dataset(tmp_path / "vqa", tmp_path / "root", rows)
    folder = tmp_path / "run"
    first = dataclasses.replace(begun, output_dir=str(folder), max_steps=1, resume_from_checkpoint=None)
    train(first)
    train(dataclasses.replace(first, max_steps=2, dataset_path=str(other), resume_from_checkpoint="latest"))
    assert "the checkpoint was trained on up to 4 frames a clip and is shown up to 8 frames" in caplog.text


def test_every_change_is_named_at_once(begun):
    with pytest.raises(ConfigError) as fault:
        train(dataclasses.replace(begun, optim="adamw_8bit", adam_beta2=0.99, lora_rank=2))
    assert [line.split("`")[1] for line in str(fault.value).splitlines()] == ["lora_rank", "optim", "adam_beta2"]


def test_what_may_change_is_taken_and_said(begun, tmp_path, caplog):
    rows = fake_dataset(tmp_path / "other", 12, episodes=4)
    folder = tmp_path / "run"
    first = dataclasses.replace(begun, output_dir=str(folder), max_steps=1, resume_from_checkpoint=None)
    train(first)
    with caplog.at_level(logging.WARNING, continuation.__name__):
        train(
            dataclasses.replace(
                first, dataset_path=str(rows), max_steps=2, per_device_train_batch_size=2, seed=7,
                lr_scheduler_type="constant", resume_from_checkpoint=str(folder / "checkpoint-1"),
            )
        )  # fmt: skip
    assert len(losses(folder)) == 2
    said = [record.getMessage() for record in caplog.records if record.name == continuation.__name__]
    assert said == [
        f"`seed` is 7, but was 42 when {folder}/checkpoint-1 was written",
        f"a step has 2 rows a process, but had 4 when {folder}/checkpoint-1 was written: rows of this epoch come twice "
        "or not at all",
        f"`dataset_path` {rows} has other rows than {folder}/checkpoint-1 was trained on",
    ]


def test_checkpoints_say_what_was_left_to_the_run(begun):
    stored = json.loads((Path(begun.output_dir) / "checkpoint-1" / "training_options.json").read_text())
    assert (stored["model_dtype"], stored["lora_rank"], stored["optim"]) == ("float32", 4, "adamw")
    assert set(continuation.FIXED) <= set(stored)
