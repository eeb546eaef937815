"""Charts as SVG of a few lines each: they need no script, can be printed, and follow the page's colours.

Every text in them is escaped; what they show in words is their accessible name. `Frame` maps values to the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

from rfm.console import one_line, visible

COLOURS = 6
"""Classes c0 to c5 of style.css."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 10, 36
_NAME = 200
"""Room for the names of lying bars."""
_STEP = 26


class Chart(NamedTuple):
    """A chart with its title and what is to be known of it."""

    title: str
    drawing: Markup
    words: str = ""


@dataclass(frozen=True)
class Axis:
    """A range of values, its ticks and its name."""

    low: float
    high: float
    name: str = ""
    ticks: Sequence[float] | None = None

    def marks(self) -> Sequence[float]:
        """Return where ticks stand: the ends and three between, unless others are given."""
        if self.ticks is not None:
            return self.ticks
        return [self.low + (self.high - self.low) * at / 4 for at in range(5)]


@dataclass(frozen=True)
class Frame:
    """A drawing area with axes; `x` and `y` place values in it."""

    across: Axis
    up: Axis
    width: int = 420
    height: int = 300

    def x(self, value: float) -> float:
        """Return where a value lies from the left."""
        span = (self.across.high - self.across.low) or 1.0
        return _LEFT + (value - self.across.low) / span * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return where a value lies from the top."""
        span = (self.up.high - self.up.low) or 1.0
        return self.height - _BOTTOM - (value - self.up.low) / span * (self.height - _TOP - _BOTTOM)

    def draw(self, words: str, parts: Iterable[str]) -> Markup:
        """Return the chart with its axes; `words` say what it shows."""
        return _svg(self.width, self.height, words, [*self._axes(), *parts])

    def line(self, points: Sequence[tuple[float, float]], classes: str) -> str:
        """Return a line through points."""
        steps = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return f'<polyline points="{steps}" fill="none" class="{classes}"/>'

    def dot(self, x: float, y: float, classes: str, radius: float = 3) -> str:
        """Return a dot."""
        return f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="{radius}" class="dot {classes}"/>'

    def _axes(self) -> Iterable[str]:
        left, right, top, bottom = _LEFT, self.width - _RIGHT, _TOP, self.height - _BOTTOM
        for value in self.up.marks():
            at = self.y(value)
            yield f'<line x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" class="grid-line"/>'
            yield _text(left - 5, at + 4, _number(value), anchor="end")
        for value in self.across.marks():
            yield _text(self.x(value), bottom + 15, _number(value), anchor="middle")
        yield f'<path d="M{left} {top}V{bottom}H{right}" class="axis"/>'
        yield _text((left + right) / 2, self.height - 4, self.across.name, anchor="middle")
        yield _text(left + 4, top + 10, self.up.name)


@dataclass(frozen=True)
class Bar:
    """A lying bar: its name, value, interval if there is one, and whether it is the one that all is about."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    own: bool = False


def lying_bars(bars: Sequence[Bar], highest: float, words: str, width: int = 460) -> Markup:
    """Return bars from the left with their intervals."""
    parts, span = [], (width - _NAME - 56) / (highest or 1.0)
    for at, one in enumerate(bars):
        top = at * _STEP + 4
        own = " own" if one.own else ""
        parts.append(_text(_NAME - 8, top + 13, one_line(one.name, 30), anchor="end", classes="label"))
        length = max(one.value, 0) * span
        parts.append(f'<rect x="{_NAME}" y="{top}" width="{length:.1f}" height="17" class="bar{own}"/>')
        end = one.value
        if one.interval is not None:
            low, high = (_NAME + max(bound, 0) * span for bound in one.interval)
            parts.append(f'<path d="M{low:.1f} {top + 8.5}H{high:.1f}" class="whisker"/>')
            end = max(end, one.interval[1])
        parts.append(_text(_NAME + min(end, highest) * span + 6, top + 13, _number(one.value)))
    return _svg(width, len(bars) * _STEP + 6, words, parts)


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[tuple[int, int, float]],
    marked: Iterable[tuple[int, int]],
    words: str,
) -> Markup:
    """Return values from 0 to 100 as shades; `marked` cells have a frame."""
    side, left, top = (34 if len(columns) <= 16 else 24), 190, 150
    parts = [
        f'<text transform="translate({left + at * side + side / 2 + 4} {top - 6}) rotate(-60)">{_said(name)}</text>'
        for at, name in enumerate(columns)
    ]
    parts += [
        _text(left - 6, top + at * side + side / 2 + 4, one_line(name, 28), anchor="end")
        for at, name in enumerate(rows)
    ]
    for row, column, value in cells:
        x, y, share = left + column * side, top + row * side, min(max(value / 100, 0), 1)
        shade = f"rgb({round(255 - 138 * share)} {round(255 - 77 * share)} {round(255 - 15 * share)})"
        parts.append(f'<rect x="{x}" y="{y}" width="{side - 1}" height="{side - 1}" fill="{shade}"/>')
        middle = x + side / 2 - 0.5
        parts.append(_text(middle, y + side / 2 + 4, f"{value:.0f}", anchor="middle", classes="on-heat"))
    parts += [
        f'<rect x="{left + column * side}" y="{top + row * side}" width="{side - 2}" height="{side - 2}" '
        'class="scene"/>'
        for row, column in marked
    ]
    width, height = left + len(columns) * side + 90, top + len(rows) * side + 6
    return _svg(width, height, words, parts, least=True)


def legend(names: Sequence[str]) -> Markup:
    """Return which colour is whose, nothing where there is one alone."""
    if len(names) < 2:
        return Markup()
    items = "".join(
        f'<li><svg viewBox="0 0 14 10" aria-hidden="true"><rect width="14" height="10" class="c{at % COLOURS}"/></svg>'
        f"<bdi>{escape(visible(name))}</bdi></li>"
        for at, name in enumerate(names)
    )
    return Markup(f'<ul class="legend">{items}</ul>')


def _svg(width: float, height: float, words: str, parts: Iterable[str], *, least: bool = False) -> Markup:
    size = f' width="{width}" height="{height}"' if least else ""
    return Markup(
        f'<svg class="chart{" fixed" if least else ""}" viewBox="0 0 {width} {height}"{size} role="img" '
        f'aria-label="{escape(visible(words))}">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, words: str, *, anchor: str = "start", classes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{classes}">{_said(words)}</text>'


def _said(words: str) -> Markup:
    return escape(one_line(words, 40))


def _number(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e6:
        digits, power = f"{value:.1e}".split("e")
        return f"{digits}e{int(power)}"  # `1.97e-05` is wider than the room beside an axis
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
