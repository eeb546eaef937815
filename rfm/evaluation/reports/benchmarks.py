"""The tables and lines of public benchmarks, from what their results files say under `benchmark`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rich.table import Table

from rfm.console import plain
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.table import FittedTable

_LEVELS = (
    ("macro_mae", "MAE over subsets"),
    ("micro_mae", "MAE over rows"),
    ("answered_macro_mae", "answered: subsets"),
    ("answered_micro_mae", "answered: rows"),
    ("exact", "exact"),
)
_WITH_INTERVAL = ("macro_mae", "micro_mae")
_RBM = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "tau_a": "tau-a",
    "tau_b": "tau-b",
    "pair_accuracy": "pairs",
    "diagonal": "own",
    "off_diagonal": "others",
    "gap": "gap",
}
_POINTS = ("diagonal", "off_diagonal", "gap")


def benchmark_tables(results: Numbers) -> Iterator[Table]:
    """Yield the tables of the benchmark that the results are of; none where they are of a dataset."""
    name = results.get("benchmark", {}).get("name")
    yield from _TABLES[name](results) if name in _TABLES else ()


def benchmark_lines(results: Numbers) -> Iterator[str]:
    """Yield what the benchmark's figures rest on."""
    known = results.get("benchmark", {})
    name = known.get("name")
    yield from _LINES[name](known) if name in _LINES else ()


def _roboreward(results: Numbers) -> Iterator[Table]:
    """RoboRewardBench: all rows, by where they come from, by subset."""
    numbers = results.get("five_levels")
    if numbers is None:
        return
    rows = {"all": numbers, **_parts(numbers, "strategy")}
    yield _levels("RoboRewardBench: errors in levels 1 to 5, unparsed answers as 4 and left out", rows)
    yield _levels("by subset", _parts(numbers, "source"))


def _levels(title: str, rows: Mapping[str, Numbers]) -> Table:
    table = _table(title)
    for name in ("rows", *(label for _, label in _LEVELS), "unparsed"):
        table.add_column(name, justify="right")
    for name, numbers in rows.items():
        cells = (_cell(numbers, metric, "{:.3f}", metric in _WITH_INTERVAL) for metric, _ in _LEVELS)
        table.add_row(plain(name), str(numbers["count"]), *cells, str(numbers["unparsed"]))
    return table


def _parts(numbers: Numbers, by: str) -> Numbers:
    parts: Numbers = numbers.get(f"by_{by}", {})
    return parts


def _roboreward_lines(known: Numbers) -> Iterator[str]:
    covered = known["coverage"]
    which = "the released list of videos" if known["as_released"] else "a list of videos that is not the released one"
    yield (
        f"{covered['judged']} of {covered['lines']} lines were judged ({covered['released_lines']} are released), "
        f"{covered['subsets']} of {covered['released_subsets']} subsets, {covered['videos']} distinct videos in "
        f"{covered['files']} files; {which}, sha256 {known['metadata_sha256']}"
    )
    yield f"{known['rule']}; up to {known['max_frames']} frames a clip, as {known['max_frames_from']} says"


def _rbm(results: Numbers) -> Iterator[Table]:
    """RFM's and Robometer's sets: a row for each dataset and set, then the means over datasets."""
    table = _table("evaluation sets of RFM and Robometer")
    for name in ("set", "rows", "episodes", "tasks", "frames", "score"):
        table.add_column(name, justify="left" if name in ("set", "score") else "right")
    known = results["benchmark"]
    for key, sets in known["datasets"].items():
        for name, one in sets.items():
            if "why_not" not in one:
                counts = (str(one[count]) for count in ("rows", "episodes", "tasks", "max_frames"))
                table.add_row(plain(key), plain(name), *counts, plain(_scores(one, intervals=True)))
    for name, one in known["mean_over_datasets"].items():
        if one["datasets"] > 1:
            said = plain(f"mean of {one['datasets']} datasets")
            table.add_row(said, plain(name), "", "", "", "", plain(_scores(one, intervals=False)))
    yield table


def _rbm_lines(known: Numbers) -> Iterator[str]:
    for key, sets in known["datasets"].items():
        for name, one in sets.items():
            if "why_not" in one:
                yield f"{key} has no {name}: {one['why_not']}"
            if one.get("undefined"):
                count = f"{one['undefined']} of {one['episodes']} correlations are undefined"
                yield f"{key}, {name}: {count} (a constant score, or an unparsed one) and count as 0"
            if one.get("unparsed"):
                yield f"{key}, {name}: {one['unparsed']} of {one['rows']} answers are unparsed and count as the worst"
    yield f"up to {known['max_frames']} frames a clip, as {known['max_frames_from']} says; seed {known['seed']}"


def _scores(numbers: Numbers, *, intervals: bool) -> str:
    return ", ".join(
        f"{label} {_cell(numbers, name, '{:.1f}' if name in _POINTS else '{:.3f}', intervals)}"
        for name, label in _RBM.items()
        if name in numbers
    )


def _table(title: str) -> Table:
    table = FittedTable(title)
    table.add_column("", no_wrap=True)
    return table


def _cell(numbers: Numbers, metric: str, form: str, with_interval: bool) -> str:
    value, bounds = numbers.get(metric), numbers.get(f"{metric}_interval")
    if value is None:
        return "-"
    text = form.format(value)
    return f"{text} [{form.format(bounds[0])}, {form.format(bounds[1])}]" if with_interval and bounds else text


_TABLES: Mapping[str, Callable[[Numbers], Iterator[Table]]] = {"roboreward": _roboreward, "rbm": _rbm}
_LINES: Mapping[str, Callable[[Numbers], Iterator[str]]] = {"roboreward": _roboreward_lines, "rbm": _rbm_lines}
