"""What recordings show where no manifest says it: the user says it of all at once, by flags or by folders' names."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from rfm.errors import ConfigError, DataError
from rfm.ingest.listing.manifest import ManifestRow, with_ids
from rfm.ingest.listing.recordings import recordings_below
from rfm.ingest.rules.applied import Rules
from rfm.ingest.rules.labels import LabelOptions
from rfm.trajectories.record import canonical_quality

_SAYING = ("task", "tasks", "task_pattern", "task_from", "label", "labels", "success_pattern", "failure_pattern")
_COLUMNS = ("task_column", "label_column")
_WAYS = "--task, --tasks, --task_pattern or --task_from folder"
_FIRST_FOLDER = r"^([^/]+)/"


@dataclass(frozen=True, kw_only=True)
class SpokenOptions(LabelOptions):
    """The rules for texts and labels, for recordings that hold neither."""

    task_from: str | None = field(
        default=None,
        metadata={"help": "`folder`: the first folder below PATH is named after the task", "choices": ("folder",)},
    )

    def __post_init__(self) -> None:
        faults = [f"`{name}` must be left out: videos record no columns" for name in _COLUMNS if getattr(self, name)]
        others = [name for name in ("task", "tasks", "task_pattern") if getattr(self, name) is not None]
        if self.task_from is not None and others:
            faults.append(f"at most one rule for texts must be given, but --task_from and --{others[0]} are")
        if faults:
            raise ConfigError("; ".join(faults))

    @property
    def rules(self) -> list[str]:
        """The flags given that say what recordings show."""
        return [f"--{name}" for name in _SAYING if getattr(self, name) is not None]


class Spoken(NamedTuple):
    """A recording, with what the rules say of it; an empty task, and why, where they say none."""

    row: ManifestRow
    fault: str = ""


def spoken_rows(folder: Path, options: SpokenOptions) -> list[Spoken]:
    """What is said of each recording below `folder`."""
    pattern = options.task_pattern if options.task_from is None else _FIRST_FOLDER
    rules = Rules(replace(options, task_pattern=pattern, task_from=None))
    paths = recordings_below(folder)
    if not paths:
        raise DataError(f"{folder} must hold videos, or folders of pictures, but holds none")
    spoken = [_spoken(path, rules, options) for path in paths]
    rules.finish()
    rows = with_ids([row for row, _ in spoken], folder)
    return [Spoken(row, fault) for row, (_, fault) in zip(rows, spoken, strict=True)]


def _spoken(path: str, rules: Rules, options: SpokenOptions) -> Spoken:
    try:
        told = rules.apply((path, os.path.splitext(path)[0]), path, _NoColumns())  # noqa: PTH122
    except DataError as error:
        return Spoken(ManifestRow(path=path, task="", id=None, data_source=options.source_name), str(error))
    if options.task_from is not None and _is_quality(told.task):
        raise ConfigError(
            f"--task_from folder takes the first folder below PATH for the task, but that of `{path}` says how it "
            "ended: give --task, or --task_pattern with a group for the task"
        )
    row = ManifestRow(
        path=path,
        task=told.task or "",
        id=None,
        data_source=options.source_name,
        quality_label=told.label.quality,
        partial_success=told.label.partial_success,
    )
    return Spoken(row, "" if row.task else f"{path} must have a task, but has none: give {_WAYS}")


def _is_quality(text: str | None) -> bool:
    try:
        return canonical_quality(text, "a folder") is not None
    except DataError:
        return False


class _NoColumns:
    """What a video records beside its pictures."""

    def columns(self) -> Collection[str]:
        return ()

    def values(self, column: str) -> Sequence[Any] | None:
        return None
