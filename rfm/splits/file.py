"""The JSON file of a split: which trajectories of which datasets are on which side, and how that was decided.

    {"format": 1, "settings": {"shares": {"train": 0.8, …}, "by": "task", "seed": 42, "near_duplicates": "together",
     "max_distance": 8}, "source_hashes": {"metaworld_train": "<sha256>"}, "assignment_hash": "<sha256>",
     "sides": {"train": {"wanted": 384.0, "trajectories": 384, "counts": {"quality": {…}, "task": {…}, "source": {…}},
                         "ids": {"metaworld_train": ["…", …]}}, …},
     "pairs": {…}, "near_duplicates": {…}, "unreadable": ["<id>: <reason>"]}

No time and no path is in it: the same trajectories and settings give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool

from rfm.errors import ConfigError, DataError
from rfm.files.documents.json_documents import LARGE, read_json
from rfm.files.documents.shapes import COUNT, NUMBER, TEXT, fields, fitted, listed, named
from rfm.files.staging import staged_file
from rfm.trajectories.catalog import Catalog
from rfm.trajectories.extra_columns import extra_columns

logger = logging.getLogger(__name__)

FORMAT = 1

Ids = dict[str, list[str]]
"""Ids by dataset key."""
ALL_BUT = "all_but_"
"""Before the name of a side: everything that is not on it, as training in cross-validation wants."""
_SHAPE = fields(
    {
        "format": COUNT,
        "settings": fields({"shares": named(NUMBER)}),
        "assignment_hash": TEXT,
        "sides": named(fields({"ids": named(listed(TEXT))})),
    },
    {"source_hashes": named(TEXT)},
)
"""What is read of it."""


@dataclass(frozen=True)
class Split:
    """A split as it stands in its file."""

    content: dict[str, Any]
    """The whole file."""

    @property
    def sides(self) -> dict[str, Ids]:
        """The ids of each side by dataset key."""
        return {name: side["ids"] for name, side in self.content["sides"].items()}

    @property
    def shares(self) -> dict[str, float]:
        """The share that was asked for of each side."""
        return self.content["settings"]["shares"]

    def record(self, side: str) -> dict[str, Any]:
        """What a dataset drawn from one side says about where it comes from."""
        return {**self.content["settings"], "side": side, "assignment_hash": self.content["assignment_hash"]}

    def write(self, path: Path) -> None:
        """Write the file whole or not at all, replacing what is there."""
        with staged_file(path) as staged:
            staged.write_text(self.text, encoding="utf-8")

    @property
    def text(self) -> str:
        """The file's text."""
        return json.dumps(self.content, indent=1, sort_keys=False, ensure_ascii=False) + "\n"


def assignment_hash(sides: Mapping[str, Ids]) -> str:
    """The sha256 of who is where; unlike the file's bytes it does not depend on how that was decided."""
    lines = sorted(f"{key}\0{one}\0{name}" for name, ids in sides.items() for key in ids for one in ids[key])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_split(path: str | Path, name: str = "data.split_file") -> Split:
    """Read the file that the setting `name` names.

    Raises:
        ConfigError: there is none.
        DataError: it is no split, or its ids were changed by hand.

    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"`{name}` must be a file that `rfm split` wrote, but {file} is no file")
    try:
        content = fitted(read_json(file, most=LARGE), _SHAPE, str(file))
    except DataError as error:
        raise DataError(f"`{name}` must be a split, but is none: {error}; make one by `rfm split`") from error
    split = Split(content)
    whole = content["format"] == FORMAT and assignment_hash(split.sides) == content["assignment_hash"]
    if not whole or list(split.shares) != list(split.sides):
        raise DataError(
            f"`{name}` {file} must be as `rfm split` wrote it (format {FORMAT}), but its format or its ids have "
            "changed; make it again"
        )
    return split


def select_side(catalog: Catalog, split: Split, side: str, sources: Mapping[str, str]) -> Catalog:
    """The trajectories of a catalog that are on one side, or on all but one (`ALL_BUT`).

    `sources` are the hashes of the catalog's datasets.

    Raises:
        ConfigError: there is no such side, or the catalog has trajectories that are on none.

    """
    name = side if side in split.sides else side.removeprefix(ALL_BUT)
    if name not in split.sides:
        known = ", ".join(split.sides)
        raise ConfigError(f"`partition` must be a side of the split ({known}), or {ALL_BUT} and one, but is {side}")
    on_any = _on_side(catalog, _all_ids(split))
    if not on_any.all():
        _raise_missing(catalog, on_any)
    chosen = _on_side(catalog, split.sides[name])
    _report_changes(catalog, split, name, sources, int(chosen.sum()))
    return catalog.select(chosen if name == side else ~chosen)


def _on_side(catalog: Catalog, ids: Ids) -> Bool[np.ndarray, " n"]:
    dataset = extra_columns(catalog).dataset
    found = np.zeros(len(catalog), bool)
    for number, key in enumerate(catalog.keys):
        at = np.flatnonzero(dataset == number)
        listed = pc.is_in(catalog.ids.take(pa.array(at)), value_set=pa.array(ids.get(key, []), pa.string()))
        found[at] = listed.to_numpy(zero_copy_only=False)
    return found


def _all_ids(split: Split) -> Ids:
    together: Ids = {}
    for ids in split.sides.values():
        for key, those in ids.items():
            together.setdefault(key, []).extend(those)
    return together


def _raise_missing(catalog: Catalog, on_any: Bool[np.ndarray, " n"]) -> None:
    dataset = extra_columns(catalog).dataset
    missing = np.flatnonzero(~on_any)
    per_key = np.bincount(dataset[missing], minlength=len(catalog.keys))
    counts = ", ".join(
        f"{lacking} of {total} of `{key}`"
        for key, lacking, total in zip(
            catalog.keys, per_key.tolist(), np.bincount(dataset, minlength=len(catalog.keys)).tolist(), strict=True
        )
        if lacking
    )
    raise ConfigError(
        f"`data.split_file` must name every trajectory that is drawn from, but lacks {counts} (the first: "
        f"`{catalog.ids[int(missing[0])]}`); split again with `rfm split --datasets {' '.join(catalog.keys)}`, or name "
        "in data.train_datasets only datasets that were split"
    )


def _report_changes(catalog: Catalog, split: Split, side: str, sources: Mapping[str, str], found: int) -> None:
    hashes = split.content.get("source_hashes", {})
    changed = [key for key in catalog.keys if hashes.get(key) != sources[key]]
    if changed:
        logger.warning("%s changed since the split was made; their trajectories are all in it", ", ".join(changed))
    ids = split.sides[side]
    gone = sum(len(ids.get(key, [])) for key in catalog.keys) - found
    if gone:
        logger.warning("%d trajectories of side %s are not there any more or can't be used", gone, side)
    others = {key: len(those) for key, those in ids.items() if those and key not in catalog.keys}
    if others:
        listed = ", ".join(f"{count} of {key}" for key, count in others.items())
        logger.warning("side %s also has %s, which data.train_datasets does not name: left out", side, listed)
