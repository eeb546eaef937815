"""`config.json` is read by transformers 4.57 and 5 alike; the first one for real where an environment has it."""

import json
import os
import subprocess
from pathlib import Path

import older_transformers
import pytest
import torch
from checkpoints import random_checkpoint
from safetensors.torch import load_file, save_file
from tiny_qwen2_5 import build_tiny_qwen2_5
from transformers import AutoConfig

from rfm.model.load import load_model
from rfm.model.stock.config_file import settle_configs

OTHER = "RFM_OTHER_TRANSFORMERS"
"""Names the Python of an environment with another transformers, torch and safetensors."""


@pytest.fixture(scope="module", params=["qwen3_vl", "qwen2_5_vl"])
def checkpoint(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "qwen3_vl":
        return random_checkpoint(folder)
    tokenizer = load_model("tiny").tokenizer
    model = build_tiny_qwen2_5(tokenizer)
    model.config._name_or_path = ""
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    settle_configs(folder)
    return folder


def inputs(folder: Path, path: Path) -> Path:
    """Write the inputs of one image of 4 x 4 patches between words."""
    config = AutoConfig.from_pretrained(str(folder))
    vision = config.vision_config
    width = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    ids = torch.tensor([[5, 6, 7, *[config.image_token_id] * 4, 8, 9, 10, 11]])
    tensors = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(16, width, generator=torch.Generator().manual_seed(0)),
        "image_grid_thw": torch.tensor([[1, 4, 4]]),
        "position_ids": torch.arange(ids.shape[1]).expand(3, 1, -1).contiguous(),
    }
    save_file(tensors, path)
    return path


def test_both_forms_of_the_rotary_settings_stand_side_by_side(checkpoint):
    text = json.loads((checkpoint / "config.json").read_text())["text_config"]
    assert text["rope_theta"] == text["rope_parameters"]["rope_theta"]
    assert text["rope_scaling"] == {k: v for k, v in text["rope_parameters"].items() if k != "rope_theta"}
    before = (checkpoint / "config.json").read_bytes()
    settle_configs(checkpoint)
    assert (checkpoint / "config.json").read_bytes() == before


def test_this_version_reads_the_same_with_and_without_them(checkpoint, tmp_path):
    given = inputs(checkpoint, tmp_path / "inputs")
    older_transformers.main(str(checkpoint), str(given), str(tmp_path / "with"))
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in checkpoint.iterdir():
        (plain / path.name).write_bytes(path.read_bytes())
    config = json.loads((plain / "config.json").read_text())
    del config["text_config"]["rope_theta"], config["text_config"]["rope_scaling"]
    (plain / "config.json").write_text(json.dumps(config))
    older_transformers.main(str(plain), str(given), str(tmp_path / "without"))
    one, other = (load_file(tmp_path / name)["logits"] for name in ("with", "without"))
    assert torch.equal(one, other)
    assert one.abs().max() > 0.1


def test_another_version_gives_the_same_logits(checkpoint, tmp_path):
    python = os.environ.get(OTHER)
    if python is None:
        pytest.skip(f"{OTHER} names no Python with another transformers")
    given = inputs(checkpoint, tmp_path / "inputs")
    older_transformers.main(str(checkpoint), str(given), str(tmp_path / "ours"))
    command = [python, older_transformers.__file__, str(checkpoint), str(given), str(tmp_path / "theirs")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": ""})
    ours, theirs = (load_file(tmp_path / name) for name in ("ours", "theirs"))
    assert ours["ids"].tolist() == theirs["ids"].tolist()
    assert (ours["logits"] - theirs["logits"]).abs().max() < 1e-5 * ours["logits"].abs().max()
