"""Whether an episode succeeded, where the format itself does not say: a rule that the user gives, never a guess.

One of four: `--label` for all episodes, `--label_column` for a recorded column (one value a frame or an episode),
`--labels` for a CSV with a line an episode, a file or a folder (`episode`, `quality_label`, and `partial_success` if
known), or `--success_pattern` and `--failure_pattern`, searched for in the episode's path below PATH, or in the text of
--label_column where that is given. Without one the quality is unknown, unless the adapter knows a column of the format
that means success.

A column is read at the end of the episode, as labels of whole episodes are used: true or 1 there is a success, never
true is a failure; a success that was reached and lost again is unknown.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rfm.errors import ConfigError, DataError
from rfm.ingest.rules.listed import PLACE, Listed
from rfm.ingest.rules.texts import TextOptions, as_text, compiled_pattern
from rfm.trajectories.record import canonical_quality

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LabelOptions(TextOptions):
    """A dataset whose format leaves open what succeeded."""

    label: str | None = field(
        default=None, metadata={"help": "Quality of all episodes: successful, suboptimal or failure"}
    )
    label_column: str | None = field(
        default=None, metadata={"help": "Recorded column that says at the end of an episode whether it succeeded"}
    )
    labels: str | None = field(
        default=None,
        metadata={
            "help": "CSV with the columns episode (or its file or folder below PATH), quality_label, "
            "partial_success (optional)",
            "remote": True,
        },
    )
    success_pattern: str | None = field(
        default=None,
        metadata={
            "help": "Regular expression in the path below PATH, or in the text of --label_column, of successes only"
        },
    )
    failure_pattern: str | None = field(default=None, metadata={"help": "The same of failures; neither: unknown"})


class Label(NamedTuple):
    """What is known of an episode's outcome."""

    quality: str | None = None
    partial_success: float | None = None


class LabelRule:
    """The user's rule, applied; `finish` tells what it could not be applied to."""

    def __init__(self, options: LabelOptions):
        self._patterns = {
            quality: compiled_pattern(getattr(options, name), name)
            for quality, name in (("successful", "success_pattern"), ("failure", "failure_pattern"))
            if getattr(options, name) is not None
        }
        given = [name for name in ("label", "label_column", "labels") if getattr(options, name) is not None]
        patterned = [name for name in ("success_pattern", "failure_pattern") if getattr(options, name) is not None]
        given += [] if given == ["label_column"] else patterned[:1]
        if len(given) > 1:
            raise ConfigError(f"at most one rule for labels must be given, but --{' and --'.join(given)} are")
        self._constant = None if options.label is None else _checked(options.label)
        self._listed = None if options.labels is None else Listed(Path(options.labels), "--labels", ("quality_label",))
        for row in () if self._listed is None else self._listed.rows():
            _label_of(row)  # the user's own list is checked before any work
        self._by_column = options.label_column is not None
        self._unknown = 0

    def needs_column(self) -> bool:
        """Whether a recorded column decides: the user's, or the one that the format has."""
        return self._by_column or not (self._constant or self._listed or self._patterns)

    def label(self, names: Sequence[str], values: Sequence[Any] | None, column: str) -> Label:
        """The outcome of the episode that the CSV may call by any of `names`; `values` are those of `column`.

        Patterns are searched for in the first of `names`, the episode's path, where no column is given.
        """
        label = self._label(names, values, column)
        self._unknown += label.quality is None and label.partial_success is None
        return label

    def _label(self, names: Sequence[str], values: Sequence[Any] | None, column: str) -> Label:
        if self._listed is not None:
            row = self._listed.row(names)
            return Label() if row is None else _label_of(row)
        if self._constant is not None:
            return Label(self._constant)
        if self._patterns:
            texts = [as_text(value, f"`{column}`") for value in values or ()] if self._by_column else names[:1]
            return Label(_matching(self._patterns, texts))
        return Label(None if values is None else outcome(values, column))

    def meet(self, name: str, below: bool = False) -> None:
        """Say that an episode, or what lies `below` a file or folder, is there, whether it can be read or not."""
        if self._listed is not None:
            self._listed.meet(name, below)

    def finish(self) -> None:
        """ConfigError for lines of the CSV that belong to no episode; a warning where success is unknown."""
        if self._listed is not None:
            self._listed.finish()
        if self._unknown:
            logger.warning(
                "%d episodes are not known to have succeeded or failed: they serve neither as successes nor as "
                "failures; --label, --label_column, --labels or --success_pattern say what they are",
                self._unknown,
            )


def outcome(values: Sequence[Any], column: str) -> str | None:
    """The quality that an episode's values of `column` stand for; None where they leave it open."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if isinstance(known[-1], (str, bytes)):
        return canonical_quality(as_text(known[-1], f"`{column}`"), f"column `{column}`")
    odd = [value for value in known if not isinstance(value, (bool, int, float)) or value not in (0, 1)]
    if odd:
        raise DataError(f"`{column}` must be true or false, 0 or 1, or a quality label, but is `{odd[0]}`")
    if known[-1]:
        return "successful"
    return None if any(known) else "failure"


def _matching(patterns: Mapping[str, re.Pattern[str]], texts: Sequence[str]) -> str | None:
    found = [quality for quality, pattern in patterns.items() if any(pattern.search(text) for text in texts)]
    if len(found) > 1:
        raise DataError(f"--success_pattern and --failure_pattern must not both match, but do for `{texts[0]}`")
    return found[0] if found else None


def _checked(text: str) -> str:
    try:
        label = canonical_quality(text, "--label")
    except DataError as error:
        raise ConfigError(str(error)) from error
    if label is None:
        raise ConfigError("`--label` must be successful, suboptimal or failure, but is empty")
    return label


def _label_of(row: Mapping[str, str]) -> Label:
    place = row[PLACE]
    text = (row.get("partial_success") or "").strip()
    try:
        partial = float(text) if text else None
    except ValueError:
        partial = -1.0
    if partial is not None and not 0.0 <= partial <= 1.0:
        raise DataError(f"{place}: `partial_success` must be a number in [0, 1], but is `{text}`")
    return Label(canonical_quality(row["quality_label"], place), partial)
