"""Small catalogs built in code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rfm.trajectories.catalog import Catalog
from rfm.trajectories.task_groups import encode, task_families
from rfm.trajectories.towards import Towards


def make_catalog(
    *,
    frames: list[int],
    tasks: list[int] | None = None,
    sources: list[int] | None = None,
    quality: list[int] | None = None,
    partial: list[float] | None = None,
    progress: list[list[float]] | None = None,
    is_robot: list[bool] | None = None,
    groups: list[int] | None = None,
    scenes: list[int] | None = None,
    files: list[int] | None = None,
    texts: list[str] | None = None,
    towards: dict[tuple[int, int], list[float]] | None = None,
    times: list[list[float]] | None = None,
    sizes: list[int] | None = None,
) -> Catalog:
    """A catalog of these columns, frames as high and wide as `sizes` say.

    `texts` by row, `files` by number, `towards` by (trajectory, task).
    """
    n = len(frames)
    task = np.array(tasks or [0] * n, np.int32)
    source = np.array(sources or [0] * n, np.int32)
    curves = progress or [[]] * n
    file = np.array(files if files is not None else range(n), np.int32)
    spelled, text = pa.array([f"do task {i}" for i in range(int(task.max(initial=0)) + 1)]), task
    if texts is not None:
        spelled, text = encode(pa.array(texts, pa.string()))
    entries = sorted((towards or {}).items())
    moments = times or [[]] * n
    ids = pc.binary_join_element_wise("t", pa.array(range(n), pa.int64()).cast(pa.string()), "")
    return Catalog(
        root=Path(),
        keys=(),
        ids=ids,
        frames_path=pa.array([f"fake/frames/trajectory_t{number}.npz" for number in file.tolist()], pa.string()),
        texts=spelled,
        text_code=text,
        tasks=pa.array([f"task{i}" for i in range(int(task.max(initial=0)) + 1)]),
        task_code=task,
        sources=pa.array([f"source{i}" for i in range(int(source.max(initial=0)) + 1)]),
        source_code=source,
        quality=np.array(quality if quality is not None else [2] * n, np.int8),
        partial_success=np.array(partial if partial is not None else [np.nan] * n, np.float32),
        num_frames=np.array(frames, np.int32),
        frames_shape=np.column_stack([frames, sizes or [8] * n, sizes or [8] * n, [3] * n]).astype(np.int32),
        is_robot=np.array(is_robot if is_robot is not None else [True] * n, bool),
        progress_offsets=np.cumsum([0, *map(len, curves)]).astype(np.int64),
        progress_values=np.array([p for curve in curves for p in curve], np.float32),
        preference_group=np.array(groups if groups is not None else [-1] * n, np.int32),
        family_code=task_families(spelled, text, task),
        file_code=file,
        scene_code=np.array(scenes if scenes is not None else [-1] * n, np.int32),
        times_offsets=np.cumsum([0, *map(len, moments)]).astype(np.int64),
        times_values=np.array([moment for row in moments for moment in row], np.float32),
        towards=Towards(
            np.array([at for (at, _), _ in entries], np.int64),
            np.array([other for (_, other), _ in entries], np.int32),
            np.cumsum([0, *(len(curve) for _, curve in entries)]).astype(np.int64),
            np.array([value for _, curve in entries for value in curve], np.float32),
        ),
        unreadable=(),
    )


def random_catalog(
    seed: int, n: int, *, tasks: int = 5, sources: int = 2, recorded: bool = True, groups: int = 0
) -> Catalog:
    """A catalog of everything at once: lengths, qualities, partial success and records all mixed.

    With `groups`, half of the trajectories lie in that many preference groups.
    """
    rng = np.random.default_rng(seed)
    frames = rng.integers(1, 90, n).tolist()
    quality = rng.integers(-1, 3, n)
    partial = np.where(rng.random(n) < 0.4, rng.random(n), np.nan)
    partial[quality == 2] = np.nan
    curves = [
        np.clip(np.cumsum(rng.normal(0.04, 0.08, f)), 0, 1).round(4).tolist() if recorded and rng.random() < 0.5 else []
        for f in frames
    ]
    return make_catalog(
        frames=frames,
        tasks=rng.integers(0, tasks, n).tolist(),
        sources=rng.integers(0, sources, n).tolist(),
        quality=quality.tolist(),
        partial=partial.tolist(),
        progress=curves,
        is_robot=(rng.random(n) < 0.7).tolist(),
        groups=np.where(rng.random(n) < 0.5, rng.integers(0, groups, n), -1).tolist() if groups else None,
    )
