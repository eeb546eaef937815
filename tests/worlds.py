"""Small trajectory datasets on disk, with real .npz frames in which progress can be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rfm.frames.npz.file import write_npz
from rfm.trajectories.other_tasks import ProgressByTask, by_task
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset


def make_world(
    root: Path,
    key: str = "toy_train",
    *,
    episodes: int = 12,
    frames: int = 16,
    size: int = 32,
    tasks: int = 2,
    seed: int = 0,
    scene: str | None = None,
) -> Path:
    """Write `episodes` of a square that moves to the right (task 0), down (task 1), …; returns `root`.

    Every third episode succeeds, stops half-way (suboptimal), or stays (failure); progress is recorded per frame.
    In a `scene` the rows have that `scene_id`, and the progress towards each other task by where the square is.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(episodes):
        task, quality = number % tasks, (number // tasks) % 3
        reach = (1.0, 0.3 + 0.4 * rng.random(), 0.1 * rng.random())[quality]
        progress = np.round(np.linspace(0, reach, frames), 4)
        name = f"{key}_{number:03d}"
        path = Path(key) / "frames" / f"trajectory_{name}.npz"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        offset = int(rng.integers(0, size - 8))
        write_npz(root / path, _film(progress, size, task, offset))
        rows.append(
            Trajectory(
                id=name,
                task=f"move the square {('right', 'down', 'left', 'up')[task % 4]}",
                task_id=f"move-{task}",
                data_source=key,
                frames=path.as_posix(),
                frames_shape=(frames, size, size, 3),
                num_frames=frames,
                quality_label=("successful", "suboptimal", "failure")[quality],
                partial_success=float(progress[-1]),
                progress=tuple(progress.tolist()),
                scene_id=scene,
                progress_by_task=None if scene is None else _towards_others(progress, task, offset / (size - 8), tasks),
            )
        )
    write_processed_dataset(root / key, rows)
    return root


def _towards_others(progress: np.ndarray, task: int, across: float, tasks: int) -> ProgressByTask:
    forth = {task % 4: progress, (task + 2) % 4: 1 - progress}
    still = {(task + 1) % 2: np.full(len(progress), across), (task + 1) % 2 + 2: np.full(len(progress), 1 - across)}
    others = {f"move-{at}": (forth | still)[at % 4].round(4).tolist() for at in range(tasks) if at % 4 != task % 4}
    return by_task(others)


def _film(progress: np.ndarray, size: int, task: int, offset: int) -> np.ndarray:
    film = np.full((len(progress), size, size, 3), 40, np.uint8)
    for frame, share in zip(film, progress, strict=True):
        along = int(share * (size - 8))
        x, y = ((along, offset), (offset, along), (size - 8 - along, offset), (offset, size - 8 - along))[task % 4]
        frame[y : y + 8, x : x + 8] = (220, 60 + 40 * task, 90)
    return film


def idle_film(frames: int, moving: int, *, noise: int = 0, size: int = 48, seed: int = 0) -> np.ndarray:
    """A square that moves in the first `moving` frames and then stands."""
    rng = np.random.default_rng(seed)
    out = np.full((frames, size, size, 3), 40, np.uint8)
    for number in range(frames):
        x = round(min(number, moving - 1) * (size - 10) / max(moving - 1, 1))
        out[number, 20:30, x : x + 10] = 220
    grain = rng.integers(-noise, noise + 1, out.shape)
    return np.clip(out + grain, 0, 255).astype(np.uint8)


def make_idle_world(
    root: Path, shares: dict[str, list[float]], *, frames: int = 40, quality: str = "successful"
) -> Path:
    """Write the dataset `idle`: of each source an episode for each share of its time after which nothing moves."""
    rows = []
    for source, ends in shares.items():
        for number, end in enumerate(ends):
            name = f"{source}_{number}"
            path = Path("idle") / "frames" / f"trajectory_{name}.npz"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            write_npz(root / path, idle_film(frames, round(end * frames), seed=number))
            row = Trajectory(
                id=name, task=f"task {number % 2}", data_source=source, frames=path.as_posix(),
                frames_shape=(frames, 48, 48, 3), num_frames=frames, quality_label=quality,
            )  # fmt: skip
            rows.append(row)
    write_processed_dataset(root / "idle", rows)
    return root
