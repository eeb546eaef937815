"""Results as charts: the model beside its rivals, reliability, predicted against true, instructions, single episodes.

In: results files as read. Out: titles and SVG. What a file does not hold gives no chart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.reports.tables import contestants
from rfm.pages.charts import COLOURS, Axis, Bar, Chart, Frame, heat_map, lying_bars

METRICS = (("preference", "accuracy"), ("progress", "mae"), ("similarity", "accuracy"))
NAMES = {"accuracy": "accuracy", "mae": "mean absolute error"}
_DOTS = 1500
_MOST_TASKS = 40
_EPISODES = 6
_LEAST_POINTS = 4


def rivals(results: Numbers, name: str) -> Iterator[Chart]:
    """Yield for each sample type the model beside controls, baselines and the best constant answer."""
    for kind, metric in METRICS:
        bars = [
            Bar(name if at == 0 else who, numbers[kind][metric], _interval(numbers[kind], metric), own=at == 0)
            for at, (who, numbers) in enumerate(contestants(results))  # the model comes first
            if numbers.get(kind, {}).get(metric) is not None
        ]
        if kind not in results or not bars:
            continue
        highest = 1.0 if metric == "accuracy" else max(max(bar.value, *(bar.interval or (0,))) for bar in bars)
        better = "higher is better" if metric == "accuracy" else "lower is better"
        said = ", ".join(f"{bar.name} {bar.value:.3g}" for bar in bars)
        yield Chart(
            f"{kind}: {NAMES[metric]}", lying_bars(bars, highest, said), f"{better}; whiskers are 95% intervals"
        )


def reliability(files: Mapping[str, Numbers]) -> Iterator[Chart]:
    """Yield for each sample type how often what was given a probability was so."""
    for kind, _ in METRICS:
        given = {name: one["calibration"][kind] for name, one in files.items() if kind in one.get("calibration", {})}
        if not given:
            continue
        event = "the score is at least t" if kind == "progress" else "the answer is 1"
        frame = Frame(Axis(0, 1, f"probability that {event}"), Axis(0, 1, "how often it was so"))
        parts = [frame.line([(0, 0), (1, 1)], "ideal")]
        for name, numbers in given.items():
            points = [(part["predicted"], part["observed"]) for part in numbers["reliability"]]
            colour = f"c{list(files).index(name) % COLOURS}"
            parts += [frame.line(points, f"line {colour}"), *(frame.dot(x, y, colour) for x, y in points)]
        errors = [f"{name}: {one['ece']:.3f}" for name, one in given.items() if one.get("ece") is not None]
        words = f"expected calibration error {', '.join(errors)}; on the dashed line probabilities are true"
        yield Chart(f"{kind}: reliability", frame.draw(words, parts), words)


def predicted_and_true(results: Numbers) -> Iterator[Chart]:
    """Yield the model's scores against the true ones."""
    points = [(one["truth"], one["predicted"]) for one in _scores(results) if one["predicted"] is not None]
    if not points:
        return
    shown = points[:: max(len(points) // _DOTS, 1)]
    frame = Frame(Axis(0, 100, "true progress"), Axis(0, 100, "predicted"))
    dots = [frame.dot(x, y, "c0") for x, y in shown]
    few = f"{len(shown):,} of {len(points):,}" if len(shown) < len(points) else f"{len(points):,}"
    varies = all(len({*values}) > 1 for values in zip(*points, strict=True))
    correlation = f"; correlation {np.corrcoef(np.array(points).T)[0, 1]:.3f}" if varies else ""
    words = f"{few} answers{correlation}"
    drawing = frame.draw(words, [frame.line([(0, 0), (100, 100)], "ideal"), *dots])
    yield Chart("predicted and true progress", drawing, words)


def instructions(results: Numbers) -> Iterator[Chart]:
    """Yield the scores of videos by the instruction that was asked, pairs of one scene marked."""
    held = [one for one in _scores(results) if one.get("strategy") == "confusion" and one["predicted"] is not None]
    own = {one["trajectory"]: one["task"] for one in held if one.get("instruction") == "own"}
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    kinds: dict[tuple[str, str], str] = {}
    for one in held:
        if one["trajectory"] in own:
            pair = own[one["trajectory"]], one["task"]
            cells[pair].append(one["predicted"])
            kinds[pair] = one.get("instruction", "")
    if not cells:
        return
    every, asked = sorted({task for task, _ in cells}), sorted({task for _, task in cells})
    shown, tasks = every[:_MOST_TASKS], asked[:_MOST_TASKS]
    row, column = ({task: at for at, task in enumerate(names)} for names in (shown, tasks))
    drawn = {pair: given for pair, given in cells.items() if pair[0] in row and pair[1] in column}
    values = [(row[a], column[b], float(np.mean(given))) for (a, b), given in drawn.items()]
    marked = [(row[a], column[b]) for a, b in drawn if kinds[a, b] in ("own", "same_scene")]
    few = f"; {_MOST_TASKS} of {len(asked)} instructions are drawn" if len(tasks) < len(asked) else ""
    words = (
        "mean score of the videos of each task (rows) on each instruction (columns). Framed are a video's own "
        f"instruction and those of its scene; all others should be 0{few}"
    )
    yield Chart("does it read the instruction?", heat_map(shown, tasks, values, marked, words), words)


def episodes(results: Numbers) -> Iterator[Chart]:
    """Yield curves of the episodes that were asked about at several lengths: the worst and the best."""
    by_episode: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for one in _scores(results):
        if one.get("instruction", "own") == "own" and one.get("strategy") == "prefixes" and "last_frame" in one:
            by_episode[one["trajectory"]].append(one)
    long = {key: sorted(held, key=lambda one: one["last_frame"]) for key, held in by_episode.items()
            if len({one["last_frame"] for one in held}) >= _LEAST_POINTS}  # fmt: skip
    ordered = sorted(long, key=lambda key: -_mean_error(long[key]))
    half = _EPISODES // 2
    chosen = ordered if len(ordered) <= _EPISODES else [*ordered[:half], *ordered[-half:]]
    for key in chosen:
        held = long[key]
        last = held[-1]["last_frame"]
        frame = Frame(Axis(0, last, "last frame shown", (0, last // 2, last)), Axis(0, 100), width=360, height=220)
        true = frame.line([(one["last_frame"], one["truth"]) for one in held], "ideal")
        given = [(one["last_frame"], one["predicted"]) for one in held if one["predicted"] is not None]
        words = f"off by {_mean_error(held):.1f} on average; dashed is the truth"
        drawing = frame.draw(words, [true, frame.line(given, "line c0"), *(frame.dot(x, y, "c0") for x, y in given)])
        yield Chart(f"{held[0]['task']} (episode {key})", drawing, words)


def _mean_error(held: Sequence[Mapping[str, Any]]) -> float:
    off = [100.0 if one["predicted"] is None else abs(one["predicted"] - one["truth"]) for one in held]
    return float(np.mean(off))


def _scores(results: Numbers) -> Iterator[Mapping[str, Any]]:
    """Yield the judged predictions of progress."""
    for one in results.get("predictions", ()):
        if one["sample_type"] == "progress" and "truth" in one:
            yield one


def _interval(numbers: Numbers, metric: str) -> tuple[float, float] | None:
    bounds = numbers.get(f"{metric}_interval")
    return None if bounds is None else (bounds[0], bounds[1])
