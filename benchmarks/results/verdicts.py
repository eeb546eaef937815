"""What the figures mean for use, said by rule: fit, with care, or unfit.

fit: the whole interval is at least as good as the figure's bar. unfit: the interval reaches what guessing gives.
with care: neither. Guessing is a fixed number or, for MAE, the best constant answer on the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.results.figures import FIGURES
from rfm.evaluation.metrics.accuracy import Numbers

FIT, CARE, UNFIT, UNKNOWN = "yes", "with care", "no", "not measured"
USES: Mapping[str, tuple[str, str]] = {
    "compare": ("tell which of two clips got further", "preference"),
    "score": ("say how far a clip got, 0 to 100", "mae"),
    "follow": ("follow an episode as it goes on", "pearson"),
    "rank": ("rank whole episodes of a task", "tau_a"),
    "quality": ("tell a success from a near miss", "quality"),
    "read": ("tell tasks of one scene apart by the words", "words"),
}
"""What a model may be used for: words, and the figure that says whether it can."""


def verdict(side: Numbers, name: str) -> str:
    """Return what a figure of a side says."""
    figure, found = FIGURES[name], side["model"].get(name)
    if found is None or found["interval"] is None or figure.good is None:
        return UNKNOWN
    sign = 1.0 if figure.rises else -1.0
    worst = min(sign * bound for bound in found["interval"])
    if worst >= sign * figure.good:
        return FIT
    guess = _guess(side, name)
    return UNFIT if guess is not None and worst <= sign * guess else CARE


def _guess(side: Numbers, name: str) -> float | None:
    if FIGURES[name].guess is not None:
        return FIGURES[name].guess
    constant = side["rivals"].get("best_constant", {}).get(name)
    return None if constant is None else constant["value"]


def uses(side: Numbers) -> dict[str, str]:
    """Return the verdict on every use."""
    return {use: verdict(side, name) for use, (_, name) in USES.items()}


def needs_content(side: Numbers, kind: str) -> str:
    """Return whether the model is measurably ahead of the best that can be told with a part of the content gone."""
    found = side["ahead"].get(kind)
    if found is None or found["interval"] is None:
        return UNKNOWN
    return FIT if found["interval"][0] > 0 else UNFIT
