import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_batches import fake_rows, tiny_collator
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import train_step
from train_step_flops import RowSize, row_flops
from train_step_run import measure, qwen3_vl_4b
from transformers import Qwen3VLForConditionalGeneration

from rfm.model.kernels.attention import use_packed_segments
from rfm.model.load import load_model
from rfm.model.lora import add_lora
from rfm.model.tiny_tokenizer import build_tokenizer

torch.set_num_threads(1)


def small(folder, *arguments):
    options = train_step.parse(["--preset", "small", "--steps", "1", *arguments])
    return [replace(setting, max_tokens=600) for setting in train_step.settings(options, str(folder))]


@pytest.mark.parametrize("strategy", ["full", "lora_frozen_4bit"])
def test_both_paths_start_from_the_same_loss_and_are_measured(tmp_path, strategy):
    if strategy.endswith("4bit"):
        pytest.importorskip("bitsandbytes", reason="4-bit weights need bitsandbytes, of the extra `quantization`")
    ours, stock = (measure(setting) for setting in small(tmp_path, "--strategies", strategy))
    assert ours["loss"] == pytest.approx(stock["loss"], abs=1e-4)
    assert (ours["path"], stock["path"]) == ("ours", "stock")
    assert stock["rows"] == 2 * 16  # two steps of the specification's 4 x 4 rows
    assert ours["rows"] >= 2
    for result in (ours, stock):
        assert result["tokens_per_second"] > 100 * result["rows_per_second"] > 0
        assert 0 <= result["wait_share"] < 1
    report = {"machine": "m", "torch": "t", "matrix_rate": 1e12, "seconds": 1.0, "results": [ours, stock]}
    for result in report["results"]:
        result["share"] = 0.5
    text = train_step.table(json.loads(json.dumps(report)))
    assert f"| {strategy} | ours |" in text
    assert "times the stock path (AdamW, no masters); losses differ by" in text


def test_the_large_preset_is_a_model_of_four_billion_parameters():
    config = qwen3_vl_4b(build_tokenizer())
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(4.44e9, rel=0.002)
    row = RowSize(tokens=900, visual=784, answer=6, patches=3136, patches_a_segment=196)
    lora, full = (row_flops(config, row, lora=lora, frozen=lora) / 1e12 for lora in (True, False))
    assert 15 < lora < 18
    assert 25 < full < 30


def test_the_large_preset_wants_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["train_step.py"])
    with pytest.raises(SystemExit, match="--preset 4b must run on a GPU, but torch finds none; take --preset small"):
        train_step.main()


def test_a_run_that_fails_is_a_row_of_the_table(tmp_path):
    (setting,) = small(tmp_path, "--strategies", "full", "--paths", "stock")
    result = train_step.attempt(setting, minutes=1e-4)
    assert result["error"] == "no result after 0.0001 minutes"
    assert train_step.line(result).startswith("| full | stock | no result after")


@pytest.mark.parametrize("strategy", [{}, {"lora": True}, {"lora": True, "frozen": True}])
def test_operations_are_those_that_torch_counts(tmp_path, strategy):
    loaded = load_model("tiny", seed=1)
    model = loaded.model
    if strategy:
        model = add_lora(model, rank=1, alpha=2, tower=not strategy.get("frozen", False))
    use_packed_segments(model)
    rows = fake_rows(tmp_path, 1)
    batch = tiny_collator(tmp_path, loaded.tokenizer, packed=True)(rows)
    with FlopCounterMode(display=False) as counter:
        model(**batch).loss.backward()
    size = RowSize(batch["input_ids"].numel(), 16, batch["labels"].numel(), len(batch["pixel_values_videos"]), 16)
    assert (batch["input_ids"] == loaded.model.config.video_token_id).sum() == size.visual
    ours = row_flops(loaded.model.config, size, lora=strategy.get("lora", False), frozen=strategy.get("frozen", False))
    assert ours == pytest.approx(counter.get_total_flops(), rel=0.12)
