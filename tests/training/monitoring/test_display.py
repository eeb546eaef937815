"""What a run shows: one display in a terminal, whole lines in a pipe, and never the Trainer's dictionaries."""

from __future__ import annotations

import io
import logging
from types import SimpleNamespace

import pytest
from transformers import PrinterCallback, ProgressCallback

from rfm import console as consoles
from rfm.console import PlainConsole
from rfm.training.monitoring import display
from rfm.training.monitoring.display import Display, watched

STEP = {"loss": 0.41231, "learning_rate": 9.1e-05, "grad_norm": 1.324, "rows_per_second": 12.31,
        "tokens_per_second": 8123.4, "data_wait_share": 0.021, "memory_gb": 7.91, "epoch": 0.5}  # fmt: skip
EVALUATION = {"eval_loss": 0.512, "eval_preference_accuracy": 0.7125, "eval_progress_mae": 14.21,
              "eval_progress_rmse": 20.04, "eval_runtime": 3.0}  # fmt: skip


def state(step: int, *, first: bool = True) -> SimpleNamespace:
    return SimpleNamespace(global_step=step, max_steps=1000, is_world_process_zero=first)


def terminal(monkeypatch: pytest.MonkeyPatch, width: int, *, is_terminal: bool = True) -> PlainConsole:
    made = PlainConsole(file=io.StringIO(), width=width, height=20, force_terminal=is_terminal, color_system=None)
    for place in (display, consoles):
        monkeypatch.setattr(place, "console", lambda: made)
    return made


def follow(shown: Display, *, first: bool = True) -> None:
    shown.on_train_begin(None, state(0, first=first), None)
    shown.on_step_end(None, state(400, first=first), None)
    shown.on_log(None, state(400, first=first), None, logs=STEP)
    shown.on_prediction_step(None, state(400, first=first), None)
    shown.on_evaluate(None, state(400, first=first), None)
    shown.on_log(None, state(400, first=first), None, logs=EVALUATION)
    shown.on_step_end(None, state(412, first=first), None)


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_everything_in_lines_that_fit(monkeypatch, width):
    made, shown = terminal(monkeypatch, width), Display()
    follow(shown)
    lines = [line.plain if hasattr(line, "plain") else "".join(part.text for part in line)
             for line in made.render_lines(shown._shown(), pad=False)]  # fmt: skip
    shown.close()
    assert [len(line) <= width for line in lines] == [True] * len(lines)
    assert lines[0].startswith("training ")
    assert "412/1000" in lines[0]
    assert lines[1].split("   ") == ["  loss 0.4123", "rate 9.10e-05", "gradient 1.32"]
    assert lines[2].split("   ") == ["  12.3 rows/s", "8,123 tokens/s", "waiting 2%", "7.9 GB"]
    assert [line[:2] for line in lines[1:]] == ["  "] * len(lines[1:])
    assert " ".join(map(str.strip, lines[3:])) == (
        "evaluated at 400: loss 0.5120, preference accuracy 0.7125, progress mae 14.2, progress rmse 20.0"
    )


def test_a_pipe_gets_one_line_an_entry(monkeypatch, caplog):
    terminal(monkeypatch, 1000, is_terminal=False)
    with caplog.at_level(logging.INFO, logger="rfm"):
        follow(Display())
    assert [message.partition("  left")[0] for message in caplog.messages] == [
        "step 400/1000  loss 0.4123  rate 9.10e-05  gradient 1.32  12.3 rows/s  8,123 tokens/s  waiting 2%  7.9 GB",
        "step 400/1000  evaluation: loss 0.5120, preference accuracy 0.7125, progress mae 14.2, progress rmse 20.0",
    ]
    assert "left 0:00:00" in caplog.messages[0]


def test_other_processes_show_nothing(monkeypatch, caplog):
    made = terminal(monkeypatch, 80)
    with caplog.at_level(logging.INFO, logger="rfm"):
        shown = Display()
        follow(shown, first=False)
    assert caplog.messages == []
    assert shown.live is None
    assert made.file.getvalue() == ""


def test_it_takes_the_place_of_the_stock_callbacks_and_closes_after_a_failure(monkeypatch):
    terminal(monkeypatch, 80)
    removed, added = [], []
    trainer = SimpleNamespace(remove_callback=removed.append, add_callback=added.append)

    def broken_run() -> None:
        with watched(trainer):
            added[0].on_train_begin(None, state(0), None)
            assert added[0].live is not None
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        broken_run()
    assert removed == [PrinterCallback, ProgressCallback]
    assert added[0].live is None
