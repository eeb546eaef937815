"""A folder of numbered pictures as a recording: which of its files are the frames, and in which order.

The order is that of the numbers in the names (2 before 10). Names that leave it open, since they are of several series
or count two things, are refused: alphabetical order would show an episode in an order that never was.

Two numbers with a point between them may be one decimal, mostly a time (`12.25.png` before `12.5.png`), or two counts
(`12.5.png` before `12.25.png`). With as many digits after the point in all names that makes no difference. Else what
one of both can't be decides: a count is never written `05` beside `1`, and `1.1` and `1.10` are one decimal.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from rfm.errors import DataError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")

_DIGITS = re.compile(r"(\d+)")
_POINTS = (".", ",")
_MOST_LISTED = 5


class Series(NamedTuple):
    """The pictures of a folder in order, and what is odd about their numbers."""

    paths: tuple[Path, ...]
    note: str


class _Numbered(NamedTuple):
    numbers: tuple[int, ...]
    pattern: str
    """The name without its ending, numbers replaced: what all pictures of a series share."""
    path: Path
    parts: tuple[str, ...]
    """The name without its ending: words and digits by turns."""

    @property
    def is_decimal(self) -> bool:
        """Whether its last two numbers may be one, with a point between them."""
        return len(self.numbers) > 1 and self.parts[-3] in _POINTS

    def as_decimal(self, width: int) -> _Numbered:
        """The last two numbers as one, with `width` digits after the point."""
        whole, digits = self.parts[-4], self.parts[-2]
        return self._replace(numbers=(*self.numbers[:-2], int(whole + digits.ljust(width, "0"))))


def is_picture(name: str) -> bool:
    """Whether a file of this name is taken for a picture; hidden ones are no frames."""
    return name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith(".")


def numbered_pictures(folder: Path) -> Series:
    """The pictures that lie in the folder; DataError where they are none, or have no clear order."""
    pictures = sorted(_numbered(path) for path in folder.iterdir() if is_picture(path.name))
    if not pictures:
        suffixes = ", ".join(PICTURE_SUFFIXES)
        raise DataError(f"folder {folder} must hold pictures ({suffixes}), one a frame, but holds none")
    _check_one_series(folder, pictures)
    in_time = _by_decimals(folder, pictures)
    pictures = in_time or pictures
    _check_one_count(folder, pictures)
    _check_no_number_repeats(folder, pictures)
    numbers = [] if in_time else [picture.numbers[-1] for picture in pictures if picture.numbers]
    return Series(tuple(picture.path for picture in pictures), _gaps(numbers))


def _numbered(path: Path) -> _Numbered:
    parts = _DIGITS.split(path.stem)
    pattern = "#".join(parts[::2]).casefold()
    return _Numbered(tuple(int(number) for number in parts[1::2]), pattern, path, tuple(parts))


def _check_one_series(folder: Path, pictures: Sequence[_Numbered]) -> None:
    counts = Counter(picture.pattern for picture in pictures)
    if len(counts) > 1:
        listed = ", ".join(f"{count} like `{pattern}`" for pattern, count in counts.most_common(_MOST_LISTED))
        raise DataError(
            f"the pictures in {folder} must be of one series, but there are {listed}"
            f"{', …' if len(counts) > _MOST_LISTED else ''} (# is a number): give each series a folder of its own"
        )
    if not pictures[0].numbers and len(pictures) > 1:
        raise DataError(f"the pictures in {folder} must be numbered, but `{pictures[0].path.name}` has no number")


def _by_decimals(folder: Path, pictures: Sequence[_Numbered]) -> list[_Numbered]:
    """The pictures by decimals where their names can be nothing else; none where their numbers are counts.

    DataError where they may be either, and the order would be another.
    """
    widths = {len(picture.parts[-2]) for picture in pictures if picture.is_decimal}
    if len(widths) < 2:
        return []
    decimals = sorted(picture.as_decimal(max(widths)) for picture in pictures)
    counts = not any(_is_no_count(picture.parts[-2], min(widths)) for picture in pictures)
    fractions = not any(a.numbers == b.numbers and a.parts != b.parts for a, b in pairwise(decimals))
    if counts == fractions:
        _check_same_order(folder, pictures, decimals)
    return decimals if fractions and not counts else []


def _is_no_count(digits: str, narrowest: int) -> bool:
    """Whether the digits begin with a zero that no padding explains."""
    return len(digits) > max(len(str(int(digits))), narrowest)


def _check_same_order(folder: Path, counts: Sequence[_Numbered], decimals: Sequence[_Numbered]) -> None:
    place = {picture.path: at for at, picture in enumerate(decimals)}
    for one, other in pairwise(picture.path for picture in counts):
        if place[one] > place[other]:
            raise DataError(
                f"the pictures in {folder} must have one order, but `{one.name}` comes before `{other.name}` by whole "
                "numbers and after it by decimals: write as many digits after the point in all names, or hand over the "
                "frames as an array or .npz"
            )


def _check_one_count(folder: Path, pictures: Sequence[_Numbered]) -> None:
    """Two numbers may be a date and a count; they are two counts if the last one begins anew at the same number."""
    starts: dict[tuple[int, ...], int] = defaultdict(int)
    for *before, last in (picture.numbers for picture in pictures if picture.numbers):
        starts[tuple(before)] = min(last, starts.get(tuple(before), last))
    if len(starts) > 1 and len(set(starts.values())) == 1:
        first, second = (next(p.path.name for p in pictures if p.numbers[:-1] == key) for key in list(starts)[:2])
        raise DataError(
            f"the pictures in {folder} must be of one series, but are counted anew for each other number: `{first}`, "
            f"`{second}`: give each series a folder of its own"
        )


def _check_no_number_repeats(folder: Path, pictures: Sequence[_Numbered]) -> None:
    for before, after in pairwise(pictures):
        if before.numbers == after.numbers:
            raise DataError(
                f"the pictures in {folder} must have different numbers, but `{before.path.name}` and "
                f"`{after.path.name}` have the same"
            )


def _gaps(numbers: Sequence[int]) -> str:
    """What to say where numbers are left out; nothing can be told of one picture, or of dates before a count."""
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps or min(steps) == max(steps) or min(steps) <= 0:
        return ""
    expected = (numbers[-1] - numbers[0]) // min(steps) + 1
    return (
        f"pictures are numbered from {numbers[0]} to {numbers[-1]} with gaps ({len(numbers)} of {expected} are there): "
        "they are taken as evenly spaced in time"
    )
