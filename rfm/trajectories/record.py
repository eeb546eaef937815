"""One trajectory as a row of a processed dataset: its columns, what each may hold, and the names that go with it.

A `Trajectory` is checked when it is made; all faults of a row are reported together. Units: `progress` and
`partial_success` lie in [0, 1], `frames_shape` is (T, H, W, C) in frames and pixels, `frames` is a POSIX path relative
to the datasets root. Quality is ordered: a label's code is its place in `QUALITY_LABELS`, -1 stands for unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from rfm.errors import ConfigError, DataError

QUALITY_LABELS = ("failure", "suboptimal", "successful")
"""The quality labels from worst to best; the position is the code."""
UNKNOWN_QUALITY = -1

_SYNONYMS = {"optimal": "successful", "failed": "failure"}
_APOSTROPHES = re.compile(r"['`\u2019]")
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Trajectory:
    """A recorded attempt at a task. Synonyms of quality labels are replaced by the label itself."""

    id: str
    task: str
    data_source: str
    frames: str
    frames_shape: tuple[int, int, int, int]
    num_frames: int
    quality_label: str | None = None
    is_robot: bool = True
    partial_success: float | None = None
    task_id: str | None = None
    progress: tuple[float, ...] | None = None
    scene_id: str | None = None
    split: str | None = None
    lang_vector: tuple[float, ...] | None = None
    frames_path: str | None = None
    frames_processed: bool | None = None
    preference_group_id: str | None = None
    preference_rank: int | None = None

    def __post_init__(self) -> None:
        faults = tuple(_faults(self))
        if faults:
            raise DataError(f"trajectory `{self.id}`: {'; '.join(faults)}")
        object.__setattr__(self, "quality_label", canonical_quality(self.quality_label, f"trajectory `{self.id}`"))


def canonical_quality(value: str | None, place: str) -> str | None:
    """The label that `value` means, None where it is empty; `place` names the row in the error."""
    text = (value or "").strip().lower()
    if not text:
        return None
    label = _SYNONYMS.get(text, text)
    if label not in QUALITY_LABELS:
        valid = ", ".join(f"`{name}`" for name in (*reversed(QUALITY_LABELS), *_SYNONYMS))
        raise DataError(f"`quality_label` in {place} must be one of {valid} or empty (unknown), but is `{value}`")
    return label


def quality_code(value: str | None, place: str) -> int:
    """0 failure, 1 suboptimal, 2 successful, -1 unknown."""
    label = canonical_quality(value, place)
    return UNKNOWN_QUALITY if label is None else QUALITY_LABELS.index(label)


def normalise_task(text: str) -> str:
    """`text` in lower case with punctuation as single spaces: equal for two spellings of one wording.

    A text of punctuation alone stays as it is, so that it does not become the empty task.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NOT_WORD.sub(" ", _APOSTROPHES.sub("", folded)).strip() or folded.strip()


def dataset_folder(key: str) -> str:
    """The folder name of a dataset key: `/` and `:` become `_`."""
    folder = key.replace("/", "_").replace(":", "_").strip()
    if folder in ("", ".", "..") or "\\" in folder or "\0" in folder:
        raise ConfigError(f"a dataset key must name a folder under the datasets root, but is `{key}`")
    return folder


def is_relative_frames_path(path: str) -> bool:
    """Whether `path` can only lead below the root it is joined to (links aside)."""
    return bool(path) and not path.startswith("/") and "\\" not in path and ".." not in PurePosixPath(path).parts


def _faults(row: Trajectory) -> Iterator[str]:
    for name in ("id", "task", "data_source"):
        if not getattr(row, name).strip():
            yield f"`{name}` must not be empty"
    if not is_relative_frames_path(row.frames):
        yield f"`frames` must be a path relative to the datasets root, without `..`, but is `{row.frames}`"
    yield from _shape_faults(row)
    if row.partial_success is not None and not 0.0 <= row.partial_success <= 1.0:
        yield f"`partial_success` must be in [0, 1] or null, but is {row.partial_success}"
    if row.progress is not None:
        yield from _progress_faults(row.progress, row.num_frames)


def _shape_faults(row: Trajectory) -> Iterator[str]:
    if len(row.frames_shape) != 4 or min(row.frames_shape) < 1 or row.frames_shape[3] != 3:
        yield f"`frames_shape` must be (T, H, W, 3), each at least 1, but is {row.frames_shape}"
    elif row.frames_shape[0] != row.num_frames:
        yield f"`num_frames` must equal `frames_shape[0]` ({row.frames_shape[0]}), but is {row.num_frames}"


def _progress_faults(progress: tuple[float, ...], num_frames: int) -> Iterator[str]:
    if len(progress) != num_frames:
        yield f"`progress` must have one value a frame ({num_frames}), but has {len(progress)}"
    for index, value in enumerate(progress):
        if not 0.0 <= value <= 1.0:
            yield f"`progress[{index}]` must be in [0, 1], but is {value}"
            return
