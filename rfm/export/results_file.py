"""The results file of an evaluation, read back for tables, pictures, comparisons and model cards.

It may have been written by hand or by another version: what readers rely on is checked here, once, and named where it
is missing or of another kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rfm.errors import DataError
from rfm.files.documents.json_documents import LARGE, read_json
from rfm.files.documents.shapes import (
    COUNT,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    Shape,
    fields,
    fitted,
    leaf,
    listed,
    named,
    nullable,
)
from rfm.vqa.schema import INSTRUCTION_KINDS

KINDS = ("preference", "progress", "similarity")
"""The sample types that metrics stand under."""

_METRICS = (
    "accuracy", "mae", "rmse", "pearson", "spearman", "tau_a", "tau_b", "pair_accuracy", "gap", "micro_mae",
    "macro_mae", "answered_micro_mae", "answered_macro_mae", "ece", "answer", "score", "known", "same_scene_gap",
    "same_scene_gap_known", "followed", "diagonal", "off_diagonal", "exact",
)  # fmt: skip
_COUNTS = ("count", "unparsed", "undefined", "correct", "episodes")
_SETS = (
    "reward_alignment",
    "policy_ranking",
    "instruction_confusion",
    "instruction_following",
    "quality_preference",
    "five_levels",
)
_MAIN = leaf("accuracy or mae", lambda value: value in ("accuracy", "mae"))
_INTERVAL = nullable(listed(NUMBER, 2))


def _numbers(value: Any, name: str) -> None:
    """Metrics under their names, their intervals, and the same again under `by_…`."""
    OBJECT(value, name)
    for key, one in value.items():
        shape = _shape_of(key)
        if shape is not None:
            shape(one, f"{name}.{key}")


def _shape_of(key: str) -> Shape | None:
    if key.startswith("by_"):
        return named(_numbers)
    if key in (*INSTRUCTION_KINDS, "other"):
        return _asked
    if key.endswith("_interval"):
        return _INTERVAL
    return COUNT if key in _COUNTS else nullable(NUMBER) if key in _METRICS else None


def _asked(value: Any, name: str) -> None:
    """Scores under one kind of instruction."""
    fields({"count": COUNT, **dict.fromkeys(("score", "known", "mae"), nullable(NUMBER))})(value, name)
    _numbers(value, name)


_CONTESTANTS = named(fields({}, dict.fromkeys((*KINDS, *_SETS), _numbers)))
_LEAD = fields({"metric": _MAIN, "control": NUMBER, "best_control": TEXT, "gap": NUMBER, "gap_interval": _INTERVAL})
_RELIABILITY = fields(
    {"ece": nullable(NUMBER), "reliability": listed(fields({"predicted": NUMBER, "observed": NUMBER}))}
)


def _calibration(value: Any, name: str) -> None:
    _RELIABILITY(value, name)
    if "at_temperature" in value:
        fields({"temperature": NUMBER, "at_temperature": _RELIABILITY})(value, name)


_ANSWER = leaf("a text or a number", lambda value: isinstance(value, (str, int, float)))
_VALUE = nullable(leaf("a value", lambda value: isinstance(value, (str, int, float))))
_JUDGED = fields(
    {"trajectory": _ANSWER, "task": TEXT, "strategy": TEXT, "truth": NUMBER, "predicted": nullable(NUMBER)},
    {"instruction": TEXT, "last_frame": NUMBER},
)


def _prediction(value: Any, name: str) -> None:
    fields({"row": COUNT, "sample_type": TEXT, "answer": _ANSWER, "completion": TEXT})(value, name)
    if "truth" in value:
        _JUDGED(value, name)


_COVERAGE = ("lines", "judged", "released_lines", "subsets", "released_subsets", "files", "videos")
_ROBOREWARD = fields(
    {
        "metadata_sha256": TEXT,
        "as_released": FLAG,
        "rule": TEXT,
        "max_frames": COUNT,
        "max_frames_from": TEXT,
        "coverage": fields(dict.fromkeys(_COVERAGE, COUNT)),
    }
)
_RBM_COUNTS = fields(dict.fromkeys(("rows", "episodes", "tasks", "max_frames"), COUNT))


def _rbm_set(value: Any, name: str) -> None:
    """What was drawn of one set of a dataset and its scores, or why there is none."""
    OBJECT(value, name)
    (fields({"why_not": TEXT}) if "why_not" in value else _RBM_COUNTS)(value, name)
    _numbers(value, name)


def _rbm_mean(value: Any, name: str) -> None:
    fields({"datasets": COUNT})(value, name)
    _numbers(value, name)


_RBM = fields(
    {
        "max_frames": COUNT,
        "max_frames_from": TEXT,
        "seed": COUNT,
        "datasets": named(named(_rbm_set)),
        "mean_over_datasets": named(_rbm_mean),
    }
)


def _benchmark(value: Any, name: str) -> None:
    """What a public benchmark's results say of it; a name that is not known here is somebody else's."""
    fields({"name": TEXT})(value, name)
    shape = {"roboreward": _ROBOREWARD, "rbm": _RBM}.get(value["name"])
    if shape is not None:
        shape(value, name)


_RESULTS = fields(
    {"total_samples": COUNT},
    {
        "model_path": TEXT,
        "dataset_path": TEXT,
        **dict.fromkeys((*KINDS, *_SETS), _numbers),
        "gap": named(_LEAD),
        "controls": _CONTESTANTS,
        "baselines": _CONTESTANTS,
        "best_constant": fields({}, dict.fromkeys(KINDS, _numbers)),
        "calibration": named(_calibration),
        "trained_on_share": nullable(NUMBER),
        "dataset_hash": nullable(TEXT),
        "input_mismatch": nullable(named(fields({"trained": _VALUE, "asked": _VALUE}))),
        "predictions": listed(_prediction),
        "benchmark": _benchmark,
    },
)


def read_results(path: str | Path, needed: Sequence[str] = ()) -> dict[str, Any]:
    """Read a results file that has `needed` besides what every one has; `DataError` where it is none."""
    rule = f"{path} must be a results file of `rfm evaluate`"
    try:
        results = read_json(path, most=LARGE)
    except DataError as error:
        raise DataError(f"{rule}, but can't be read: {error}") from error
    lacking = [name for name in needed if not isinstance(results, dict) or name not in results]
    if isinstance(results, dict) and lacking:
        raise DataError(f"{rule}, but lacks {', '.join(lacking)}")
    fitted(results, _RESULTS, f"{rule}, but")
    _check_metrics(results, rule)
    return results


def _check_metrics(results: Mapping[str, Any], rule: str) -> None:
    """What one part of the file says must have its counterpart in the others."""
    for kind, lead in results.get("gap", {}).items():
        if results.get(kind, {}).get(lead["metric"]) is None:
            raise DataError(f"{rule}, but `gap.{kind}` compares `{kind}.{lead['metric']}`, which is not there")
    for kind in KINDS:
        constant = results.get("best_constant", {}).get(kind, {}).get("by_strategy", {})
        strategies = results.get(kind, {}).get("by_strategy", {})
        missing = [name for name in strategies if name not in constant] if "best_constant" in results else []
        if missing:
            raise DataError(f"{rule}, but `best_constant.{kind}.by_strategy` lacks `{missing[0]}`")
        if uncounted := [name for name, numbers in strategies.items() if "count" not in numbers]:
            raise DataError(f"{rule}, but `{kind}.by_strategy.{uncounted[0]}` lacks `count`")
