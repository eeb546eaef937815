"""The command on every kind of checkpoint that this machine can make: the class comes from the configuration."""

import json

import numpy as np
import pytest
import torch
from checkpoints import random_checkpoint
from transformers import AutoConfig
from vqa_fakes import fake_dataset

from rfm.batch.input_format import InputFormat
from rfm.cli import run_command
from rfm.model.load import load_model
from rfm.model.lora import add_lora
from rfm.model.quantization import is_quantized


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    fake_dataset(folder, 6)
    random_checkpoint(folder / "full" / "final")
    loaded = load_model(folder / "full" / "final")
    model = add_lora(loaded.model, rank=2, alpha=4, tower=False)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at first: an adapter that changes nothing would prove nothing
            parameter.data.normal_(0, 0.5, generator=generator)
    (folder / "adapter").mkdir()
    model.save_pretrained(str(folder / "adapter" / "final"))
    loaded.save_processor(folder / "adapter" / "final", InputFormat(32, 32))
    merged = model.merge_and_unload()
    merged.save_pretrained(str(folder / "merged"))
    loaded.save_processor(folder / "merged", InputFormat(32, 32))
    return folder


def evaluate(place, model, tmp_path, *flags):
    output = tmp_path / f"{len(list(tmp_path.glob('*.json')))}.json"
    words = ["--model_path", model, "--dataset_path", place / "vqa_0", "--output_path", output, "--save_predictions"]
    words += ["--decoding", "scored", "--batch_size", "3", *flags]
    assert run_command(("evaluate",), [str(word) for word in words], "rfm evaluate") == 0
    results = json.loads(output.read_text())
    return results, [np.array(one["probabilities"]) for one in results["predictions"]]


def test_full_adapter_and_merged_checkpoints(place, tmp_path):
    _, full = evaluate(place, place / "full" / "final", tmp_path, "--device", "cpu")
    results, adapter = evaluate(place, place / "adapter" / "final", tmp_path, "--device", "cpu")
    _, merged = evaluate(place, place / "merged", tmp_path, "--device", "cpu")
    assert results["preference"]["count"] + results["progress"]["count"] == 6
    for one, other in zip(adapter, merged, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert any(np.abs(one - other).max() > 1e-3 for one, other in zip(full, adapter, strict=True))
    assert "calibration" in results


def test_an_adapter_on_4_bit_weights(place, tmp_path):
    pytest.importorskip("bitsandbytes", reason="4-bit weights need bitsandbytes, of the extra `quantization`")
    words = ["--dataset_path", place / "vqa_0", "--model_name", "tiny-64", "--quantization", "--max_steps", "1"]
    words += ["--output_dir", tmp_path, "--save_steps", "1", "--report_to", "none", "--dataloader_num_workers", "0"]
    assert run_command(("train",), [str(word) for word in words], "rfm train") == 0
    results, probabilities = evaluate(place, tmp_path / "final", tmp_path, "--device", "cpu")
    assert results["preference"]["count"] + results["progress"]["count"] == len(probabilities) == 6
    assert [one.sum() for one in probabilities] == pytest.approx([1] * 6)
    for name in ("final", "checkpoint-1"):
        assert is_quantized(load_model(tmp_path / name).model), "on full weights it would be another model"


def test_tiny_by_name_and_a_gpu_that_is_not_there(place, tmp_path, caplog):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    results, _ = evaluate(place, "tiny", tmp_path, "--device", "cuda")
    assert results["model_path"] == "tiny"
    assert "`device` is cuda, but torch finds no CUDA GPU here: answering on the CPU" in caplog.text


def test_the_class_is_that_of_the_configuration(place):
    wanted = AutoConfig.from_pretrained(str(place / "merged")).architectures
    assert [type(load_model(place / "merged").model).__name__] == wanted
