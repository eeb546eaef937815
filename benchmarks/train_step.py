"""Training steps a second of Qwen3-VL-4B, ours beside the stock path, strategy by strategy, in one run.

    python benchmarks/train_step.py                    # one GPU, about nine minutes by estimate
    python benchmarks/train_step.py --preset small     # a tiny model on a CPU, two minutes

The true architecture with random weights drawn on the device, so nothing is downloaded; rows of two clips of 16 frames
at 224 x 224, read from memory-mapped files by loader processes. Each run has a process of its own: one that runs out of
memory is reported and the others go on. `train_step_run.py` says what the two paths are, `train_step_flops.py` how
operations are counted. Both paths report the loss of the same four rows before the first step: it must be the same.

Writes OUTPUT.json and OUTPUT.md and prints the table. `memory, 4 rows` is ours with checkpointing and four rows a step,
to compare with tables made so; the other figures are of the fast setting.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from train_step_flops import matmul_rate
from train_step_run import STRATEGIES, Setting, default_workers, measure

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
    if options.preset == "4b" and not torch.cuda.is_available():
        sys.exit("--preset 4b must run on a GPU, but torch finds none; take --preset small")
    if options.run is not None:
        print(MARK + json.dumps(measure(Setting(**json.loads(options.run)))))
        return
    started = time.perf_counter()
    rate = matmul_rate("cuda" if torch.cuda.is_available() else "cpu")
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.processor() or 'CPU'}, float32"
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for setting in settings(options, folder):
            result = attempt(setting, options.minutes)
            if result.get("error") == OUT_OF_MEMORY and setting.path == "ours" and not setting.checkpointing:
                result = attempt(replace(setting, checkpointing=True), options.minutes)
            result["share"] = result.get("tflops_per_second", 0) * 1e12 / rate
            results.append(result)
            print(line(result), flush=True)
    report = {"machine": machine, "torch": torch.__version__, "matrix_rate": rate, "preset": options.preset}
    report |= {"seconds": time.perf_counter() - started, "results": results}
    text = table(report)
    Path(f"{options.output}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    Path(f"{options.output}.md").write_text(text, encoding="utf-8")
    print(text)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=("4b", "small"), default="4b")
    parser.add_argument("--strategies", nargs="*", choices=tuple(STRATEGIES), default=list(STRATEGIES))
    parser.add_argument("--paths", nargs="*", choices=("ours", "stock"), default=["ours", "stock"])
    parser.add_argument("--steps", type=int, help="measured steps; default 10, small 4")
    parser.add_argument("--packing", type=int, help="tokens of a packed batch; default 8192, small 1600")
    parser.add_argument("--optim", choices=("adamw", "adamw_8bit"), help="of ours; default adamw_8bit where all trains")
    parser.add_argument("--compile", action="store_true", help="compile ours layer by layer; adds minutes")
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, help="of ours; default by memory")
    parser.add_argument("--minutes", type=float, default=4.0, help="after which a run is given up")
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
            checkpointing=options.checkpointing,
        )
        for strategy in options.strategies
        for path in options.paths
    ]


def attempt(setting: Setting, minutes: float) -> dict[str, Any]:
    """Return the figures of a run in a process of its own, or what went wrong in it."""
    command = [sys.executable, __file__, "--run", json.dumps(asdict(setting))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 * minutes, check=False)
    except subprocess.TimeoutExpired:
        return {**asdict(setting), "error": f"no result after {minutes:g} minutes"}
    found = [text for text in done.stdout.splitlines() if text.startswith(MARK)]
    if found:
        return json.loads(found[-1].removeprefix(MARK))
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    error = OUT_OF_MEMORY if OUT_OF_MEMORY in done.stderr.lower() or done.returncode == -9 else last[:300]
    return {**asdict(setting), "error": error}


def line(result: dict[str, Any]) -> str:
    """Return a row of the table."""
    cells = [result["strategy"], result["path"]]
    if "error" in result:
        return "| " + " | ".join([*cells, result["error"], *[""] * (len(COLUMNS) - 1)]) + " |"
    cells += [form.format(result[key]) if key in result else "" for _, key, form in COLUMNS]
    return "| " + " | ".join(cells) + " |"


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown: settings, a row a run, and ours over stock."""
    results = report["results"]
    rate = report["matrix_rate"] / 1e12
    head = ["strategy", "path", *(name for name, _, _ in COLUMNS)]
    lines = [
        f"{report['machine']}, torch {report['torch']}, matrix rate {rate:.3g} TFLOP/s, {report['seconds']:.0f} s",
        "",
    ]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *map(line, results), ""]
    by = {(result["strategy"], result["path"]): result for result in results if "error" not in result}
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
