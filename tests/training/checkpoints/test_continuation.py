import dataclasses
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from runs import losses, tiny_run
from vqa_fakes import fake_dataset, progress_row, write_dataset, write_frames

from rfm.errors import ConfigError, DataError
from rfm.files import seal
from rfm.model.weights.fingerprint import folder_fingerprint
from rfm.training.checkpoints import continuation
from rfm.training.checkpoints.output_dir import resume_point
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
        ({"lora_projector": "full"}, "lora", "full"),
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


@pytest.mark.parametrize("rank", [0, 4])
def test_a_run_that_is_gone_on_with_saves_the_same_bytes(dataset, tmp_path, rank):
    whole = tiny_run(dataset, tmp_path / "whole", max_steps=2, save_steps=1, lora_rank=rank)
    in_one_go = train(whole)
    cut = dataclasses.replace(whole, output_dir=str(tmp_path / "cut"), max_steps=1)
    train(cut)
    gone_on = train(dataclasses.replace(cut, max_steps=2, resume_from_checkpoint="latest"))
    own = {"README.md", "training_args.bin", "training_options.json", seal.FILE_NAME, "adapter_config.json"}
    """Of the run and its folder, which the base of an adapter lies in as well."""
    names = sorted(path.name for path in in_one_go.iterdir())
    assert names == sorted(path.name for path in gone_on.iterdir())
    changed = [name for name in names if (in_one_go / name).read_bytes() != (gone_on / name).read_bytes()]
    assert set(changed) <= own
    assert rank or folder_fingerprint(in_one_go) == folder_fingerprint(gone_on)


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "config.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_checkpoint_is_not_gone_on_with(dataset, begun_in_full, tmp_path, name, damage):
    folder = tmp_path / "run"
    shutil.copytree(begun_in_full.output_dir, folder)
    file = folder / "checkpoint-2" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content if damage == "flipped" else content[:-1])
    if damage == "gone":
        file.unlink()
    options = dataclasses.replace(begun_in_full, output_dir=str(folder), max_steps=3)
    fault = {
        "flipped": f"{name} has other bytes than checkpoint_files.json says",
        "cut": rf"{name} must have {len(content)} bytes, but has {len(content) - 1}",
        "gone": f"({name} is missing|has no trainer_state.json)",
    }[damage]
    with pytest.raises(DataError, match=fault):
        train(dataclasses.replace(options, resume_from_checkpoint=str(folder / "checkpoint-2")))


def test_the_latest_is_the_newest_that_is_whole(begun_in_full, tmp_path, caplog):
    folder = tmp_path / "run"
    shutil.copytree(begun_in_full.output_dir, folder)
    file = folder / "checkpoint-2" / "optimizer.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
    assert resume_point(dataclasses.replace(begun_in_full, output_dir=str(folder))) == folder / "checkpoint-1"
    assert "checkpoint-2 is passed over, it is not whole: optimizer.pt has other bytes than" in caplog.text


@pytest.fixture(scope="module")
def begun_in_full(dataset, tmp_path_factory):
    options = tiny_run(dataset, tmp_path_factory.mktemp("full"), max_steps=2, save_steps=1)
    train(options)
    return dataclasses.replace(options, resume_from_checkpoint="latest")
