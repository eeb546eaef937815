"""Scores and preferences on the terminal: a line a recording, task and model, with the curve as a row of bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from rich.text import Text

from rfm.console import plain, results
from rfm.frames.spacing import evenly_spaced
from rfm.scoring.records import Curve, Preference
from rfm.scoring.videos.scored import BAND, Judged, Scored, told_apart
from rfm.table import LEAST, FittedTable

WIDTH = 32
"""Bars of a curve, at most."""
_BARS = "▁▂▃▄▅▆▇█"
_NAME, _TASK = 40, 40
_BESIDE_BARS, _FEWEST = 72, 6
"""What the other columns take of a narrow terminal, and how many bars are drawn even then."""


def sparkline(values: Float64[np.ndarray, " p"], width: int = WIDTH) -> str:
    """Return progress in [0, 1] as bars, all of one scale: an eighth of the way a step."""
    shown = values[evenly_spaced(len(values), width)]
    steps = np.clip((shown * len(_BARS)).astype(int), 0, len(_BARS) - 1)
    return "".join(_BARS[step] for step in steps)


def print_scores(scored: Sequence[Scored], models: Sequence[str]) -> None:
    """Print where each curve ends, how sure that is, since when it is a success, and the curve."""
    table = FittedTable("progress at the end, from 0 to 1")
    several = ("model",) if len(models) > 1 else ()
    for column in ("video", "task", *several):
        table.add_column(column)
    for column in ("progress", f"{BAND[1] - BAND[0]:.0%}", "success", "curve"):
        table.add_column(column, no_wrap=True, justify="right" if column == "progress" else "left")
    titles = told_apart([one.name for one in scored])
    bars = min(max(results().width - _BESIDE_BARS - (LEAST + 3) * len(several), _FEWEST), WIDTH)
    for one, title in zip(scored, titles, strict=True):
        for at, (model, curve) in enumerate(one.curves):
            name = plain(title) if at == 0 else Text()
            named = (plain(model, _NAME),) if several else ()
            table.add_row(name, plain(curve.task, _TASK), *named, *_values(curve, bars))
    results().print(table)


def print_preferences(a: str, b: str, judged: Sequence[Judged], *, several: bool) -> None:
    """Print which of two videos made more progress, and where the order decided."""
    table = FittedTable("which made more progress?")
    columns = ("task", *(("model",) if several else ()), "further", "probability", "shown first", "shown second")
    for column in columns:
        table.add_column(column)
    for model, pair in judged:
        named = (plain(model, _NAME),) if several else ()
        table.add_row(plain(pair.task, _TASK), *named, *_verdict(pair, a, b))
    results().print(table)
    for model, pair in judged:
        if not pair.agree:
            results().print(
                f"{model}, {pair.task}: the model names the video that is shown {_favoured(pair)}, whichever it is: it "
                "does not tell the two apart",
                style="yellow",
            )


def _values(curve: Curve, bars: int) -> tuple[Text, ...]:
    low, high = (float(curve.quantile(share)[-1]) for share in BAND)
    words = (f"{curve.expected[-1]:.2f}", f"{low:.2f} to {high:.2f}", _since(curve), sparkline(curve.expected, bars))
    return tuple(Text(word) for word in words)


def _since(curve: Curve) -> str:
    """Return since when it has been a success without a break, or that it is none."""
    if not curve.success[-1]:
        return "no"
    breaks = np.flatnonzero(~curve.success)
    at = int(breaks[-1]) + 1 if len(breaks) else 0
    return f"frame {curve.frames[at]}" if curve.seconds is None else f"from {curve.seconds[at]:.1f} s"


def _verdict(pair: Preference, a: str, b: str) -> tuple[Text, ...]:
    """Return the better video, and what is said of it: on the whole, where it is shown first, and second."""
    turned = pair.better == "b"
    first, second = pair.by_order
    values = (1 - pair.a, 1 - second, 1 - first) if turned else (pair.a, first, second)
    name = "neither" if pair.better is None else told_apart((a, b))[int(turned)]
    return (plain(name, _NAME), *(Text(f"{value:.2f}") for value in values))


def _favoured(pair: Preference) -> str:
    return "first" if pair.by_order[0] > 0.5 else "second"
