import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretended_gpu import pretended_gpu
from tiny_batches import fake_rows, tiny_collator
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import decoding
import train_step
from kept_results import KeptResults, Limit
from random_model import qwen3_vl_4b
from train_step_flops import RowSize, row_flops
from train_step_run import measure
from transformers import Qwen3VLForConditionalGeneration

from rfm.model.kernels.attention import use_packed_segments
from rfm.model.load import load_model
from rfm.model.lora import add_lora
from rfm.model.tiny_tokenizer import build_tokenizer

torch.set_num_threads(1)

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


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
        assert all(seconds >= 0 for seconds in result["parts"].values())
    assert [*ours["parts"]] == ["rows", "model", "first loss", "steps", "memory of 4 rows"]
    assert [*stock["parts"]] == ["rows", "model", "first loss", "steps"]
    report = {"machine": "m", "torch": "t", "transformers": "f", "peft": "p", "matrix_rate": 1e12, "seconds": 1.0}
    report["results"] = [ours, stock]
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
    result = train_step.attempt(setting, 0.01, Limit(None))
    assert result["error"] == "no result after 0.01 s"
    assert train_step.line(result).startswith("| full | stock | no result after 0.01 s |")
    result = train_step.attempt(setting, 60, Limit(0.01))
    assert result["error"] == "not measured: the limit of 0.01 s is over"


def test_what_a_failed_process_said_is_shown(tmp_path, capfd):
    (setting,) = small(tmp_path, "--strategies", "full", "--paths", "ours")
    result = train_step.attempt(replace(setting, optim="none"), 120, Limit(None))
    assert result["error"].startswith("rfm.errors.ConfigError: `optim` must be one of ")
    assert "Traceback" in capfd.readouterr().err


def test_the_first_strategy_is_the_one_that_is_looked_at_first(tmp_path):
    asked = [(setting.strategy, setting.path) for setting in train_step.settings(train_step.parse([]), str(tmp_path))]
    assert asked[:4] == [("lora_frozen", "ours"), ("lora_frozen", "stock"), ("lora", "ours"), ("lora", "stock")]
    assert [strategy for strategy, _ in asked[4::2]] == ["full", "frozen", "lora_frozen_4bit"]


def test_the_command_goes_on_where_its_limit_stopped_it(tmp_path, monkeypatch, capsys):
    command = ["train_step.py", "--preset", "small", "--strategies", "lora_frozen", "lora", "--paths", "ours"]
    command += ["--steps", "1", "--packing", "600", "--output", str(tmp_path / "out")]
    (first, _) = train_step.settings(train_step.parse(command[1:]), "")
    asked = {name: value for name, value in vars(first).items() if name != "folder"}
    figures = {**asked, "rows_per_second": 2.5, "tokens_per_second": 250.0, "optimizer": "adamw", "loss": 6.0}
    KeptResults(tmp_path / "out.jsonl", train_step.where()).add(asked, figures)
    monkeypatch.setattr(sys, "argv", [*command, "--limit", "0"])
    train_step.main()
    said = capsys.readouterr().out
    assert f"as in {tmp_path / 'out.jsonl'}" in said
    table = (tmp_path / "out.md").read_text()
    assert "| lora_frozen | ours | 2.50 | 250 |" in table
    assert "| lora | ours | not measured: the limit of 0 s is over |" in table
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2
    monkeypatch.setattr(sys, "argv", [*command, "--limit", "200"])
    train_step.main()
    said = capsys.readouterr().out
    assert " s: start and end " in said
    assert ", memory of 4 rows " in said
    assert "| lora | ours | not measured" not in (tmp_path / "out.md").read_text()
    (_, rate, measured) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert measured["setting"]["strategy"] == "lora"
    figures = measured["result"]
    assert figures["share"] * rate["result"]["operations_per_second"] == pytest.approx(
        1e12 * figures["tflops_per_second"]
    )


def test_both_paths_are_measured_on_a_gpu_that_is_pretended(tmp_path):
    with pretended_gpu():
        ours, stock = (measure(setting) for setting in small(tmp_path, "--strategies", "lora_frozen"))
    assert (ours["optimizer"], stock["optimizer"]) == ("adamw, masters", "AdamW, no masters")
    assert ours["checkpointing"]  # the card has less than 100 GB
    assert ours["loss"] == pytest.approx(stock["loss"], abs=0.05)  # both in bfloat16, by other kernels
    assert min(ours["rows_per_second"], stock["rows_per_second"]) > 0


def commands(part: str, out: Path, **variables: str) -> list[list[str]]:
    """What the script would run, as the words behind the interpreter."""
    environment = {**os.environ, "PYTHON": "echo", **variables}
    said = subprocess.run([BENCHMARKS / "on_gpu.sh", part, out], env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert (out / "log").read_text() == said.stdout
    *lines, last = said.stdout.splitlines()
    assert last.startswith(f"{part}: ")
    return [line.split() for line in lines]


def test_the_script_for_a_gpu_asks_for_what_the_benchmarks_take(tmp_path):
    tests, first = commands("first", tmp_path / "a")
    assert (BENCHMARKS.parent / tests[-1]).is_file()
    steps, answers = commands("rest", tmp_path / "b", PRESET="small", LIMIT="70")
    (four_bit,) = commands("four_bit", tmp_path / "c")
    assert all(words[0] == "benchmarks/train_step.py" for words in (first, steps, four_bit))
    first, steps, four_bit = (train_step.parse(words[1:]) for words in (first, steps, four_bit))
    assert (first.preset, first.strategies, first.limit) == ("4b", ["lora_frozen"], 120)
    assert (steps.preset, steps.strategies, steps.limit) == ("small", ["lora_frozen", "lora", "full", "frozen"], 70)
    assert (first.steps, first.packing, first.optim) == (steps.steps, steps.packing, steps.optim)  # else measured again
    assert four_bit.strategies == ["lora_frozen_4bit"]
    assert answers[0] == "benchmarks/decoding.py"
    assert decoding.parse(answers[1:]).limit == 90


def test_the_script_for_a_gpu_names_its_parts(tmp_path):
    said = subprocess.run([BENCHMARKS / "on_gpu.sh", "all", tmp_path], capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert said.stderr == "the part must be first, rest or four_bit, but is all\n"


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
