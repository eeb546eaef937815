"""One trajectory as a row of a processed dataset: its columns, what each may hold, and the names that go with it.

A `Trajectory` is checked when it is made; all faults of a row are reported together. Units: `progress` and
`partial_success` lie in [0, 1], `frames_shape` is (T, H, W, C) in frames and pixels, `frames` is a POSIX path relative
to the datasets root. Quality is ordered: a label's code is its place in `QUALITY_LABELS`, -1 stands for unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from pathlib import PurePosixPath
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.trajectories.other_tasks import ProgressByTask

QUALITY_LABELS = ("failure", "suboptimal", "successful")
"""The quality labels from worst to best; the position is the code."""
UNKNOWN_QUALITY = -1

REQUIRED_TEXTS = ("id", "task", "data_source")
_TEXTS = ("quality_label", "task_id", "scene_id", "split", "frames_path", "preference_group_id")
_FLAGS = ("is_robot", "frames_processed")
_NUMBERS = ("progress", "frame_times", "lang_vector")
_HIGHEST_RANK = 2**31 - 1
_LONGEST_FOLDER = 200
"""Bytes of a folder's name; systems take 255, and what is written first has a longer one."""
_LONGEST_SHOWN = 100

_WORDS = {
    "successful": ("optimal", "success", "succeeded", "pass", "passed", "true", "yes", "1", "1.0"),
    "suboptimal": ("sub-optimal", "partial"),
    "failure": ("failed", "fail", "unsuccessful", "false", "no", "0", "0.0"),
}
"""What people and programs write for a quality label, in any case."""
_SYNONYMS = {word: label for label, words in _WORDS.items() for word in words}
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
    progress_by_task: ProgressByTask | None = None
    """How far each frame has got towards other tasks, where that is known."""
    frame_times: tuple[float, ...] | None = None
    """When each frame is shown, as a share of the recording from its first to its last frame; never falls."""
    scene_id: str | None = None
    split: str | None = None
    lang_vector: tuple[float, ...] | None = None
    frames_path: str | None = None
    frames_processed: bool | None = None
    preference_group_id: str | None = None
    preference_rank: int | None = None

    def __post_init__(self) -> None:
        faults = (*value_faults(self), *_frames_faults(self))
        if faults:
            raise DataError(f"trajectory `{self.id}`: {'; '.join(faults)}")
        object.__setattr__(self, "quality_label", canonical_quality(self.quality_label, f"trajectory `{self.id}`"))


def canonical_quality(value: object, place: str) -> str | None:
    """The label that `value` means, None where it is empty; `place` names the row in the error."""
    text = "" if value is None else str(value).strip().lower()
    if not text:
        return None
    label = _SYNONYMS.get(text, text)
    if label not in QUALITY_LABELS:
        valid = ", ".join(f"`{name}` (or {', '.join(_WORDS[name])})" for name in reversed(QUALITY_LABELS))
        shown = ascii(value)[:_LONGEST_SHOWN] if not isinstance(value, str) else value[:_LONGEST_SHOWN]
        raise DataError(f"`quality_label` in {place} must be one of {valid} or empty (unknown), but is `{shown}`")
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
    unnameable = "\\" in folder or "\0" in folder or not is_unicode(folder) or len(folder.encode()) > _LONGEST_FOLDER
    if folder in ("", ".", "..") or unnameable:
        raise ConfigError(f"a dataset key must name a folder under the datasets root, but is `{key}`")
    return folder


def is_relative_frames_path(path: str) -> bool:
    """Whether `path` can only lead below the root it is joined to (links aside)."""
    odd = path.startswith("/") or "\\" in path or "\0" in path
    return bool(path) and not odd and ".." not in PurePosixPath(path).parts


def is_unicode(text: str) -> bool:
    """Whether files and columns take the text: half a pair of UTF-16 is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def value_faults(row: Any) -> Iterator[str]:
    """Yield what is wrong with the values of a trajectory, or of an episode that is to become one, its frames aside.

    A value of another kind is a fault too, never converted: "0" is no number, and a list of texts no text.
    """
    for name in REQUIRED_TEXTS:
        if isinstance(value := getattr(row, name), str) and not value.strip():
            yield f"`{name}` must not be empty"
        else:
            yield from _fault(name, value, _is_text, "text")
    for names, holds, kind in _RULES:
        for name in names:
            if (value := getattr(row, name, None)) is not None:
                yield from _fault(name, value, holds, kind)
    for name in _NUMBERS:
        values = getattr(row, name, None)
        if values is not None and not (isinstance(values, tuple) and all(map(is_number, values))):
            yield f"`{name}` must be a list of numbers, but is not"
    yield from _share_faults(row)
    if (progress := getattr(row, "progress_by_task", None)) is not None:
        yield from other_task_faults(progress, row.task, row.task_id)


def is_number(value: Any) -> bool:
    """Whether a value is a number (of any kind but true and false); NaN is one here."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _fault(name: str, value: Any, holds: Callable[[Any], bool], kind: str) -> Iterator[str]:
    if not holds(value):
        yield f"`{name}` must be {kind}, but is {ascii(value)[:_LONGEST_SHOWN]}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and is_unicode(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_rank(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and abs(int(value)) <= _HIGHEST_RANK


_RULES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (_TEXTS, _is_text, "text or null"),
    (_FLAGS, _is_flag, "true or false"),
    (("preference_rank",), _is_rank, "a whole number or null"),
)


def _share_faults(row: Any) -> Iterator[str]:
    partial = row.partial_success
    if partial is not None and not (is_number(partial) and 0.0 <= partial <= 1.0):
        yield f"`partial_success` must be in [0, 1] or null, but is {ascii(partial)[:_LONGEST_SHOWN]}"
    for name in ("progress", "frame_times"):
        yield from _outside(name, getattr(row, name, None))


def _outside(name: str, values: Any) -> Iterator[str]:
    """The first of the values that is no share."""
    for index, value in enumerate(values if isinstance(values, tuple) else ()):
        if is_number(value) and not 0.0 <= value <= 1.0:
            yield f"`{name}[{index}]` must be in [0, 1], but is {value}"
            return


def other_task_faults(progress: Any, own: Any, own_id: Any) -> Iterator[str]:
    """Yield what is wrong with a row's progress towards other tasks than its `own`, the number of values aside."""
    if not (isinstance(progress, tuple) and all(isinstance(one, tuple) and len(one) == 2 for one in progress)):
        yield f"`progress_by_task` must be progress by task id, but is {ascii(progress)[:_LONGEST_SHOWN]}"
        return
    seen: set[str] = set()
    for task, values in progress:
        if not _is_text(task) or not task.strip():
            yield f"`progress_by_task` must name each task by its id, but has {ascii(task)[:_LONGEST_SHOWN]}"
            continue
        shown = task[:_LONGEST_SHOWN]
        if task.strip() in seen:
            yield f"`progress_by_task` must name each task once, but names `{shown}` twice"
        elif _is_task(task, own, own_id):
            yield f"`progress_by_task` must name other tasks than the row's own, but names `{shown}`"
        seen.add(task.strip())
        if not (isinstance(values, tuple) and all(map(is_number, values))):
            yield f"`progress_by_task[{shown}]` must be a list of numbers, but is {ascii(values)[:_LONGEST_SHOWN]}"
        else:
            yield from _outside(f"progress_by_task[{shown}]", values)


def _is_task(name: str, text: Any, task_id: Any) -> bool:
    """Whether a task id, or a wording that stands for one, is that of a row with this text and this id."""
    same_id = isinstance(task_id, str) and task_id.strip() == name.strip()
    return same_id or (isinstance(text, str) and normalise_task(text) == normalise_task(name))


def _frames_faults(row: Trajectory) -> Iterator[str]:
    if not (_is_text(row.frames) and is_relative_frames_path(row.frames)):
        yield f"`frames` must be a path relative to the datasets root, without `..`, but is `{row.frames}`"
    yield from _shape_faults(row)
    listed = {name: getattr(row, name) for name in ("progress", "frame_times")}
    for name, values in (*listed.items(), *named_progress(row.progress_by_task)):
        if isinstance(values, tuple) and len(values) != row.num_frames:
            yield f"`{name}` must have one value a frame ({row.num_frames}), but has {len(values)}"
    if row.frame_times is not None and falls(row.frame_times):
        yield "`frame_times` must never fall, but does"


def named_progress(progress: Any) -> Iterator[tuple[str, Any]]:
    """Yield the progress towards each other task with its name in messages; nothing of what has no such form."""
    for one in progress if isinstance(progress, tuple) else ():
        if isinstance(one, tuple) and len(one) == 2:
            yield f"progress_by_task[{str(one[0])[:_LONGEST_SHOWN]}]", one[1]


def falls(values: Sequence[float]) -> bool:
    """Whether a value is below the one before it."""
    return any(after < before for before, after in pairwise(values))


def _shape_faults(row: Trajectory) -> Iterator[str]:
    if len(row.frames_shape) != 4 or min(row.frames_shape) < 1 or row.frames_shape[3] != 3:
        yield f"`frames_shape` must be (T, H, W, 3), each at least 1, but is {row.frames_shape}"
    elif row.frames_shape[0] != row.num_frames:
        yield f"`num_frames` must equal `frames_shape[0]` ({row.frames_shape[0]}), but is {row.num_frames}"
