"""The metrics that need questions which belong together: those of `rfm generate --eval_set`.

Each is computed on the rows of its set alone and only where there are some; where there are none, `not_computed` says
what to generate. A dataset may hold several sets, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from rfm.evaluation.judge import BREAKDOWNS, UNKNOWN, Sheet
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.alignment import alignment_metrics
from rfm.evaluation.metrics.confusion import OTHER, OWN, confusion_metrics
from rfm.evaluation.metrics.following import following_metrics
from rfm.evaluation.metrics.levels import level_metrics
from rfm.evaluation.metrics.quality import quality_metrics
from rfm.evaluation.metrics.ranking import ranking_metrics
from rfm.trajectories.record import QUALITY_LABELS

SAME_SCENE_GAP = "same_scene_gap"
"""The key under which `not_computed` says why there is no gap own - same scene."""

_NOT_SAID = (
    "{} rows have no `instruction_kind`, so whether they ask a task of the video's own scene is not said: generate the "
    "set again"
)
_NOT_ASKED = (
    "no row asks another task of a video's own scene: that needs trajectories with `progress_by_task` "
    "(`rfm ingest --opposites` writes it)"
)
_Columns = dict[str, np.ndarray]


class SetMetric(NamedTuple):
    """A metric, the rows it is computed on and how its arguments come from them."""

    kind: str
    strategies: tuple[str, ...]
    """`data_gen_strategy` of its rows; () for all of the type."""
    qualities: tuple[str, ...] | None
    """Labels of its rows; None for all."""
    metrics: Callable[..., Numbers]
    columns: Callable[[Sheet, Float64[np.ndarray, " n"]], _Columns]
    needs: str
    breakdowns: tuple[str, ...] = BREAKDOWNS
    """What it can be broken down by without parting rows that belong together."""


def _alignment(sheet: Sheet, predicted: Float64[np.ndarray, " n"]) -> _Columns:
    return {"predicted": predicted, "target": sheet.truth, "group": sheet.group}


def _ranking(sheet: Sheet, predicted: Float64[np.ndarray, " n"]) -> _Columns:
    quality = np.array([QUALITY_LABELS.index(label) for label in sheet.quality], np.int64)
    return {"predicted": predicted, "quality": quality, "task": sheet.names["task"], "group": sheet.group}


def _confusion(sheet: Sheet, predicted: Float64[np.ndarray, " n"]) -> _Columns:
    return {"predicted": predicted, "known": sheet.truth, "instruction": _asked(sheet), "group": sheet.group}


def _asked(sheet: Sheet) -> np.ndarray:
    """Return whose instruction each row asks; rows that do not say it have the answer 0 for all but their own."""
    kind = sheet.names["instruction"]
    return np.where(kind == UNKNOWN, np.where(sheet.truth > 0, OWN, OTHER), kind)


def _following(sheet: Sheet, predicted: Float64[np.ndarray, " n"]) -> _Columns:
    return {**_confusion(sheet, predicted), "last_frame": sheet.last_frame}


def _quality(sheet: Sheet, predicted: Float64[np.ndarray, " n"]) -> _Columns:
    groups = {"group": sheet.group, "other_group": sheet.other_group}
    return {"predicted": predicted, "answer": sheet.truth, **groups, "labels": sheet.quality}


def _levels(sheet: Sheet, predicted: Float64[np.ndarray, " n"]) -> _Columns:
    source = sheet.names["source"]
    return {"predicted": predicted, "target": sheet.truth, "source": source, "group": sheet.group}


SET_METRICS: Mapping[str, SetMetric] = {
    "reward_alignment": SetMetric(
        "progress",
        ("prefixes",),
        ("successful",),
        alignment_metrics,
        _alignment,
        "rows of `--eval_set prefixes` that show successful episodes",
    ),
    "policy_ranking": SetMetric(
        "progress",
        ("ranking",),
        QUALITY_LABELS,
        ranking_metrics,
        _ranking,
        "rows of `--eval_set ranking` with quality labels",
    ),
    "instruction_confusion": SetMetric(
        "progress", ("confusion",), None, confusion_metrics, _confusion, "rows of `--eval_set confusion`"
    ),
    "instruction_following": SetMetric(
        "progress",
        ("instruction",),
        None,
        following_metrics,
        _following,
        "rows of `--eval_set instruction`",
        ("source",),
    ),
    "quality_preference": SetMetric(
        "preference",
        ("quality", "quality_preference"),
        None,
        quality_metrics,
        _quality,
        "rows of `--eval_set quality` or `--eval_mode`",
    ),
    "five_levels": SetMetric("progress", (), None, level_metrics, _levels, "progress rows"),
}
"""By their keys in the results file."""


def set_metrics(
    sheets: Sequence[Sheet],
    predicted: Mapping[str, Float64[np.ndarray, " n"]],
    breakdowns: Sequence[str] = BREAKDOWNS,
) -> tuple[Numbers, dict[str, str]]:
    """Return the metrics whose rows exist, and for the others why they were not computed.

    `predicted` are the answers by sample type, in the order of the sheets' rows.
    """
    computed: Numbers = {}
    not_computed = {}
    by_kind = {sheet.kind: sheet for sheet in sheets}
    for name, metric in SET_METRICS.items():
        sheet = by_kind.get(metric.kind)
        chosen = None if sheet is None else _rows(sheet, metric)
        if sheet is None or chosen is None or not chosen.any():
            not_computed[name] = f"needs {metric.needs}, of which this dataset has none"
            continue
        part = sheet.select(chosen)
        columns = metric.columns(part, predicted[metric.kind][chosen])
        parted_by = [one for one in breakdowns if one in metric.breakdowns]
        computed[name] = part.broken_down(metric.metrics, columns, parted_by)
    return computed, not_computed | _without_gap(computed)


def _without_gap(computed: Numbers) -> dict[str, str]:
    """Return why there is no gap own - same scene, where confusion was computed and it could not be."""
    confusion = computed.get("instruction_confusion", {})
    if confusion.get(SAME_SCENE_GAP, 0.0) is not None:
        return {}
    return {SAME_SCENE_GAP: _NOT_SAID.format(confusion[OTHER]["count"]) if OTHER in confusion else _NOT_ASKED}


def _rows(sheet: Sheet, metric: SetMetric) -> np.ndarray:
    chosen = np.ones(len(sheet.rows), bool)
    if metric.strategies:
        chosen &= np.isin(sheet.names["strategy"], metric.strategies)
    if metric.qualities is not None:
        chosen &= np.isin(sheet.quality, metric.qualities)
    return chosen
