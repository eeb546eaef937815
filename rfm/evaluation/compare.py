"""`rfm compare A.json B.json`: is B better than A, on the very same rows, and where?

Both results need their predictions of the same rows of the same dataset. Rows that
one of the two could not read are left out and counted. A row is won by the result whose answer is nearer to the truth
(of pairs: right where the other one is wrong). Differences are those of the main metric, positive where B is better,
with 95% intervals over trajectories of the paired differences. Where rows ask instructions of one scene, the gaps own -
same scene are compared too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from rfm.console import show
from rfm.errors import ConfigError, DataError
from rfm.evaluation.gap_comparison import compared_gaps
from rfm.evaluation.metrics.accuracy import Numbers, errors, hits
from rfm.evaluation.metrics.bootstrap import interval
from rfm.evaluation.metrics.gaps import MAIN_METRIC
from rfm.evaluation.reports.comparison import print_comparison
from rfm.export.results_file import read_results
from rfm.files.ownership import check_new_file
from rfm.files.staging import staged_file

logger = logging.getLogger(__name__)

_SAME = ("row", "sample_type", "answer")


@dataclass(frozen=True)
class CompareOptions:
    """Compare two results of `rfm evaluate` on the same rows."""

    first: str = field(metadata={"help": "Results file A", "positional": True})
    second: str = field(metadata={"help": "Results file B", "positional": True})
    output_path: str | None = field(default=None, metadata={"help": "Path to save the comparison as JSON"})
    overwrite: bool = field(default=False, metadata={"help": "Replace a file that exists"})
    most_different: int = field(default=10, metadata={"help": "Rows to list on which the two differ most"})

    def __post_init__(self) -> None:
        if self.most_different < 0:
            raise ConfigError(f"`most_different` must be at least 0, but is {self.most_different}")


def compare(options: CompareOptions) -> int:
    """Run `rfm compare`."""
    if options.output_path is not None:
        inputs = [Path(options.first), Path(options.second)]
        check_new_file("output_path", Path(options.output_path), overwrite=options.overwrite, inputs=inputs)
    found = compare_results(read_predictions(options.first), read_predictions(options.second), options)
    if options.output_path is not None:
        path = Path(options.output_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(path) as staged:
            staged.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        logger.info("comparison: %s", path)
    show(lambda: found, lambda: print_comparison(found))  # last: whoever reads it may stop
    return 0


def read_predictions(path: str) -> Numbers:
    """Read a results file with predictions; raises `DataError` where it is none."""
    results = read_results(path, ("model_path", "dataset_path"))
    if "predictions" not in results:
        raise DataError(f"{path} must hold predictions, but does not: evaluate again without --no_save_predictions")
    if len(results["predictions"]) != results["total_samples"]:
        raise DataError(
            f"{path} must hold a prediction for each of its {results['total_samples']} rows, but holds "
            f"{len(results['predictions'])}; evaluate again"
        )
    return results


def compare_results(first: Numbers, second: Numbers, options: CompareOptions) -> Numbers:
    """Return the comparison by sample type; raises `DataError` where the rows are not the same."""
    _check_same(first, second, options)
    pairs = [pair for pair in zip(first["predictions"], second["predictions"], strict=True) if _both_judged(*pair)]
    kinds = [kind for kind in MAIN_METRIC if any(a["sample_type"] == kind for a, _ in pairs)]
    names = {"first": options.first, "second": options.second}
    return {
        **{
            name: {"results": path, "model_path": one["model_path"]}
            for (name, path), one in _both(names, first, second)
        },
        "total_samples": first["total_samples"],
        "left_out": first["total_samples"] - len(pairs),
        **{kind: _kind([pair for pair in pairs if pair[0]["sample_type"] == kind], kind, options) for kind in kinds},
        "same_scene_gap": compared_gaps(pairs),
    }


def _both(names: Mapping[str, str], first: Numbers, second: Numbers) -> Any:
    return zip(names.items(), (first, second), strict=True)


def _check_same(first: Numbers, second: Numbers, options: CompareOptions) -> None:
    hashes = [one.get("dataset_hash") for one in (first, second)]
    if None not in hashes and hashes[0] != hashes[1]:
        raise DataError(
            f"both results must be of one dataset, but {options.first} is of {first['dataset_path']} and "
            f"{options.second} of {second['dataset_path']}, whose contents differ; evaluate both on the same one"
        )
    if first["total_samples"] != second["total_samples"]:
        raise DataError(
            f"both results must be of the same rows, but {options.first} has {first['total_samples']} and "
            f"{options.second} {second['total_samples']}; evaluate both with the same --max_samples"
        )
    for a, b in zip(first["predictions"], second["predictions"], strict=True):
        if any(a[name] != b[name] for name in _SAME):
            raise DataError(
                f"both results must be of the same rows, but row {a['row']} is a {a['sample_type']} question with the "
                f"answer {a['answer']} in {options.first} and a {b['sample_type']} question with the answer "
                f"{b['answer']} in {options.second}; evaluate both on the same dataset"
            )


def _both_judged(first: Numbers, second: Numbers) -> bool:
    return "truth" in first and "truth" in second


def _kind(pairs: Sequence[tuple[Numbers, Numbers]], kind: str, options: CompareOptions) -> Numbers:
    truth = np.array([a["truth"] for a, _ in pairs], np.float64)
    scores = [_scores(kind, [pair[side] for pair in pairs], truth) for side in (0, 1)]
    group = np.array([a["trajectory"] for a, _ in pairs])
    task = np.array([a["task"] for a, _ in pairs])
    difference = scores[1] - scores[0]
    by_task = {str(name): _numbers(kind, scores, group, task == name) for name in np.unique(task)}
    order = np.argsort(-np.abs(difference), kind="stable")[: options.most_different]
    return {
        **_numbers(kind, scores, group, np.ones(len(pairs), bool)),
        "by_task": by_task,
        "most_different": [_shown(*pairs[at]) for at in order if difference[at] != 0],
    }


def _scores(kind: str, predictions: Sequence[Numbers], truth: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    values = np.array([one["predicted"] for one in predictions], np.float64)  # None becomes NaN
    return -errors(values, truth) if kind == "progress" else hits(values, truth)


def _numbers(kind: str, scores: Sequence[np.ndarray], group: np.ndarray, rows: np.ndarray) -> Numbers:
    first, second = (side[rows] for side in scores)
    sign, metric = (-1.0 if kind == "progress" else 1.0), MAIN_METRIC[kind]
    difference = second - first
    return {
        "count": int(rows.sum()),
        "metric": metric,
        "first": sign * float(first.mean()) + 0.0,  # no -0.0 of errors that are 0
        "second": sign * float(second.mean()) + 0.0,
        "difference": float(difference.mean()),
        "difference_interval": interval(difference, group[rows]),
        "wins": int((difference > 0).sum()),
        "losses": int((difference < 0).sum()),
        "ties": int((difference == 0).sum()),
    }


def _shown(first: Numbers, second: Numbers) -> Numbers:
    same = {name: first[name] for name in ("row", "task", "strategy", "truth")}
    return {**same, "first": first["completion"], "second": second["completion"]}
