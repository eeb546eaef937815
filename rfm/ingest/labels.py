"""Whether an episode succeeded, where the format itself does not say: a rule that the user gives, never a guess.

One of three: `--label` for all episodes, `--label_column` for a recorded column (one value a frame or an episode), or
`--labels` for a CSV with a line an episode (`episode`, `quality_label`, and `partial_success` if known). Without one
the quality is unknown, unless the adapter knows a column of the format that means success.

A column is read at the end of the episode, as labels of whole episodes are used: true or 1 there is a success, never
true is a failure; a success that was reached and lost again is unknown.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rfm.errors import ConfigError, DataError
from rfm.ingest.options import DatasetOptions
from rfm.trajectories.record import canonical_quality

logger = logging.getLogger(__name__)

_MOST_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class LabelOptions(DatasetOptions):
    """A dataset whose format leaves open what succeeded."""

    label: str | None = field(
        default=None, metadata={"help": "Quality of all episodes: successful, suboptimal or failure"}
    )
    label_column: str | None = field(
        default=None, metadata={"help": "Recorded column that says at the end of an episode whether it succeeded"}
    )
    labels: str | None = field(
        default=None,
        metadata={"help": "CSV with the columns episode, quality_label, partial_success (optional)", "remote": True},
    )
    task: str | None = field(default=None, metadata={"help": "What the robot was asked to do, in all episodes"})


class Label(NamedTuple):
    """What is known of an episode's outcome."""

    quality: str | None = None
    partial_success: float | None = None


class LabelRule:
    """The user's rule, applied; `finish` tells what it could not be applied to."""

    def __init__(self, options: LabelOptions):
        given = [name for name in ("label", "label_column", "labels") if getattr(options, name) is not None]
        if len(given) > 1:
            raise ConfigError(f"at most one rule for labels must be given, but --{' and --'.join(given)} are")
        self._constant = None if options.label is None else _checked(options.label)
        self._listed = None if options.labels is None else _read_labels(Path(options.labels))
        self._by_column = options.label_column is not None
        self._unused = set(self._listed or ())
        self._unknown = 0

    def needs_column(self) -> bool:
        """Whether a recorded column decides: the user's, or the one that the format has."""
        return self._constant is None and self._listed is None

    def label(self, names: Sequence[str], values: Sequence[Any] | None, column: str) -> Label:
        """The outcome of the episode that the CSV may call by any of `names`; `values` are those of `column`."""
        if self._listed is not None:
            found = next((name for name in names if name in self._listed), None)
            label = Label() if found is None else self._listed[found]
            self._unused.difference_update(names)
        elif self._constant is not None:
            label = Label(self._constant)
        else:
            label = Label(None if values is None else outcome(values, column))
        self._unknown += label.quality is None and label.partial_success is None
        return label

    def finish(self) -> None:
        """ConfigError for lines of the CSV that belong to no episode; a warning where success is unknown."""
        if self._unused:
            names = sorted(self._unused)
            more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
            raise ConfigError(
                f"each `episode` of --labels must be one of the dataset, but {', '.join(names[:_MOST_LISTED])}{more} "
                "is not there"
            )
        if self._unknown:
            logger.warning(
                "%d episodes are not known to have succeeded or failed: they serve neither as successes nor as "
                "failures; --label, --label_column or --labels say what they are",
                self._unknown,
            )


def outcome(values: Sequence[Any], column: str) -> str | None:
    """The quality that an episode's values of `column` stand for; None where they leave it open."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if isinstance(known[-1], (str, bytes)):
        text = known[-1].decode("utf-8", "replace") if isinstance(known[-1], bytes) else known[-1]
        return canonical_quality(text, f"column `{column}`")
    odd = [value for value in known if value not in (0, 1)]
    if odd:
        raise DataError(f"`{column}` must be true or false, 0 or 1, or a quality label, but is `{odd[0]}`")
    if known[-1]:
        return "successful"
    return None if any(known) else "failure"


def _checked(text: str) -> str:
    try:
        label = canonical_quality(text, "--label")
    except DataError as error:
        raise ConfigError(str(error)) from error
    if label is None:
        raise ConfigError("`--label` must be successful, suboptimal or failure, but is empty")
    return label


def _read_labels(path: Path) -> dict[str, Label]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in ("episode", "quality_label") if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{path} must have the column {missing[0]}, but has {', '.join(reader.fieldnames or ())}"
                )
            labels: dict[str, Label] = {}
            for row in reader:
                name = (row["episode"] or "").strip()
                place = f"{path} line {reader.line_num}"
                if not name or name in labels:
                    raise DataError(f"{place}: `episode` must be set and differ in every line, but is `{name}`")
                labels[name] = _label(row, place)
            return labels
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--labels must name a readable CSV, but reading {path} gives: {error}") from error


def _label(row: dict[str, str], place: str) -> Label:
    text = (row.get("partial_success") or "").strip()
    try:
        partial = float(text) if text else None
    except ValueError:
        partial = -1.0
    if partial is not None and not 0.0 <= partial <= 1.0:
        raise DataError(f"{place}: `partial_success` must be a number in [0, 1], but is `{text}`")
    return Label(canonical_quality(row["quality_label"], place), partial)
