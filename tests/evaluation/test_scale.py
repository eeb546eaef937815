"""The whole command in several processes, killed, with every decoding and with a server."""

import json
import signal
from pathlib import Path

import kills
import pytest
from checkpoints import random_checkpoint
from forked import started, together
from vqa_fakes import fake_dataset

from rfm.cli import run_command
from rfm.errors import ConfigError
from rfm.evaluation.options import EvaluateOptions
from rfm.inference.predictor import Predictor

ROWS = 21


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), ROWS, episodes=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return random_checkpoint(tmp_path_factory.mktemp("model") / "final")


@pytest.fixture
def command(dataset, model, tmp_path):
    """The words of a command that writes into a folder of the test's own."""

    def words(name, *flags):
        paths = ("--model_path", model, "--dataset_path", dataset, "--output_path", tmp_path / name, "--overwrite")
        return [*map(str, paths), "--device", "cpu", "--batch_size", "4", "--save_predictions", *flags]

    return words


def results(words):
    assert run_command(("evaluate",), words, "rfm evaluate") == 0
    return json.loads(output(words).read_text())


def output(words):
    return Path(words[words.index("--output_path") + 1])


SCORED = ("--decoding", "scored", "--both_orders", "--controls", "blank")


def test_two_processes_write_the_same_file_as_one(command, tmp_path):
    alone, shared = command("one.json", *SCORED), command("two.json", *SCORED)
    results(alone)
    run = together(2, tmp_path / "said", run_command, ("evaluate",), shared, "rfm evaluate")
    assert not run.failed, run.errors
    assert output(shared).read_bytes() == output(alone).read_bytes()
    assert run.output.count("ahead of its best control") == 1  # one process prints
    assert not Path(f"{output(shared)}.answers").exists()


def test_a_killed_run_goes_on_to_the_same_file(command, monkeypatch, caplog):
    whole, killed = command("whole.json", *SCORED), command("killed.json", *SCORED)
    results(whole)
    process = started(kills.answer_until, 9, Predictor, ("evaluate",), killed)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    saved = Path(f"{output(killed)}.answers") / "0.jsonl"
    lines = saved.read_bytes().splitlines(keepends=True)
    assert len(lines) >= 4 * 6
    saved.write_bytes(b"".join(lines)[:-7])  # as if it had been killed while it wrote
    asked, answer = [], Predictor.answer
    monkeypatch.setattr(Predictor, "answer", lambda *args, **options: asked.append(1) or answer(*args, **options))
    results(killed)
    assert output(killed).read_bytes() == output(whole).read_bytes()
    assert len(asked) == 2 * 6 - 8 + 1  # six batches a pass, eight finished, the last of them cut
    assert f"going on: {len(lines) - 1} answers of an interrupted run are in" in caplog.text
    assert not saved.parent.exists()


@pytest.mark.parametrize("flags", [("--decoding", "constrained"), ("--decoding", "scored")])
def test_methods_that_know_the_answers_leave_none_unparsed(command, flags):
    found = results(command("found.json", *flags))
    assert [found[kind]["unparsed"] for kind in ("preference", "progress")] == [0, 0]
    assert found["decoding"]["method"] == flags[1]
    scored = [one for one in found["predictions"] if "probabilities" in one]
    assert len(scored) == (ROWS if "scored" in flags else 0)
    assert all(sum(one["probabilities"]) == pytest.approx(1) for one in scored)


def test_the_other_methods_and_their_settings_are_in_the_file(command):
    beam = results(command("beam.json", "--decoding", "beam", "--num_beams", "2", "--max_new_tokens", "3"))
    assert beam["decoding"] == {"method": "beam", "max_new_tokens": 3, "num_beams": 2}
    flags = ("--decoding", "sample", "--num_repeats", "2", "--temperature", "0.5", "--seed", "7")
    sample = results(command("sample.json", *flags, "--max_new_tokens", "3"))
    settings = {"method": "sample", "max_new_tokens": 3, "temperature": 0.5, "num_repeats": 2, "seed": 7}
    assert sample["decoding"] == settings
    assert all(len(one["samples"]) == 2 for one in sample["predictions"])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"num_beams": 3}, "`num_beams` must go with --decoding beam, but `decoding` is greedy"),
        ({"temperature": 0.5}, "`temperature` must go with --decoding sample, but `decoding` is greedy"),
        ({"base_url": "x"}, "`base_url` must go with --engine openai, but `engine` is hf"),
        ({"frames_as": "video"}, "`frames_as` must go with --engine openai or vllm, but `engine` is hf"),
        ({"both_orders": True}, "`both_orders` must go with --decoding scored, but goes with greedy"),
        (
            {"engine": "openai"},
            "`base_url` must be given with --engine openai, for example http://localhost:8000/v1",
        ),
        (
            {"decoding": "sample", "num_repeats": 0},
            "`num_repeats` must be at least 1, but is 0",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_named(changes, text):
    with pytest.raises(ConfigError) as caught:
        EvaluateOptions(model_path="m", dataset_path="d", **changes)
    assert str(caught.value) == text


def test_an_engine_that_is_not_installed_is_named(command, capsys):
    assert run_command(("evaluate",), command("none.json", "--engine", "vllm"), "rfm evaluate") == 1
    assert "--engine vllm needs vLLM, which is not installed" in capsys.readouterr().err
