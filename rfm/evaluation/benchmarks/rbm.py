"""`rfm bench rbm`: what RFM and Robometer evaluate, on their processed evaluation sets (Liang et al. 2026).

    alignment   does the score rise over the prefixes of a success?          Pearson and Spearman (VOC)
    ranking     do better episodes of a task get higher scores at the end?   tau-a, tau-b, pairs in order
    confusion   does the score of a whole video follow the instruction?      own, others, the gap

Each dataset's scores stand under `benchmark.datasets`, with the rows, episodes, tasks, frames and seed that they rest
on; `benchmark.mean_over_datasets` weighs datasets alike, the keys of an evaluation (`reward_alignment`, …) rows or
tasks. Everything else that `rfm evaluate` has is there too.
"""

from __future__ import annotations

from functools import partial

from rfm.evaluation.benchmarks.options import RbmOptions
from rfm.evaluation.benchmarks.rbm_questions import Drawn, draw, find_datasets
from rfm.evaluation.engines import asked_as_trained
from rfm.evaluation.evaluate import concluded, evaluate_exam
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.sets import SET_METRICS
from rfm.evaluation.results_output import check_output
from rfm.inference.ranks import processes

NAME = "rbm"
FRAMES = 8
"""Shown of a clip where neither the user nor the checkpoint says how many; as Robometer's own models are shown."""
SCORES = {
    "alignment": ("reward_alignment", ("pearson", "spearman")),
    "ranking": ("policy_ranking", ("tau_a", "tau_b", "pair_accuracy")),
    "confusion": ("instruction_confusion", ("diagonal", "off_diagonal", "gap")),
}
"""By set, the metric of the evaluation and its figures."""


def bench_rbm(options: RbmOptions) -> int:
    """Run `rfm bench rbm`; status 1 where more rows are unreadable than allowed."""
    check_output(options)
    root, keys = find_datasets(options)
    asked = options.asked(asked_as_trained(options), FRAMES)
    exam, drawn = draw(options, root, keys, asked.max_frames, discrete=asked.discrete)
    known = {"name": NAME, **asked.record(), "seed": options.draw_seed}
    with processes() as ranks:
        results = evaluate_exam(options, exam, ranks, partial(_also, drawn, known))
    return concluded(options, results, ranks)


def _also(drawn: Drawn, known: Numbers, results: Numbers) -> Numbers:
    """Return what the results file says of the benchmark."""
    datasets = {
        key: {name: one | _scores(name, results, key) for name, one in sets.items()}
        for key, sets in drawn.datasets.items()
    }
    lacking = {name: why for name, why in results["not_computed"].items() if name not in SET_METRICS}
    return {
        "not_computed": lacking,
        "benchmark": {**known, "datasets": datasets, "mean_over_datasets": _means(datasets)},
    }


def _scores(name: str, results: Numbers, key: str) -> Numbers:
    """Return a dataset's figures of one set with their intervals; none where it has no such questions."""
    metric, figures = SCORES[name]
    found = results.get(metric, {}).get("by_source", {}).get(key, {})
    wanted = [*figures, *(f"{figure}_interval" for figure in figures), "unparsed", "undefined"]
    return {figure: found[figure] for figure in wanted if figure in found}


def _means(datasets: dict[str, Numbers]) -> Numbers:
    """Return by set the means of the datasets' figures, and of how many they are."""
    found = {}
    for name, (_, figures) in SCORES.items():
        values = [[sets[name].get(figure) for figure in figures] for sets in datasets.values() if name in sets]
        known = [row for row in values if None not in row]
        if known:
            means = (sum(column) / len(known) for column in zip(*known, strict=True))
            found[name] = {"datasets": len(known), **dict(zip(figures, means, strict=True))}
    return found
