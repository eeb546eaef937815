"""Cross-validation: a model a fold, each judged on the episodes that it has not seen, and all answers pooled.

`{fold}` in `--dataset_path datasets/fold_{fold}/test` and `--model_path outputs/fold_{fold}/final` stands for every
fold that there is a dataset of. Each has a results file of its own; the pooled one is made of their predictions, so
that its intervals resample all episodes. Metrics of evaluation sets, controls and calibration stand in the folds' own.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rfm.errors import ConfigError
from rfm.evaluation.judge import METRICS, Sheet
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.gaps import best_control, paired_gap
from rfm.evaluation.options import EvaluateOptions

FOLD = "{fold}"
_BROKEN_DOWN = ("strategy", "task")


def is_folded(options: EvaluateOptions) -> bool:
    """Whether an evaluation is of several folds."""
    return FOLD in options.dataset_path or FOLD in options.model_path


def fold_options(options: EvaluateOptions) -> dict[str, EvaluateOptions]:
    """Return the options of each fold by its name, in their order; raises ConfigError where there are none."""
    if options.dataset_path.count(FOLD) != 1:
        raise ConfigError(f"`dataset_path` must hold {FOLD} once, as `model_path` may, but is {options.dataset_path}")
    if not options.save_predictions:
        raise ConfigError("`save_predictions` must be on for folds, whose predictions are pooled, but is off")
    before, after = options.dataset_path.split(FOLD)
    there = glob.glob(f"{glob.escape(before)}*{glob.escape(after)}")  # noqa: PTH207  # a part of a name may stand before it
    found = [place.removeprefix(before).removesuffix(after) for place in there if Path(place, "state.json").is_file()]
    if not found:
        raise ConfigError(
            f"`dataset_path` must find datasets where {FOLD} stands for a fold, but {options.dataset_path} finds none; "
            "make them with rfm generate --folds 5"
        )
    return {name: _of_fold(options, name) for name in sorted(found, key=lambda name: (len(name), name))}


def _of_fold(options: EvaluateOptions, name: str) -> EvaluateOptions:
    output = Path(options.output_path)
    return replace(
        options,
        model_path=options.model_path.replace(FOLD, name),
        dataset_path=options.dataset_path.replace(FOLD, name),
        output_path=str(output.with_name(f"{output.stem}.fold_{name}{output.suffix}")),
    )


def pooled(options: EvaluateOptions, folds: Mapping[str, Numbers]) -> Numbers:
    """Return one results file's content for all folds; `folds` are theirs by name."""
    judged = [_judged(kind, folds) for kind in METRICS]
    sheets = [pair for pair in judged if pair is not None]
    kinds: Counter[str] = sum((Counter(one["sample_types"]) for one in folds.values()), Counter())
    constants = {sheet.kind: _constant(sheet, predicted) for sheet, predicted in sheets}
    return {
        "model_path": options.model_path,
        "dataset_path": options.dataset_path,
        "total_samples": sum(one["total_samples"] for one in folds.values()),
        "sample_types": dict(kinds),
        **{sheet.kind: sheet.judge(predicted, _BROKEN_DOWN) for sheet, predicted in sheets},
        "gap": {kind: best_control(kind, {"best_constant": numbers}) for kind, numbers in constants.items()},
        "controls": {},
        "baselines": {},
        "best_constant": constants,
        "not_computed": {"of single folds": "controls, evaluation sets and calibration are in the folds' own results"},
        "unreadable": _unreadable(list(folds.values())),
        "trained_on_share": _trained_on_share([one["trained_on_share"] for one in folds.values()]),
        "input_mismatch": _input_mismatch([one["input_mismatch"] for one in folds.values()]),
        "folds": {
            name: {key: one.get(key) for key in ("model_path", "dataset_path", "dataset_hash", "decoding")}
            for name, one in folds.items()
        },
    }


def _judged(kind: str, folds: Mapping[str, Numbers]) -> tuple[Sheet, Float64[np.ndarray, " n"]] | None:
    """Return all rows of a type that were judged, with what was predicted."""
    rows = [
        (name, one)
        for name, fold in folds.items()
        for one in fold["predictions"]
        if one["sample_type"] == kind and "truth" in one
    ]
    if not rows:
        return None
    group = np.unique([f"{name}/{one['trajectory']}" for name, one in rows], return_inverse=True)[1].reshape(-1)
    names = {key: np.array([str(one[key]) for _, one in rows]) for key in _BROKEN_DOWN}
    truth, predicted = (np.array([one[key] for _, one in rows], np.float64) for key in ("truth", "predicted"))
    codes = group.astype(np.int64)
    nothing, no_frame = np.full(len(rows), ""), np.full(len(rows), -1)
    return Sheet(kind, np.arange(len(rows)), truth, codes, codes, names, nothing, no_frame), predicted


def _constant(sheet: Sheet, predicted: Float64[np.ndarray, " n"]) -> Numbers:
    constant = np.full(len(sheet.rows), sheet.constant)
    return {**sheet.best_constant(), **paired_gap(sheet, predicted, constant, sheet)}


def _trained_on_share(shares: Sequence[float | None]) -> float | None:
    """Return the largest share; None where none is above 0 and one is not known."""
    return max(share or 0.0 for share in shares) or (None if None in shares else 0.0)


def _input_mismatch(mismatches: Sequence[Numbers | None]) -> Numbers | None:
    """Return what differs in any fold; None where nothing does and one does not know."""
    found = {name: one for mismatch in mismatches for name, one in (mismatch or {}).items()}
    return found or (None if None in mismatches else {})


def _unreadable(folds: Sequence[Numbers]) -> Numbers:
    reasons: Counter[str] = sum((Counter(one["unreadable"]["reasons"]) for one in folds), Counter())
    examples = {reason: text for one in reversed(folds) for reason, text in one["unreadable"]["examples"].items()}
    return {"count": sum(reasons.values()), "reasons": dict(reasons.most_common()), "examples": examples}
