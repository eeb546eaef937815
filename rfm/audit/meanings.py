"""What each check of the audit means and what to do about it, for whoever reads its result for the first time."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "contradictions": "rows whose answer their own trajectories contradict, or leave open; training on them "
        "teaches what is false: mend the trajectories' records where they are wrong, and generate the dataset again",
        "unreadable rows": "rows whose frames training could not show: restore the files, or name their folder by "
        "--datasets_root",
        "duplicate rows": "rows that say what an earlier one says: ask for fewer rows, or add episodes",
        "rows off the ratios": "the dataset does not hold the shares that its configuration asks for: rows were added, "
        "or lost",
        "imbalance": "one answer is more frequent than the other: a model that always gives it seems to know something",
        "told blindly": "how well a classifier answers that sees counts, directions, sizes, sources and words, but no "
        "picture; a model would learn that first: the table by strategy shows where it comes from",
        "least used tenth of scores": "progress answers leave a part of the scale nearly empty, so a model never "
        "learns it: add episodes that reach it",
        "told by the first frame": "1 for progress and 0.5 for pairs mean that nothing is told; a first frame shows "
        "which scene it is, but not how far a clip gets: what it tells beyond that is a shortcut",
        "told by the last frame": "who tells answers by the last frame and the words understands the task: better than "
        "the blind floor is good",
        "shared trajectories": "what one dataset teaches the other examines: split by trajectory with --split",
        "look-alike episodes": "the same episodes under other names: `rfm split` keeps them on one side",
    }
)


def meaning_of(check: str) -> str:
    """Return what a check means and what to do; "" where nothing is to be said."""
    return next((text for name, text in _MEANINGS.items() if check.endswith(name)), "")
