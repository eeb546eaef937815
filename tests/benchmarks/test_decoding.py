import json
import sys
from pathlib import Path

import pytest
import torch
from pretended_gpu import pretended_gpu

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import decoding
import decoding_of_size
from decoding_of_size import Setting, measure, random_predictor
from kept_results import Limit

torch.set_num_threads(1)


def test_scored_beside_greedy_and_on_where_the_limit_stopped_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(decoding_of_size, "BATCHES", (1, 8))
    command = ["decoding.py", "--preset", "small", "--rounds", "1", "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*command, "--limit", "0"])
    decoding.main()
    assert "| preference | 1 | not measured: the limit of 0 s is over |" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", command)
    decoding.main()
    results = [json.loads(line)["result"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    asked = [(result["kind"], result["batch"], result["rows"]) for result in results]
    assert asked == [("preference", 1, 8), ("progress", 1, 8), ("preference", 8, 8), ("progress", 8, 8)]
    for result in results:
        assert result["times"] == pytest.approx(result["greedy_ms"] / result["scored_ms"])
        assert result["scored_ms"] > 0
        assert result["new_tokens"] <= {"preference": 5, "progress": 6}[result["kind"]]
    said = capsys.readouterr().out
    assert (tmp_path / "out.md").read_text() in said
    decoding.main()  # nothing is measured again
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    assert capsys.readouterr().out.splitlines()[1:] == said.splitlines()[1:]


def test_on_a_gpu_that_is_pretended(tmp_path):
    with pretended_gpu():
        result = measure(Setting("small", "progress", 8, 1), random_predictor("small", tmp_path), Limit(None))
    assert result["greedy_ms"] > 0
    assert result["new_tokens"] <= 6


def test_the_large_preset_wants_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["decoding.py", "--preset", "4b"])
    with pytest.raises(SystemExit, match="--preset 4b must run on a GPU, but torch finds none; take --preset small"):
        decoding.main()


def test_no_round_is_no_figure(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["decoding.py", "--preset", "small", "--rounds", "0"])
    with pytest.raises(SystemExit, match="--rounds must be at least 1, but is 0"):
        decoding.main()
