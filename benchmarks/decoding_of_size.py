"""`scored` beside `greedy` for a model of a true size with random weights, at batches of 1, 8 and 32.

What a random model says is noise, and it would rarely stop: greedy is given as many new tokens as a right answer has,
its end included (5 for a preference, 6 for two digits of progress), which is where a trained model stops. A figure is
the fastest of the rounds, in which both take turns: whole calls of `Predictor.predict`, encoding included. The first
round is not timed.

Each result is appended to OUTPUT.jsonl as it comes (`kept_results.py`), and OUTPUT.md written anew with the table.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from kept_results import ERROR, KeptResults, Limit, where
from random_model import clip_size, draw_model, preference_rows, progress_rows, use_our_kernels

from rfm.batch.input_format import InputFormat
from rfm.inference.answering.decoding import Decoding
from rfm.inference.predictor import Predictor

BATCHES = (1, 8, 32)
ROWS = {"preference": preference_rows, "progress": progress_rows}
METHODS = ("greedy", "scored")
FEWEST = 8
"""Rows of a call, where a batch holds less."""


@dataclass(frozen=True)
class Setting:
    """One comparison."""

    preset: str
    kind: str
    batch: int
    rounds: int
    seed: int = 0


def compare_presets(preset: str, rounds: int, seconds: float | None, output: Path) -> None:
    """Measure each kind of question at each batch; what is over time is said and left for the next call."""
    on_gpu = torch.cuda.is_available()
    if preset == "4b" and not on_gpu:
        sys.exit("--preset 4b must run on a GPU, but torch finds none; take --preset small")
    if rounds < 1:
        sys.exit(f"--rounds must be at least 1, but is {rounds}")
    limit, kept = Limit(seconds), KeptResults(Path(f"{output}.jsonl"), where())
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        predictor = random_predictor(preset, Path(folder))
        print(f"model: {limit.spent:.1f} s", flush=True)
        for setting in [Setting(preset, kind, batch, rounds) for batch in BATCHES for kind in ROWS]:
            results.append(obtained(setting, predictor, kept, limit))
            print(line(results[-1]), flush=True)
            Path(f"{output}.md").write_text(table(kept.where, results), encoding="utf-8")
    print(f"\n{table(kept.where, results)}")


def random_predictor(preset: str, root: Path) -> Predictor:
    """Return an engine as `Predictor.from_checkpoint` makes one."""
    loaded = use_our_kernels(draw_model(preset, "cuda" if torch.cuda.is_available() else "cpu"))
    _, side = clip_size(preset)
    return Predictor(loaded, root, InputFormat(side, side))


def obtained(setting: Setting, predictor: Predictor, kept: KeptResults, limit: Limit) -> dict[str, Any]:
    """Return the figures, measured now unless they are there or time is over."""
    if (found := kept.find(asdict(setting))) is not None:
        return found
    try:
        result = {**asdict(setting), **measure(setting, predictor, limit)}
    except torch.cuda.OutOfMemoryError:
        result = {**asdict(setting), ERROR: "out of memory"}
    except TimeoutError:
        return {**asdict(setting), ERROR: limit.over}
    kept.add(asdict(setting), result)
    return result


def measure(setting: Setting, predictor: Predictor, limit: Limit) -> dict[str, Any]:
    """Return milliseconds a row of both methods; TimeoutError where the limit is over before a call."""
    begun, number = time.perf_counter(), max(FEWEST, setting.batch)
    rows = list(ROWS[setting.kind](predictor.datasets_root, setting.preset, number, setting.seed))
    longest = max(len(predictor.encoder.answer_ids(row["answer"])) for row in rows)
    fastest, said = dict.fromkeys(METHODS, float("inf")), {}
    for turn in range(setting.rounds + 1):
        for method in METHODS:
            if not limit.left:
                raise TimeoutError
            seconds, said[method] = _timed(predictor, method, rows, setting.batch, longest)
            fastest[method] = min(fastest[method], seconds if turn else float("inf"))
    faults = [one.unreadable for answers in said.values() for one in answers if one.unreadable]
    if faults:
        raise SystemExit(f"rows of noise must be readable, but: {faults[0]}")
    return {
        "rows": number,
        "greedy_ms": 1000 * fastest["greedy"] / number,
        "scored_ms": 1000 * fastest["scored"] / number,
        "times": fastest["greedy"] / fastest["scored"],
        "new_tokens": sum(len(one.tokens) for one in said["greedy"]) / number,
        "seconds": time.perf_counter() - begun,
    }


def _timed(predictor: Predictor, method: str, rows: list[Any], size: int, longest: int) -> tuple[float, list[Any]]:
    predictor.decoding = Decoding(method)
    begun = time.perf_counter()
    said = predictor.predict(rows, size, longest, progress=False)  # the answers are on the CPU: the device is done
    return time.perf_counter() - begun, said


def line(result: dict[str, Any]) -> str:
    """Return a row of the table."""
    cells = [result["kind"], str(result["batch"])]
    if ERROR in result:
        return "| " + " | ".join([*cells, result[ERROR], "", "", "", ""]) + " |"
    cells += [f"{result['greedy_ms']:.1f}", f"{result['scored_ms']:.1f}", f"{result['times']:.2f}"]
    return "| " + " | ".join([*cells, f"{result['new_tokens']:.1f}", f"{result['seconds']:.1f}"]) + " |"


def table(place: dict[str, Any], results: list[dict[str, Any]]) -> str:
    """Return the comparisons as Markdown."""
    head = ("sample type", "batch", "greedy, ms a row", "scored, ms a row", "times greedy", "new tokens", "seconds")
    lines = [f"{place['machine']}, torch {place['torch']}, transformers {place['transformers']}", ""]
    return "\n".join([*lines, "| " + " | ".join(head) + " |", "|" + "---|" * len(head), *map(line, results)]) + "\n"
