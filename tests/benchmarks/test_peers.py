"""`benchmarks/peers.py` on our own side: what is exported and measured, and what its table says of failures."""

import json
import math
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import peers  # noqa: E402
import peers_answers  # noqa: E402
import peers_probe  # noqa: E402
import peers_run  # noqa: E402
import torch  # noqa: E402
from peers_environments import NotInstalled  # noqa: E402
from transformers import Trainer  # noqa: E402


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return peers.material(tmp_path_factory.mktemp("peers"), "tiny", 4)


@pytest.fixture(scope="module")
def run(material, tmp_path_factory):
    model, rows, _ = material
    output = tmp_path_factory.mktemp("run")
    train = Trainer.train
    asked = {"batch": 1, "accumulation": 4, "steps": 2, "experiments": True}
    try:
        return peers_run.trained(peers_run.Request("ours", str(model), str(rows), str(output), **asked))
    finally:
        Trainer.train = train


def test_each_peer_is_given_the_same_questions(material):
    _, _, exported = material
    asked = []
    for name in ("llamafactory", "ms-swift"):
        rows = [json.loads(line) for line in (exported[name] / "rows.jsonl").read_text().splitlines()]
        asked.append([[turn["content"] for turn in row["messages"]] for row in rows])
    rows = [json.loads(line) for line in (exported["trl"] / "metadata.jsonl").read_text().splitlines()]
    words = [[row["prompt"][0]["content"][-1]["text"], row["completion"][0]["content"][0]["text"]] for row in rows]
    assert asked[0] == asked[1] == [[f"<video>{prompt}", answer] for prompt, answer in words]
    assert [answer for _, answer in words] == ["ANS: 42", "ANS: 100", "ANS: 5", "ANS: 5"]


def test_our_first_loss_is_that_of_stock_code_on_each_row_alone(run, material):
    seen = run["rows_seen"]
    every = [loss for row in seen for loss in row["losses"]]
    assert run["logged_loss"] == pytest.approx(sum(every) / len(every), rel=1e-5)
    assert run["loss"] == run["answer_loss"]
    assert run["labels"] == ["ANS: 100<|im_end|>", "ANS: 42<|im_end|>", "ANS: 5<|im_end|>"]


def test_of_our_trainer_the_experiments_say_what_it_promises(run):
    assert peers.last_frame(run["rows_seen"]).startswith("seen, losses differ by ")
    tokens = run["batch_tokens"]
    assert sorted(tokens) == [5, 5, 6, 7]
    assert run["weights"] == pytest.approx([count / 23 for count in tokens], abs=1e-3)
    assert peers._question_cells({"who": "ours", **run})[-1] == "yes"
    assert peers._question_cells({"who": "ours", **run, "weights": [0.25] * 4})[-1] == "no"
    assert run["rows"] == 4  # of the second step alone
    assert min(run["rows_per_second"], run["rows_per_processor_second"], run["peak_gb"]) > 0


def test_a_frame_that_is_not_seen_is_found_out():
    alike = [{"text": "a", "losses": [1.0, 2.0]}, {"text": "b", "losses": [3.0]}, {"text": "a", "losses": [1.0, 2.0]}]
    assert peers.last_frame(alike) == "not seen"


def test_averaged_batches_are_told_from_equal_tokens():
    """A gradient put together of two means in known shares is taken apart again."""

    class Line(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3))

        def forward(self, at, labels):
            return type("Output", (), {"loss": (self.weight * at).sum() ** 2})

    model, batches = Line(), [{"at": torch.eye(3)[0], "labels": None}, {"at": torch.eye(3)[1], "labels": None}]
    model.weight.grad = torch.tensor([2 * 0.7, 2 * 0.3, 0.0])
    before = model.weight.grad.clone()
    assert peers_probe._weights(model, batches) == pytest.approx([0.7, 0.3])
    assert torch.equal(model.weight.grad, before)


def test_our_answers_are_timed(material):
    model, rows, _ = material
    result = peers_answers.answered(peers_answers.Request("ours", str(model), str(rows), batch=2))
    assert (result["rows"], len(result["texts"])) == (4, 4)
    assert result["rows_per_processor_second"] > 0


def test_letters_cut_off_at_the_end_are_no_difference():
    assert peers.same("ab\ufffd", "ab")
    assert not peers.same("a\ufffdb", "ab")
    assert not peers.same("ab", "a")


def test_a_peer_that_is_not_there_is_a_row_with_its_reason(tmp_path, monkeypatch, capsys):
    def none(folder, name):
        raise NotInstalled(f"no release of {name}")

    monkeypatch.setattr(peers, "environment", none)
    monkeypatch.setattr(peers, "STEP_ROWS", 4)
    monkeypatch.setattr(peers, "TRAINERS", ("trl",))
    monkeypatch.setattr(
        sys, "argv", ["peers.py", "--size", "tiny", "--parts", "training", "--rounds", "1", "--work", str(tmp_path)]
    )
    peers.main()
    assert "| trl | can't be installed: no release of trl |" in (tmp_path / "report.md").read_text()
    assert "| trl | can't be installed" in capsys.readouterr().out


def test_of_a_log_the_exception_is_the_reason():
    lines = ["Traceback:", "IndexError: of [73]", "  0%| 0/2", ""]
    assert peers.fault(lines) == "IndexError: of [73]"
    assert peers.fault(["loading", "killed", ""]) == "killed"
    assert peers.fault([]) == ""


def test_the_table_sets_each_trainer_beside_ours_with_frames_in_its_form():
    def run(who, rate, loss):
        return {
            "who": who, "rows_per_processor_second": rate, "rows_per_second": rate, "peak_gb": 1.0, "tokens_a_row": 9.0,
            "logged_loss": loss, "answer_loss": loss, "releases": {"torch": "2", "transformers": "5"},
        }  # fmt: skip

    lines = peers.training_table([run("ours", 2.0, 3.0), run("ours, images", 4.0, 3.5), run("trl", 2.0, 3.5)])
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    assert [(row[0], row[2], row[8]) for row in cells] == [
        ("ours", "1.00", "+0.0e+00"), ("ours, images", "1.00", "+0.0e+00"), ("trl", "0.50", "+0.0e+00"),
    ]  # fmt: skip
    assert not math.isnan(float(cells[2][7]))
