"""Results as tables on the terminal: how far the model is ahead of its controls, then everything else."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

from rich.box import MARKDOWN
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rfm.console import PlainConsole, plain
from rfm.console import results as output
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.reports.benchmarks import benchmark_lines, benchmark_tables
from rfm.evaluation.reports.instructions import gap_lines, instruction_tables
from rfm.export.markdown import prose
from rfm.table import FittedTable

_WIDE = 300
"""Columns of Markdown tables, whose lines are never broken."""
_NAMES = {"accuracy": "accuracy", "mae": "MAE", "rmse": "RMSE"}
_COLUMNS = (("preference", "accuracy"), ("progress", "mae"), ("progress", "rmse"), ("similarity", "accuracy"))
_MAIN = (("preference", "accuracy"), ("progress", "mae"), ("similarity", "accuracy"))
_CONTROLS = {
    "blank": "blank frames",
    "first_frame": "first frame only",
    "last_frame": "last frame only",
    "shuffled": "frames shuffled",
    "reversed": "frames reversed",
    "frozen_tail": "frozen tail",
    "other_instruction": "other instruction",
    "swapped": "videos swapped",
    "floor": "non-visual floor",
    "best_constant": "best constant",
}
SET_COLUMNS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "reward_alignment": (("pearson", "alignment: Pearson"), ("spearman", "alignment: Spearman")),
    "policy_ranking": (("tau_a", "ranking: tau-a"), ("tau_b", "ranking: tau-b"), ("pair_accuracy", "ranking: pairs")),
    "instruction_following": (("followed", "instructions: followed"), ("pair_accuracy", "instructions: pairs")),
    "quality_preference": (("accuracy", "quality: accuracy"),),
    "five_levels": (("micro_mae", "five levels: MAE"), ("macro_mae", "five levels: macro MAE")),
}
"""What is shown of the metrics beyond the specification's."""
FEW_EPISODES = 10
"""Below that a side is too small to be judged on by itself."""
_BESIDE_SETS = ("blank", "first_frame", "shuffled")
_SHARES = (
    "accuracy",
    "pearson",
    "spearman",
    "tau_a",
    "tau_b",
    "pair_accuracy",
    "micro_mae",
    "macro_mae",
    "ece",
    "followed",
)


def print_results(results: Numbers) -> None:
    """Print the gap to the best control, the contestants, the other metrics and the breakdown by strategy."""
    for table in _tables(results):
        output().print(table)
    lines = (mismatch_lines, unparsed_lines, gap_lines, thin_lines, benchmark_lines)
    for line in (line for about in lines for line in about(results)):
        output().print(line, style="yellow", soft_wrap=True)


def markdown(results: Numbers) -> str:
    """Return the same tables as Markdown, to be pasted into a document."""
    writer = PlainConsole(width=_WIDE, color_system=None, file=io.StringIO())
    with writer.capture() as capture:
        for table in _tables(results):
            writer.print(f"**{prose(table.title)}**\n")
            writer.print(_in_markdown(table))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _in_markdown(table: Table) -> Table:
    """Return a table whose words of data, which are `Text`, are escaped."""
    escaped = Table(box=MARKDOWN, pad_edge=False)
    for column in table.columns:
        escaped.add_column(_escaped(column.header), justify=column.justify, no_wrap=column.no_wrap)
    for row in zip(*(column.cells for column in table.columns), strict=True):
        escaped.add_row(*map(_escaped, row))
    return escaped


def _escaped(cell: RenderableType) -> RenderableType:
    return prose(cell.plain) if isinstance(cell, Text) else cell


def mismatch_lines(results: Numbers) -> Iterator[str]:
    """Yield what the model was asked otherwise than it was trained."""
    for name, values in (results.get("input_mismatch") or {}).items():
        was, now = ("the dataset's own" if value is None else value for value in (values["trained"], values["asked"]))
        yield f"asked otherwise than trained: {name} was {was} in training and is {now} here"


def unparsed_lines(results: Numbers) -> Iterator[str]:
    """Yield for each sample type how many of the model's answers are none; each counts as wrong, or as off by 100."""
    style = results.get("decoding", {}).get("prompting")
    form = "`ANS: …`" if style is None else f"that `prompting` {style} asks for"
    way_out = ", --decoding scored or constrained leaves no choice" if style is None else ""
    for kind in dict.fromkeys(kind for kind, _ in _MAIN):
        numbers = results.get(kind, {})
        if numbers.get("unparsed"):
            yield (
                f"{kind}: {numbers['unparsed']} of {numbers['count']} answers are not of the form {form} and count "
                f"as wrong; `predictions` in the file shows them{way_out}"
            )


def thin_lines(results: Numbers) -> Iterator[str]:
    """Yield what the tables can't say: figures that rest on few episodes, and a floor that could not be measured."""
    for kind in dict.fromkeys(kind for kind, _ in _MAIN):
        episodes = results.get(kind, {}).get("episodes", FEW_EPISODES)
        if episodes == 1:
            yield f"{kind}: all questions are about one episode, so there is no interval, and another may give anything"
        elif episodes < FEW_EPISODES:
            way_out = "; `rfm generate --folds 5` makes what is needed to judge on every episode in turn"
            yield (
                f"{kind}: all questions are about {episodes} episodes, too few for the interval to be trusted"
                f"{'' if 'benchmark' in results else way_out}"
            )
        if why := results["controls"].get("floor", {}).get(kind, {}).get("why_not"):
            yield f"{kind}: the non-visual floor is not measured: {why}"


def gap_table(results: Numbers) -> Table:
    """Return by sample type how far the model is ahead of what does best without its content."""
    table = FittedTable("ahead of its best control")
    for name in ("", "model", "best control", "", "ahead by"):
        table.add_column(name, justify="left" if name in ("", "best control") else "right")
    for kind, lead in results["gap"].items():
        metric = lead["metric"]
        model = _form(metric, results[kind][metric])
        control = _form(metric, lead["control"])
        name = f"{kind} {_NAMES[metric]}"
        table.add_row(name, model, plain(contestant_name(lead["best_control"])), control, gap_cell(metric, lead))
    return table


def summary_table(results: Numbers) -> Table:
    """Return a row for the model, each control, baseline and the best constant answer; 95% intervals in brackets."""
    shown = [(kind, metric) for kind, metric in _COLUMNS if kind in results]
    table = FittedTable(f"{results['total_samples']} samples of {results['dataset_path']}")
    table.add_column("", no_wrap=True)
    for kind, metric in shown:
        table.add_column(f"{kind} {_NAMES[metric]}", justify="right")
    for name, numbers in contestants(results):
        table.add_row(plain(name), *(_summary_cell(numbers.get(kind, {}), metric) for kind, metric in shown))
    return table


def set_table(results: Numbers) -> Table:
    """Return the metrics beyond the specification's, of the model and of some of its controls."""
    shown = [name for name in SET_COLUMNS if name in results]
    table = FittedTable("other metrics")
    table.add_column("")
    table.add_column("model", justify="right")
    others = [(name, results["controls"][name]) for name in _BESIDE_SETS if name in results["controls"]]
    for name, _ in others:
        table.add_column(plain(contestant_name(name)), justify="right")
    for name in shown:
        for metric, label in SET_COLUMNS[name]:
            cells = [_bare(_cell(numbers.get(name, {}), metric)) for _, numbers in others]
            table.add_row(label, _cell(results[name], metric), *cells)
    return table


def strategy_table(results: Numbers) -> Table:
    """Return a row for each strategy: accuracy, or MAE for progress."""
    table = FittedTable("by strategy")
    table.add_column("", no_wrap=True)
    for name in ("rows", "accuracy or MAE", "constant"):
        table.add_column(name, justify="right", no_wrap=True)
    for kind, metric in _MAIN:
        for name, numbers in results.get(kind, {}).get("by_strategy", {}).items():
            constant = results["best_constant"][kind]["by_strategy"][name]
            cells = _cell(numbers, metric), _bare(_cell(constant, metric))
            table.add_row(plain(f"{kind}/{name}"), str(numbers["count"]), *cells)
    return table


def _tables(results: Numbers) -> Iterator[Table]:
    yield from benchmark_tables(results)
    if results.get("gap"):
        yield gap_table(results)
    yield summary_table(results)
    if any(name in results for name in SET_COLUMNS):
        yield set_table(results)
    yield from instruction_tables(results)
    yield strategy_table(results)


def contestants(results: Numbers) -> Iterator[tuple[str, Numbers]]:
    """Yield the names and metrics of the model and all that it is compared with."""
    yield "model", results
    for name, numbers in results["controls"].items():
        yield contestant_name(name), numbers
    for name, numbers in results.get("baselines", {}).items():
        yield name.replace("_", " "), numbers
    yield "best constant", results["best_constant"]


def contestant_name(name: str) -> str:
    """Return how a control is called in tables."""
    return _CONTROLS.get(name, name)


def gap_cell(metric: str, numbers: Numbers) -> str:
    """Return a gap with its sign and interval."""
    bounds = numbers["gap_interval"]
    text = f"{numbers['gap']:+.3f}" if metric == "accuracy" else f"{numbers['gap']:+.1f}"
    return text if bounds is None else f"{text} [{_form(metric, bounds[0])}, {_form(metric, bounds[1])}]"


def _form(metric: str, value: float) -> str:
    return f"{value:.3f}" if metric in _SHARES else f"{value:.1f}"


def _summary_cell(numbers: Numbers, metric: str) -> str:
    cell = _cell(numbers, metric)
    return _bare(cell) if metric == "rmse" else cell  # a third interval does not fit into 80 columns


def _cell(numbers: Numbers, metric: str) -> str:
    value = numbers.get(metric)
    if value is None:
        return "-"
    bounds = numbers.get(f"{metric}_interval")
    text = _form(metric, value)
    if bounds is None:
        return f"{text} (one episode)" if numbers.get("episodes") == 1 else text
    return f"{text} [{_form(metric, bounds[0])}, {_form(metric, bounds[1])}]"


def _bare(cell: str) -> str:
    """Return a cell without its interval."""
    return cell.partition(" [")[0].partition(" (")[0]
