"""What recordings and models are called in tables and files: as short as tells them apart, and text that files take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rfm.ingest.listing.recordings import is_video

_MOST_PARTS = 8


def tails(paths: Sequence[str]) -> list[str]:
    """Return the last parts of each path that tell them apart, two where there are; else whole paths."""
    for parts in range(2, _MOST_PARTS + 1):
        names = [str(Path(*Path(path).parts[-parts:])) for path in paths]
        if len({*names}) == len(names):
            return names
    return list(paths)


def as_text(path: str) -> str:
    r"""Return a path as text: bytes of it that are no UTF-8 spelt out, as in `caf\xe9.mp4`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def file_stems(names: Sequence[str]) -> list[str]:
    """Return for each recording what a file of it is called: its name, without its folder and the ending of a video.

    No two are alike, on file systems that don't tell `A` from `a` either.
    """
    return numbered([_stem(name) for name in names], "{}_{}", str.casefold)


def numbered(names: Sequence[str], form: str, seen_as: Callable[[str], str] = str) -> list[str]:
    """Return the names, all of them different: the first one of a name has it, the others a number that is free."""
    own, used, different = {seen_as(name) for name in names}, set[str](), list[str]()
    for name in names:
        number, free = 1, name
        while seen_as(free) in used or (number > 1 and seen_as(free) in own):
            number += 1
            free = form.format(name, number)
        used.add(seen_as(free))
        different.append(free)
    return different


def _stem(name: str) -> str:
    path = Path(name)
    last = path.name if path.name not in ("", "..") else path.resolve().name or "video"
    return Path(last).stem if is_video(last) or last.lower().endswith(".npz") else last
