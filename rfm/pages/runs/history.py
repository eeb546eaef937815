"""What a run of `rfm train` has logged, read from its folder: no TensorBoard, no torch.

The Trainer keeps every entry in `trainer_state.json`, at the end of a run in its folder and before that in its
checkpoints: of the two the one with more steps counts. A run that has saved nothing yet has no history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfm.errors import DataError
from rfm.files.documents.json_documents import LARGE, read_json_object
from rfm.trajectories.record import is_number

STATE = "trainer_state.json"
_WAY_OUT = "name the folder that `rfm train --output_dir` wrote, after its first checkpoint"


@dataclass(frozen=True)
class History:
    """The curves of one run: steps and values by the name of what was logged."""

    folder: str
    steps: int
    """Made so far."""
    planned: int
    curves: Mapping[str, list[tuple[float, float]]]

    @property
    def finished(self) -> bool:
        """Whether all steps were made."""
        return self.steps >= self.planned > 0


def read_history(folder: str) -> History:
    """Read a run's folder; raises `DataError` where it holds no history."""
    place = Path(folder)
    states = [path for path in (place / STATE, *place.glob(f"checkpoint-*/{STATE}")) if path.is_file()]
    if not states:
        raise DataError(
            f"`results` must be results files or folders of runs, but {folder} holds no {STATE}; {_WAY_OUT}"
        )
    read = [(_count(state, "global_step", path), state, path) for path in states for state in (_state(path),)]
    steps, state, path = max(read, key=lambda one: one[0])
    return History(folder, steps, _count(state, "max_steps", path), _curves(state, path))


def _state(path: Path) -> dict[str, Any]:
    return read_json_object(path, most=LARGE, way_out=_WAY_OUT)


def _count(state: Mapping[str, Any], name: str, path: Path) -> int:
    value = state.get(name)
    if type(value) is not int or value < 0:
        raise DataError(f"`{name}` of {path} must be a whole number from 0, but is {value!r}; {_WAY_OUT}")
    return value


def _curves(state: Mapping[str, Any], path: Path) -> dict[str, list[tuple[float, float]]]:
    entries = state.get("log_history")
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and is_number(entry.get("step")) for entry in entries
    ):
        raise DataError(f"`log_history` of {path} must be a list of entries with a `step`, but is not; {_WAY_OUT}")
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for entry in entries:
        for name, value in entry.items():
            if name != "step" and is_number(value):
                curves[name].append((float(entry["step"]), float(value)))
    return dict(curves)
