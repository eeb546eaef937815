"""Results files on one page: what the model is worth first, then where it fails, then everything that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.reports.instructions import gap_lines
from rfm.evaluation.reports.tables import mismatch_lines, thin_lines, unparsed_lines
from rfm.pages.charts import legend
from rfm.pages.document import embedded, render
from rfm.pages.results import charts, tables
from rfm.pages.results.worst import worst


def results_page(paths: Sequence[str], files: Sequence[Numbers], datasets_root: str | None) -> str:
    """Return the page of results files, in their order."""
    names = names_of(paths)
    by_name, by_path = dict(zip(names, files, strict=True)), dict(zip(names, paths, strict=True))
    found = worst(by_path, by_name, datasets_root)
    return render(
        "results.html",
        ("cards.js", "report.js"),
        title=", ".join(names),
        legend=legend(names),
        files=[_file(name, by_path[name], one) for name, one in by_name.items()],
        overview=tables.overview(by_name),
        reliability=list(charts.reliability(by_name)),
        why_not=found.why_not,
        data=embedded({"cards": found.cards}),
        cards=len(found.cards),
        pictures=found.album.blocks(),
    )


def names_of(paths: Sequence[str]) -> list[str]:
    """Return the shortest ends of the paths that tell them apart.

    >>> names_of(["a/small/results.json", "a/large/results.json"])
    ['small/results.json', 'large/results.json']
    """
    parts = [Path(path).absolute().parts for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(one[-count:]) for one in parts]
        if len({*names}) == len(names):
            return names
    return list(paths)


def _file(name: str, path: str, results: Numbers) -> Mapping[str, Any]:
    """Return everything that the page says of one file."""
    lines = (mismatch_lines, unparsed_lines, gap_lines, thin_lines)
    return {
        "name": name,
        "path": path,
        "model": results["model_path"],
        "dataset": results["dataset_path"],
        "verdict": list(tables.verdict(results)),
        "warnings": [line for about in lines for line in about(results)],
        "rivals": list(charts.rivals(results, "this model")),
        "scores": [*charts.predicted_and_true(results)],
        "instructions": list(charts.instructions(results)),
        "episodes": list(charts.episodes(results)),
        "breakdowns": list(tables.breakdowns(results)),
        "settings": tables.settings(results),
    }
