"""Split the trajectories of datasets: read what belongs together, assign, and describe what came out.

No frame is read but three of each episode, and those only where near-duplicates are looked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Int64

from rfm.errors import ConfigError
from rfm.frames.alike.near_duplicates import MOST_BITS, near_duplicates
from rfm.splits.deal import UNITS, Strata, assign, fold_shares, join, parse_shares
from rfm.splits.file import FORMAT, Split, assignment_hash
from rfm.trajectories.catalog import Catalog
from rfm.trajectories.extra_columns import ExtraColumns, extra_columns
from rfm.trajectories.hashes import source_hashes
from rfm.trajectories.record import QUALITY_LABELS, UNKNOWN_QUALITY

NEAR_DUPLICATES = ("together", "report", "ignore")
"""What to do about episodes that show the same: keep them on one side, count those that are not, or do not look."""

_MOST_BITS = 32  # beyond, every episode before one camera is a candidate
_QUALITY = dict(enumerate(QUALITY_LABELS)) | {UNKNOWN_QUALITY: "unknown"}


@dataclass(frozen=True)
class SplitSettings:
    """How to split."""

    shares: dict[str, float]
    by: str
    seed: int
    near_duplicates: str
    max_distance: int | None
    """Bits of 192 up to which episodes are compared by their pictures; None where near-duplicates are ignored."""


def split_settings(
    shares: str | int, by: str, seed: int, near_duplicates: str, max_distance: int | None = None
) -> SplitSettings:
    """Check what a user wrote, shares or a number of folds; ConfigError names all that is wrong beside them at once."""
    ignored = near_duplicates == "ignore"
    most = _MOST_BITS if max_distance is None else max_distance
    faults = [
        f"`{name}` must be {rule}, but is {value}"
        for name, value, good, rule in (
            ("by", by, by in UNITS, f"one of {', '.join(UNITS)}"),
            ("near_duplicates", near_duplicates, near_duplicates in NEAR_DUPLICATES, ", ".join(NEAR_DUPLICATES)),
            ("seed", seed, seed >= 0, "at least 0"),
            ("max_distance", max_distance, 0 <= most <= _MOST_BITS, f"between 0 and {_MOST_BITS} bits"),
        )
        if not good
    ]
    if ignored and max_distance is not None:
        faults.append("`max_distance` must not be given with near_duplicates=ignore, which compares nothing")
    if faults:
        raise ConfigError("\n".join(faults))
    distance = MOST_BITS if max_distance is None else max_distance
    dealt = fold_shares(shares) if isinstance(shares, int) else parse_shares(shares)
    return SplitSettings(dealt, by, seed, near_duplicates, None if ignored else distance)


def make_split(catalog: Catalog, settings: SplitSettings) -> Split:
    """Assign the trajectories of a catalog.

    Raises:
        ConfigError: there is nothing to split, a side would get nothing, or a trajectory has no scene.

    """
    if not len(catalog):
        raise ConfigError(f"the datasets {', '.join(catalog.keys)} must hold trajectories to split, but none is usable")
    extra = extra_columns(catalog, ("preference_group_id", *(("scene_id",) if settings.by == "scene" else ())))
    names = [f"{catalog.keys[key]}/{one}" for key, one in zip(extra.dataset, catalog.ids.to_pylist(), strict=True)]
    alike, uncompared = _alike(catalog, settings)
    paired = extra.codes["preference_group_id"]
    together = (alike,) if settings.near_duplicates == "together" else ()
    group = join([_unit(catalog, extra, settings.by), paired, catalog.file_code, *together])
    strata = Strata(catalog.task_code, catalog.quality) if settings.by == "trajectory" else None
    side = assign(names, group, settings.shares, settings.seed, strata)
    sides = {
        name: _side(catalog, extra, np.flatnonzero(side == number), share * len(catalog))
        for number, (name, share) in enumerate(settings.shares.items())
    }
    return Split(
        {
            "format": FORMAT,
            "settings": asdict(settings),
            "source_hashes": source_hashes(catalog.root, catalog.keys),
            "assignment_hash": assignment_hash({name: one["ids"] for name, one in sides.items()}),
            "groups": {"count": int(group.max()) + 1, "largest": int(np.bincount(group).max())},
            "sides": sides,
            "preference_groups": len(_by_name(names, paired)),
            "near_duplicates": {
                "groups": _by_name(names, alike),
                "divided": _divided(alike, side),
                "not_compared": {names[at]: reason for at, reason in sorted(uncompared.items())},
            },
            "unreadable": list(catalog.unreadable),
        }
    )


def _alike(catalog: Catalog, settings: SplitSettings) -> tuple[Int64[np.ndarray, " n"], dict[int, str]]:
    if settings.max_distance is None:
        return np.full(len(catalog), -1, np.int64), {}
    found = near_duplicates(
        catalog.root, catalog.frames_path.to_pylist(), catalog.num_frames, max_distance=settings.max_distance
    )
    return found.group, found.unreadable


def _unit(catalog: Catalog, extra: ExtraColumns, by: str) -> Int[np.ndarray, " n"]:
    """The code of what is never divided."""
    if by == "scene":
        return _scenes(catalog, extra.codes["scene_id"])
    codes = {"trajectory": np.arange(len(catalog)), "task": catalog.task_code, "source": catalog.source_code}
    return codes[by]


def _scenes(catalog: Catalog, scene: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    without = np.flatnonzero(scene < 0)
    if len(without):
        raise ConfigError(
            f"`by` may be scene where every trajectory has a `scene_id`, but {len(without)} of {len(scene)} have none "
            f"(the first: `{catalog.ids[int(without[0])]}`); ingest with `scene_id` in the manifest, or split by "
            "trajectory, task or source"
        )
    return scene


def _side(catalog: Catalog, extra: ExtraColumns, at: Int64[np.ndarray, " s"], wanted: float) -> dict[str, Any]:
    ids: dict[str, list[str]] = {key: [] for key in catalog.keys}
    for number, one in zip(extra.dataset[at].tolist(), catalog.ids.take(at).to_pylist(), strict=True):
        ids[catalog.keys[number]].append(one)
    return {
        "wanted": round(wanted, 6),
        "trajectories": len(at),
        "counts": {
            "quality": _counts([_QUALITY[code] for code in catalog.quality[at].tolist()]),
            "task": _counts(catalog.tasks.take(catalog.task_code[at]).to_pylist()),
            "source": _counts(catalog.sources.take(catalog.source_code[at]).to_pylist()),
        },
        "ids": {key: sorted(those) for key, those in ids.items()},
    }


def _counts(labels: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(labels).items()))


def _by_name(names: Sequence[str], code: Int[np.ndarray, " n"]) -> list[list[str]]:
    """The names of each code that two or more have, all sorted; -1 is none."""
    groups: dict[int, list[str]] = {}
    for at in np.flatnonzero(code >= 0).tolist():
        groups.setdefault(int(code[at]), []).append(names[at])
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _divided(code: Int[np.ndarray, " n"], side: Int64[np.ndarray, " n"]) -> int:
    """How many codes are on more than one side."""
    pairs = np.unique(np.stack([code[code >= 0], side[code >= 0]]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())
