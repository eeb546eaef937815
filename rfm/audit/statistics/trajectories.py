"""What a trajectory dataset consists of, and what is known of its trajectories: scenes, progress, times of frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfm.audit.statistics.counts import Counts
from rfm.audit.statistics.tables import counted, most_frequent
from rfm.console import results
from rfm.files.documents.json_documents import read_json_object
from rfm.trajectories.record import canonical_quality
from rfm.trajectories.store import PROCESSED, read_columns

_COLUMNS = ("task", "data_source", "quality_label", "num_frames", "scene_id")
_LISTS = ("progress", "progress_by_task", "frame_times")


@dataclass(frozen=True)
class TrajectoryStatistics:
    """Counts of one dataset's trajectories; those by text are ordered from the most frequent, '' standing for null."""

    path: str
    trajectories: int
    frames: int
    qualities: Counts
    sources: Counts
    tasks: Counts
    scenes: Counts
    """Trajectories by scene; those without one are not counted here."""
    scene_option: str | None
    """`--scene` of the ingest, None where the dataset does not say it."""
    scenes_recorded: int | None
    """Trajectories whose scene was in the source."""
    with_progress: int
    with_progress_by_task: int
    with_frame_times: int


def is_trajectory_dataset(path: str) -> bool:
    """Whether a folder is a trajectory dataset, and no VQA dataset."""
    return (Path(path) / PROCESSED).is_dir()


def gather_trajectories(path: str) -> TrajectoryStatistics:
    """Count what the rows of a trajectory dataset say; its files of frames are not opened."""
    table = read_columns(Path(path), (*_COLUMNS, *_LISTS))
    column = {name: table[name].to_pylist() for name in _COLUMNS}
    made = _made_with(Path(path))
    option, recorded = made.get("scene"), made.get("scenes_recorded")
    return TrajectoryStatistics(
        path=path,
        trajectories=table.num_rows,
        frames=sum(count or 0 for count in column["num_frames"]),
        qualities=_counts(canonical_quality(label, path) or "unknown" for label in column["quality_label"]),
        sources=_counts(column["data_source"]),
        tasks=_counts(column["task"]),
        scenes=_counts(scene for scene in column["scene_id"] if (scene or "").strip()),
        scene_option=option if isinstance(option, str) else None,
        scenes_recorded=recorded if isinstance(recorded, int) else None,
        **{f"with_{name}": table.num_rows - table[name].null_count for name in _LISTS},
    )


def print_trajectories(statistics: TrajectoryStatistics) -> None:
    """Print what one trajectory dataset consists of."""
    total = statistics.trajectories
    title = f"{statistics.path}: {total} trajectories with {statistics.frames} frames"
    results().print(title, style="bold", soft_wrap=True)
    for name in ("qualities", "sources", "tasks", "scenes"):
        if counts := getattr(statistics, name):
            results().print(counted(name, most_frequent(counts)))
    results().print(scene_line(statistics), soft_wrap=True)
    results().print(
        f"progress is recorded of {statistics.with_progress}, progress towards other tasks of "
        f"{statistics.with_progress_by_task}, times of frames of {statistics.with_frame_times} of {total}",
        soft_wrap=True,
    )


def scene_line(statistics: TrajectoryStatistics) -> str:
    """How many trajectories have a scene, how many scenes there are, and who said so."""
    known = sum(statistics.scenes.values())
    said = f"{known} of {statistics.trajectories} trajectories have a scene, {len(statistics.scenes)} in all"
    if not known:
        return said
    if statistics.scene_option is None or statistics.scenes_recorded is None:
        return f"{said}; the dataset does not say by which rule"
    ruled = known - statistics.scenes_recorded
    rule = f"{ruled} by --scene {statistics.scene_option}, " if ruled > 0 else ""
    return f"{said}: {rule}{known - max(ruled, 0)} as recorded"


def _made_with(folder: Path) -> dict[str, Any]:
    """What the summary says of the ingest; nothing where there is none, or somebody else's."""
    file = folder / "dataset_info.json"
    made = read_json_object(file).get("ingest") if file.is_file() else None
    return made if isinstance(made, dict) else {}


def _counts(values: Iterable[str | None]) -> Counts:
    return dict(Counter(value or "" for value in values).most_common())
