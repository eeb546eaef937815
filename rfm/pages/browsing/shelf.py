"""What a page shows of one dataset, whatever it holds: properties to filter by, what the audit found, and cards.

Cards are made of the chosen rows alone; properties are of all rows looked at, so that bars tell what the dataset
consists of and not what was drawn from it.

Shape legend: n rows looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from rfm.pages.album import Album, by_file


@dataclass(frozen=True)
class Facet:
    """A property that rows have one value of."""

    key: str
    title: str
    names: tuple[str, ...]
    code: Int64[np.ndarray, " n"]
    """Of each row, in `names`; -1: it has none."""
    ordered: bool = False
    """Whether the names have an order of their own; else the most frequent comes first."""

    def value(self, row: int) -> str | None:
        """Return a row's value."""
        code = int(self.code[row])
        return self.names[code] if code >= 0 else None

    def counts(self) -> dict[str, int]:
        """Return how many rows have each value."""
        number = np.bincount(self.code[self.code >= 0], minlength=len(self.names))
        return {name: int(count) for name, count in zip(self.names, number, strict=True) if count}


@dataclass(frozen=True)
class Remark:
    """Something that was checked: the verdict, what was found, and which rows it is about."""

    name: str
    verdict: str
    """As `rfm.audit.checks.Verdict` says it."""
    words: str
    rows: Bool[np.ndarray, " n"] | None = None
    """The rows that are at fault; None where it is about the whole."""


@dataclass(frozen=True)
class Strip:
    """Frames of one episode, in the order they are shown."""

    name: str
    path: str
    frames: Sequence[int]
    progress: Sequence[float | None]
    words: str
    """What else is known of them."""
    curve: Sequence[float] = ()
    """Progress of every frame of the episode."""


@dataclass(frozen=True)
class Card:
    """One row."""

    row: int
    """Its number in the dataset."""
    title: str
    facts: Sequence[tuple[str, str]]
    """Names and values."""
    why: str
    strips: Sequence[Strip]
    values: dict[str, str]
    """Of the facets, by key."""
    text: str = ""
    """What is asked, word by word."""
    remarks: Sequence[str] = ()
    model: dict[str, Any] = field(default_factory=dict)
    """What a model answered: `said`, `error` (0 good, 1 worst), `probabilities`, `note`."""

    def as_json(self, dataset: int, album: Album) -> dict[str, Any]:
        """Return what the page's script shows; frames by their numbers in the album, -1 where there is none."""
        return {
            "id": f"{dataset}-{self.row}",
            "row": self.row,
            "title": self.title,
            "facts": [list(fact) for fact in self.facts],
            "why": self.why,
            "values": self.values,
            "text": self.text,
            "remarks": list(self.remarks),
            "model": self.model,
            "strips": [_strip(strip, dataset, album) for strip in self.strips],
        }


def frames_of(cards: Iterable[Card]) -> dict[str, list[int]]:
    """Return which frames cards show, by file."""
    return by_file((strip.path, strip.frames) for card in cards for strip in card.strips if strip.path)


def binned_lengths(edges: Sequence[int]) -> tuple[str, ...]:
    """Return the names of the bins that begin at these lengths.

    >>> binned_lengths((1, 2, 8))
    ('1', '2-7', '8 or more')
    """
    names = [str(low) if low + 1 == high else f"{low}-{high - 1}" for low, high in pairwise(edges)]
    return (*names, f"{edges[-1]} or more")


def facet_of(key: str, title: str, values: Sequence[str | None], names: Sequence[str] | None = None) -> Facet:
    """Return a facet of these values; `names` gives their order."""
    order = tuple(dict.fromkeys(value for value in values if value is not None)) if names is None else tuple(names)
    place = {name: at for at, name in enumerate(order)}
    code = np.array([-1 if value is None else place[value] for value in values], np.int64)
    return Facet(key, title, order, code, ordered=names is not None)


def _strip(strip: Strip, dataset: int, album: Album) -> dict[str, Any]:
    numbers = [album.number.get((dataset, strip.path, frame), -1) for frame in strip.frames]
    return {
        "name": strip.name,
        "words": strip.words,
        "fault": album.faults.get((dataset, strip.path), "") if -1 in numbers else "",
        "frames": [
            [number, frame, None if value is None else round(value, 3)]
            for number, frame, value in zip(numbers, strip.frames, strip.progress, strict=True)
        ],
        "curve": [round(value, 3) for value in strip.curve],
    }
