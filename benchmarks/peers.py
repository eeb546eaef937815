"""Ours beside TRL, LLaMA-Factory, ms-swift, vLLM and plain `generate`: same rows, same weights, one run.

    python benchmarks/peers.py                          # all; a quarter of an hour on a quiet core
    python benchmarks/peers.py --parts questions --peers trl

Each peer runs in an environment of its own (`peers_environments.py`), made below `--environments` where none is there,
with one thread; what can't be installed or run is a row with its reason. The parts:

- `training`: steps of a random Qwen3-VL of 110 million parameters (`peers_rows.py`) on the rows that `rfm export rows`
  wrote. All rows make one step, so that the first step's loss does not depend on their order. Ours is measured with
  frames as a video, as LLaMA-Factory and ms-swift are, and as images, as TRL is;
- `questions`: does it mask the prompt, does it see the last frame, do tokens weigh equally when batches are
  accumulated: experiments on what each trainer hands to its model (`peers_probe.py`);
- `answers`: rows a second of greedy answers (`peers_answers.py`).

Rounds alternate between ours and the peers. Rates are by processor time, which other work disturbs least, and by the
clock. Each result is kept as it comes (`kept_results.py`): the same command goes on with what is left.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peers_rows
from kept_results import ERROR, KeptResults, where
from peers_environments import PEERS, NotInstalled, environment, releases
from peers_probe import MARK

HERE = Path(__file__).parent
Result = dict[str, Any]
STEP_ROWS, BATCH = 4, 2
CUT = "\ufffd"
"""A letter whose last bytes were not generated any more."""
OURS, IMAGES = "ours", "ours, images"
BESIDE = {"trl": IMAGES}
"""Whom each peer is compared with; the others with `ours`."""
TRAINERS = (OURS, "llamafactory", "ms-swift", IMAGES, "trl")
ANEW = "vllm, nothing kept"
"""Without what vLLM keeps of earlier prompts and pictures, which rows of the same videos share."""
ENGINES = (OURS, "generate", "vllm", ANEW)
HOME = {"generate": "trl"}
"""The environment of what is no peer itself: stock transformers with torchvision."""
_EXCEPTION = re.compile(r"[\w.]*(Error|Exception)\b")


def main() -> None:
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    kept = KeptResults(options.work / "results.jsonl", where())
    report: list[str] = [f"{kept.where['machine']}, torch {kept.where['torch']}, one thread", ""]
    for part in options.parts:
        results = PARTS[part](options, kept)
        report += [*TABLES[part](results), ""]
        (options.work / "report.md").write_text("\n".join(report), encoding="utf-8")
    print("\n".join(report))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--peers", nargs="*", choices=(*PEERS, "generate"), default=[*PEERS, "generate"])
    parser.add_argument("--environments", type=Path, default=Path("outputs/peers/environments"))
    parser.add_argument("--work", type=Path, default=Path("outputs/peers"), help="of models, rows and results")
    parser.add_argument(
        "--size", choices=tuple(peers_rows.SIDE), default="measured", help="of the model that is trained"
    )
    parser.add_argument("--steps", type=int, default=3, help="of training; the first is not measured")
    parser.add_argument("--answers", type=int, default=16, help="rows that are answered")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10.0, help="after which a run is given up")
    return parser.parse_args(arguments)


def training(options: argparse.Namespace, kept: KeptResults) -> list[Result]:
    """Measure the trainers, round by round."""
    model, rows, exported = material(options.work, options.size, STEP_ROWS)
    given = {"batch": BATCH, "accumulation": STEP_ROWS // BATCH, "steps": options.steps}
    return [
        attempt(options, kept, "peers_run.py", who, {**given, **source(who, model, rows, exported)}, measured)
        for measured in range(options.rounds)
        for who in asked(options, TRAINERS)
    ]


def questions(options: argparse.Namespace, kept: KeptResults) -> list[Result]:
    """Put the three questions to the trainers."""
    model, rows, exported = material(options.work, "tiny", len(peers_rows.ANSWERS))
    given = {"batch": 1, "accumulation": len(peers_rows.ANSWERS), "steps": 2, "experiments": True}
    return [
        attempt(options, kept, "peers_run.py", who, {**given, **source(who, model, rows, exported)})
        for who in asked(options, TRAINERS)
        if who != IMAGES
    ]


def answers(options: argparse.Namespace, kept: KeptResults) -> list[Result]:
    """Measure the engines, round by round."""
    model, rows, exported = material(options.work, options.size, options.answers)
    results = []
    for measured in range(options.rounds):
        for who in asked(options, ENGINES):
            place = rows if who == OURS else exported["ms-swift"]
            given = {"model": str(model), "rows": str(place), "batch": 8, "keeps": who != ANEW}
            results.append(attempt(options, kept, "peers_answers.py", who, given, measured))
    return results


def material(work: Path, size: str, number: int) -> tuple[Path, Path, dict[str, Path]]:
    """Return checkpoint, rows and exports of a size, which are written where they are not there."""
    rows = peers_rows.rows(work / f"rows-{size}-{number}", size, number)
    return (
        peers_rows.model(work / f"model-{size}", size),
        rows,
        peers_rows.exports(rows, work / f"exports-{size}-{number}"),
    )


def source(who: str, model: Path, rows: Path, exported: dict[str, Path]) -> Result:
    """Return what a trainer is given to read."""
    return {"model": str(model), "rows": str(exported.get(who, rows)), "images": who == IMAGES}


def asked(options: argparse.Namespace, names: tuple[str, ...]) -> Iterator[str]:
    """Return ours and the peers that were asked for, in order."""
    return (name for name in names if name.startswith(OURS) or name.partition(",")[0] in options.peers)


def attempt(
    options: argparse.Namespace, kept: KeptResults, script: str, who: str, given: Result, measured: int = 0
) -> Result:
    """Return the figures of one run in its own environment: kept ones, or measured now, or why there are none."""
    setting = {"script": script, "who": who, "round": measured, **given}
    if (found := kept.find(setting)) is None:
        try:
            found = _run(options, script, who, given)
        except NotInstalled as error:
            found = {ERROR: f"can't be installed: {error}"}
        kept.add(setting, found)
    print(f"{script} {who}: {found.get(ERROR) or found.get('rows_per_processor_second')}", file=sys.stderr, flush=True)
    return {"who": who, **found}


def _run(options: argparse.Namespace, script: str, who: str, given: Result) -> Result:
    python, named = Path(sys.executable), who.partition(",")[0]
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    packages = ["torch", "transformers"]
    if named == OURS:
        environ["PYTHONPATH"] = str(HERE.parent)
    else:
        home = HOME.get(named, named)
        python = environment(options.environments.absolute(), home)
        packages.append(PEERS[home].package.partition("==")[0])
        environ.pop("PYTHONPATH", None)
    folder = options.work / "runs" / f"{Path(script).stem}-{who.replace(', ', '-')}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "out", ignore_errors=True)  # of another part: there are trainers that refuse it
    request = folder / "request.json"
    output = {"output": str(folder / "out")} if script == "peers_run.py" else {}
    request.write_text(json.dumps({"who": named, **given, **output}), encoding="utf-8")
    log = folder / "log"
    with log.open("w") as stream:
        command = [str(python), str(HERE / script), str(request)]
        try:
            subprocess.run(
                command, stdout=stream, stderr=stream, env=environ, timeout=60 * options.minutes, check=False
            )
        except subprocess.TimeoutExpired:
            return {ERROR: f"no result after {options.minutes:g} minutes"}
    lines = log.read_text(errors="replace").splitlines()
    said = [line.partition(MARK)[2] for line in lines if MARK in line]
    if not said:
        return {ERROR: fault(lines) or f"no output, see {log}"}
    return {**json.loads(said[-1]), "releases": releases(python, *packages)}


def fault(lines: list[str]) -> str:
    """Return the last line of a log that names an exception, else the last one that says anything."""
    named = [line for line in lines if _EXCEPTION.match(line)]
    return (named or [line for line in lines if line.strip()] or [""])[-1][:300]


def training_table(results: list[Result]) -> list[str]:
    """Return rates, memory and losses, each peer beside ours with frames in the same form."""
    head = ("trainer", "rows/s of processor time", "beside ours", "rows/s", "peak GB", "tokens a row", "first loss",
            "of the answer", "less ours", "releases")  # fmt: skip
    return table(head, (_training_cells(results, who) for who in _names(results)))


def _training_cells(results: list[Result], who: str) -> list[str]:
    mine = _ok(results, who)
    if not mine:
        return [who, _reason(results, who)]
    ours = _ok(results, BESIDE.get(who, OURS)) if not who.startswith(OURS) else mine
    off = mine[0]["answer_loss"] - ours[0]["answer_loss"] if ours else float("nan")
    return [
        who, _rates(mine, "rows_per_processor_second"), _beside(mine, ours), _rates(mine, "rows_per_second"),
        f"{max(one['peak_gb'] for one in mine):.2f}", f"{mine[0]['tokens_a_row']:.0f}",
        f"{mine[0]['logged_loss']:.6f}", f"{mine[0]['answer_loss']:.6f}", f"{off:+.1e}", _releases(mine[0]),
    ]  # fmt: skip


def questions_table(results: list[Result]) -> list[str]:
    """Return what each trainer was found to do."""
    head = ("trainer", "tokens with loss", "last of 5 frames", "weights of batches", "shares of their tokens", "equal")
    return table(head, (_question_cells(result) for result in results))


def _question_cells(result: Result) -> list[str]:
    if ERROR in result:
        return [result["who"], result[ERROR]]
    rows = result["rows_seen"]
    tokens = result["batch_tokens"]
    shares = [count / sum(tokens) for count in tokens]
    off = max(abs(weight - share) for weight, share in zip(result["weights"], shares, strict=True))
    return [
        result["who"], ", ".join(f"`{label!r}`" for label in result["labels"]), last_frame(rows),
        " ".join(f"{weight:.3f}" for weight in result["weights"]), " ".join(f"{share:.3f}" for share in shares),
        "yes" if off < 0.005 else "no",
    ]  # fmt: skip


def last_frame(rows: list[Result]) -> str:
    """Say whether two rows that differ in their last frame alone were told apart."""
    alike = [one["losses"] for one in rows if sum(other["text"] == one["text"] for other in rows) == 2]
    if len(alike) != 2:
        return "not known: the two rows are not there"
    off = max(abs(first - second) for first, second in zip(*alike, strict=True))
    return f"seen, losses differ by {off:.1e}" if off > 1e-6 else "not seen"


def answers_table(results: list[Result]) -> list[str]:
    """Return rates, and how many texts are those of ours."""
    head = ("engine", "rows/s of processor time", "beside ours", "rows/s", "peak GB", "texts as ours", "releases")
    return table(head, (_answer_cells(results, who) for who in _names(results)))


def _answer_cells(results: list[Result], who: str) -> list[str]:
    mine, ours = _ok(results, who), _ok(results, OURS)
    if not mine:
        return [who, _reason(results, who)]
    alike = sum(map(same, mine[0]["texts"], ours[0]["texts"])) if ours else 0
    return [
        who, _rates(mine, "rows_per_processor_second"), _beside(mine, ours), _rates(mine, "rows_per_second"),
        f"{max(one['peak_gb'] for one in mine):.2f}", f"{alike} of {mine[0]['rows']}", _releases(mine[0]),
    ]  # fmt: skip


def same(first: str, second: str) -> bool:
    """Whether texts are one but for letters cut off at their ends: random weights write them, vLLM leaves them out."""
    return first.rstrip(CUT) == second.rstrip(CUT)


def table(head: tuple[str, ...], rows: Iterator[list[str]]) -> list[str]:
    """Return lines of Markdown; what is missing at the end of a row is left empty."""
    filled = ([*row, *[""] * (len(head) - len(row))] for row in rows)
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *filled)]


def _names(results: list[Result]) -> list[str]:
    return list(dict.fromkeys(result["who"] for result in results))


def _ok(results: list[Result], who: str) -> list[Result]:
    return [result for result in results if result["who"] == who and ERROR not in result]


def _reason(results: list[Result], who: str) -> str:
    return next(str(result[ERROR]) for result in results if result["who"] == who)


def _rates(results: list[Result], name: str) -> str:
    found = [result[name] for result in results]
    low, high = f"{min(found):.3g}", f"{max(found):.3g}"
    return low if low == high else f"{low} to {high}"


def _beside(mine: list[Result], ours: list[Result]) -> str:
    if not ours:
        return ""
    name = "rows_per_processor_second"
    return f"{statistics.mean(one[name] for one in mine) / statistics.mean(one[name] for one in ours):.2f}"


def _releases(result: Result) -> str:
    return ", ".join(f"{name} {release}" for name, release in result["releases"].items() if name != "torch")


PARTS: dict[str, Callable[[argparse.Namespace, KeptResults], list[Result]]] = {
    "questions": questions, "training": training, "answers": answers,
}  # fmt: skip
TABLES = {"questions": questions_table, "training": training_table, "answers": answers_table}


if __name__ == "__main__":
    main()
