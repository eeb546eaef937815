"""Training steps a second of Qwen3-VL-4B, ours beside the stock path, strategy by strategy.

    python benchmarks/train_step.py --limit 300        # one GPU; the same command goes on with what is left then
    python benchmarks/train_step.py --preset small     # a tiny model on a CPU, two minutes

The true architecture with random weights drawn on the device, so nothing is downloaded; rows of two clips of 16 frames
at 224 x 224, read from memory-mapped files by loader processes. Each run has a process of its own: one that runs out of
memory is reported and the others go on. `train_step_run.py` says what the two paths are, `train_step_flops.py` how
operations are counted. Both paths report the loss of the same four rows before the first step: it must be the same.

Each result is appended to OUTPUT.jsonl as it comes (`kept_results.py`) and OUTPUT.md written anew with the table, which
is also printed, as are the seconds of each part of a run. `memory, 4 rows` is ours with checkpointing and four rows a
step, to compare with tables made so; the other figures are of the fast setting.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from kept_results import ERROR, KeptResults, Limit, parts_line, where
from random_model import PRESETS
from train_step_flops import matmul_rate
from train_step_run import STRATEGIES, Setting, checkpoints, default_workers, measure

MARK = "RESULT "
OUT_OF_MEMORY = "out of memory"
COLUMNS = (
    ("rows/s", "rows_per_second", "{:.2f}"),
    ("tokens/s", "tokens_per_second", "{:,.0f}"),
    ("TFLOP/s", "tflops_per_second", "{:.3g}"),
    ("of the matrix rate", "share", "{:.0%}"),
    ("peak GB", "memory_gb", "{:.1f}"),
    ("memory, 4 rows", "memory_4_rows_gb", "{:.1f}"),
    ("waiting for data", "wait_share", "{:.1%}"),
    ("first loss", "loss", "{:.4f}"),
)


def main() -> None:
    options = parse()
    if options.run is not None:
        print(MARK + json.dumps(measure(Setting(**json.loads(options.run)))))
        return
    if options.preset == "4b" and not torch.cuda.is_available():
        sys.exit("--preset 4b must run on a GPU, but torch finds none; take --preset small")
    limit = Limit(options.limit)
    kept = KeptResults(Path(f"{options.output}.jsonl"), where())
    rate = matrix_rate(kept)
    report = {**kept.where, "matrix_rate": rate, "results": []}
    with tempfile.TemporaryDirectory() as folder:
        for setting in settings(options, folder):
            result, how = obtained(setting, kept, limit, options.minutes, rate)
            report["results"].append(result)
            report["seconds"] = limit.spent
            print(f"{line(result)}\n  {how}", flush=True)
            text = table(report)
            Path(f"{options.output}.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")


def matrix_rate(kept: KeptResults) -> float:
    """Return the operations a second of the machine's matrix product, the same for all runs that go on."""
    asked = {"measured": "matrix rate"}
    found = kept.find(asked)
    if found is None:
        found = {"operations_per_second": matmul_rate("cuda" if torch.cuda.is_available() else "cpu")}
        kept.add(asked, found)
    return float(found["operations_per_second"])


def obtained(
    setting: Setting, kept: KeptResults, limit: Limit, minutes: float, rate: float
) -> tuple[dict[str, Any], str]:
    """Return the figures of a run, measured now unless they are there or time is over, and what to say of it."""
    asked = {name: value for name, value in asdict(setting).items() if name != "folder"}
    if (found := kept.find(asked)) is not None:
        return found, f"as in {kept.file}"
    if not limit.left:
        return {**asked, ERROR: limit.over}, f"limit: {limit.seconds:g} s"
    result = attempt(setting, 60 * minutes, limit)
    if result.get(ERROR) == OUT_OF_MEMORY and setting.path == "ours" and not setting.checkpointing and limit.left:
        result = attempt(replace(setting, checkpointing=True), 60 * minutes, limit)
    result["share"] = result.get("tflops_per_second", 0) * 1e12 / rate
    kept.add(asked, result)
    return result, parts_line(result["parts"])


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="4b")
    parser.add_argument("--strategies", nargs="+", choices=tuple(STRATEGIES), default=list(STRATEGIES))
    parser.add_argument("--paths", nargs="+", choices=("ours", "stock"), default=["ours", "stock"])
    parser.add_argument("--steps", type=int, help="measured steps; default 10, small 4")
    parser.add_argument("--packing", type=int, help="tokens of a packed batch; default 8192, small 1600")
    parser.add_argument("--optim", choices=("adamw", "adamw_8bit"), help="of ours; default adamw_8bit where all trains")
    parser.add_argument("--compile", action="store_true", help="compile ours layer by layer; adds minutes")
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, help="of ours; default by memory")
    parser.add_argument("--minutes", type=float, default=4.0, help="after which a run is given up")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="for the whole; the same command then goes on")
    parser.add_argument("--output", default="train_step")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def settings(options: argparse.Namespace, folder: str) -> list[Setting]:
    """Return the runs, ours and stock of each strategy side by side."""
    small = options.preset == "small"
    return [
        Setting(
            preset=options.preset,
            strategy=strategy,
            path=path,
            folder=folder,
            steps=options.steps or (4 if small else 10),
            warmup=1 if small else 2,
            max_tokens=options.packing or (1600 if small else 8192),
            optim=options.optim or ("adamw" if "lora_rank" in STRATEGIES[strategy] or small else "adamw_8bit"),
            compile=options.compile,
            workers=default_workers(options.preset),
            checkpointing=checkpoints(strategy) if options.checkpointing is None else options.checkpointing,
        )
        for strategy in options.strategies
        for path in options.paths
    ]


def attempt(setting: Setting, seconds: float, limit: Limit) -> dict[str, Any]:
    """Return the figures of a run in a process of its own, or what went wrong in it, and the seconds of its parts."""
    command = [sys.executable, __file__, "--run", json.dumps(asdict(setting))]
    said, complained = (Path(setting.folder) / name for name in ("stdout", "stderr"))
    begun, allowed = time.perf_counter(), min(seconds, limit.left)
    with said.open("w") as out, complained.open("w") as err:  # no pipes: loader processes may outlive a killed run
        try:
            status = subprocess.run(command, stdout=out, stderr=err, timeout=allowed, check=False).returncode
        except subprocess.TimeoutExpired:
            reason = limit.over if allowed < seconds else f"no result after {seconds:g} s"
            return {**asdict(setting), ERROR: reason, "parts": {"given up": time.perf_counter() - begun}}
    whole = time.perf_counter() - begun
    found = [text for text in said.read_text().splitlines() if text.startswith(MARK)]
    if found:
        result = json.loads(found[-1].removeprefix(MARK))
        result["parts"] = {"start and end": whole - sum(result["parts"].values()), **result["parts"]}
        return result
    return {**asdict(setting), ERROR: _fault(complained.read_text(), status), "parts": {"failed": whole}}


def _fault(complaint: str, status: int) -> str:
    """Return what a row of the table says of a failed run; the end of what it said itself is for the log."""
    print(complaint[-4000:], file=sys.stderr, flush=True)
    if OUT_OF_MEMORY in complaint.lower() or status == -9:
        return OUT_OF_MEMORY
    return (complaint.strip().splitlines() or [f"exit status {status}"])[-1][:300]


def line(result: dict[str, Any]) -> str:
    """Return a row of the table."""
    cells = [result["strategy"], result["path"]]
    if ERROR in result:
        return "| " + " | ".join([*cells, result[ERROR], *[""] * (len(COLUMNS) - 1)]) + " |"
    cells += [form.format(result[key]) if key in result else "" for _, key, form in COLUMNS]
    return "| " + " | ".join(cells) + " |"


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown: settings, a row a run, and ours over stock."""
    results = report["results"]
    rate = report["matrix_rate"] / 1e12
    head = ["strategy", "path", *(name for name, _, _ in COLUMNS)]
    lines = [
        f"{report['machine']}, torch {report['torch']}, transformers {report['transformers']}, peft {report['peft']}, "
        f"matrix rate {rate:.3g} TFLOP/s, {report['seconds']:.0f} s",
        "",
    ]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *map(line, results), ""]
    by = {(result["strategy"], result["path"]): result for result in results if ERROR not in result}
    for strategy in dict.fromkeys(result["strategy"] for result in results):
        ours, stock = by.get((strategy, "ours")), by.get((strategy, "stock"))
        if ours is not None:
            says = f"{strategy}: {ours['optimizer']}, checkpointing {'on' if ours['checkpointing'] else 'off'}"
            if stock is not None:
                times, off = ours["rows_per_second"] / stock["rows_per_second"], ours["loss"] - stock["loss"]
                says += f"; {times:.2f} times the stock path ({stock['optimizer']}); losses differ by {abs(off):.1e}"
            lines.append(f"- {says}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
