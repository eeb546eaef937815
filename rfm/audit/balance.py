"""How answers are spread: each side of pairs as often as the other, scores over the whole scale, shares as ordered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from rfm.audit.reading.questions import SAMPLE_TYPES, Questions
from rfm.audit.rules.contract import Settings

Z = 1.96
"""Standard errors on either side of an estimate that make a 95% interval."""

ALL = "(all)"

STRATEGY_ORDER: Mapping[str, tuple[str, ...]] = {
    "preference": ("rewind", "suboptimal", "different_task", "reverse_progress"),
    "progress": ("different_task_instruction", "forward_progress", "reverse_progress", "rewind"),
    "similarity": ("rewind", "suboptimal", "paired_human_robot"),
}
"""What a list of strategy ratios means, by place."""
DEFAULT_SHARES: Mapping[str, Mapping[str, float]] = {
    "preference": {"same_task_progress": 2.0},
    "progress": {"forward_progress": 1.5, "prefix_progress": 1.2, "whole_progress": 0.3},
}
"""What no ratio means: these shares, else 1; 1 for all in the original's mixture."""
BEFORE_PREFIXES: Mapping[str, float] = {"forward_progress": 3.0}
"""The same of progress in datasets without `whole_progress`, which needs no more than `forward_progress` does."""


@dataclass(frozen=True)
class Share:
    """How many of `rows` have a property."""

    count: int
    rows: int

    @property
    def value(self) -> float:
        """The share; NaN of no rows."""
        return self.count / self.rows if self.rows else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the share that rows like these have in the long run (Wilson, 1927)."""
        if not self.rows:
            return 0.0, 1.0
        n, p = self.rows, self.value
        middle, width = p + Z * Z / (2 * n), Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        return float((middle - width) / (1 + Z * Z / n)), float((middle + width) / (1 + Z * Z / n))


def first_shares(questions: Questions, kind: str) -> dict[str, Share]:
    """Return how often the answer is 1, over ALL rows of a type and by strategy."""
    groups = {ALL: questions.of_type(kind), **questions.strategies(kind)}
    return {name: Share(int((questions.answer[rows] == 1).sum()), int(rows.sum())) for name, rows in groups.items()}


def imbalance(share: Share) -> float:
    """Return by how much one answer surely is more frequent than half: the near end of the interval, 0 within it."""
    low, high = share.interval
    return max(0.0, low - 0.5, 0.5 - high) if share.rows else 0.0


def decile_shares(questions: Questions, settings: Settings) -> list[Share]:
    """Return the share of each tenth of the scale (1 to 10, 11 to 20, …) among progress answers other than the lowest.

    Where fewer than ten answers are possible, it is the share of each.
    """
    answers = questions.answer[questions.is_score]
    answers = answers[(answers > settings.lowest_answer) & (answers <= settings.highest_answer)]
    counts = np.histogram(answers, _decile_edges(settings))[0]
    return [Share(int(count), len(answers)) for count in counts]


def _decile_edges(settings: Settings) -> Float64[np.ndarray, " b+1"]:
    if settings.discrete_progress:
        return np.arange(1.5, 6)
    step = settings.progress_step if settings.progress_step > 10 else 10
    return np.arange(0.5, 100 + step, step)


def ratio_errors(
    questions: Questions, config: Mapping[str, Any], data: Mapping[str, Any]
) -> tuple[dict[str, float], list[str]]:
    """Return by how many rows each type and strategy is off what the configuration asks for, and what is not checked.

    Off by less than one row is exact: shares come out in whole rows. Names are "type" and "type/strategy"; those
    that end in "as recorded" compare with the counts in the configuration, which are all that an evaluation set has.
    """
    errors: dict[str, float] = {}
    unchecked: list[str] = []
    asks = bool(data.get("sample_type_ratio")) and not config.get("eval_set")
    ratio = dict(zip(SAMPLE_TYPES, data["sample_type_ratio"], strict=True)) if asks else {}
    for kind in SAMPLE_TYPES:
        rows = questions.of_type(kind)
        there = {name: int(of.sum()) for name, of in questions.strategies(kind).items()}
        recorded = _recorded(config, kind)
        if recorded:
            errors |= {f"{kind}/{name} as recorded": there.get(name, 0) - count for name, count in recorded.items()}
        if not asks:
            continue
        errors[kind] = float(rows.sum() - len(questions) * ratio[kind] / sum(ratio.values()))
        asked = _asked_strategies(kind, data.get(f"{kind}_strategy_ratio"), config)
        if asked is not None:
            shares = {name: float(rows.sum()) * asked.get(name, 0.0) for name in {**asked, **there}}
            errors |= {f"{kind}/{name}": there.get(name, 0) - share for name, share in shares.items()}
        elif rows.any():
            unchecked.append(f"data.{kind}_strategy_ratio does not name its strategies")
    return errors, unchecked or ([] if errors else ["the dataset's configuration asks for no ratios"])


def _asked_strategies(kind: str, given: Any, config: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the share of each strategy within its type, those that the data did not support left out."""
    lacking = {name.partition("/")[2] for name in config.get("unsupported", {}) if name.startswith(f"{kind}/")}
    if given is None:
        recorded = _recorded(config, kind)
        original = config.get("config", {}).get("data", {}).get("mixture") == "original"
        before = kind == "progress" and "whole_progress" not in recorded
        shares = {} if original else BEFORE_PREFIXES if before else DEFAULT_SHARES.get(kind, {})
        return _normalised({name: shares.get(name, 1.0) for name in recorded}) if recorded else None
    if isinstance(given, Mapping):
        shares = {str(name): float(share) for name, share in given.items()}
    elif len(given) == len(STRATEGY_ORDER[kind]) and not config.get("eval_mode"):
        shares = dict(zip(STRATEGY_ORDER[kind], map(float, given), strict=True))
    else:
        return None
    return _normalised({name: share for name, share in shares.items() if name not in lacking})


def _recorded(config: Mapping[str, Any], kind: str) -> dict[str, int]:
    """Return the rows of each strategy that the dataset says it has."""
    counts = config.get("counts", {}).get(kind, {})
    return dict(counts.get("strategies", {})) if isinstance(counts, Mapping) else {}


def _normalised(shares: Mapping[str, float]) -> dict[str, float]:
    whole = sum(shares.values())
    return {name: share / whole for name, share in shares.items()} if whole else {}
