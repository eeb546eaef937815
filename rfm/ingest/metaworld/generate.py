"""Make a bundle of simulated robot videos: `generate_metaworld`.

Each slot is tried with fresh seeds until the simulator's own state gives it the quality that it must have (two attempts
of 0.2 s on average), then rendered (1 s) and encoded (0.2 s). The quality comes from the last shown state and never
from the policy: attempts only decide which episodes are kept. The same settings give the same files, whatever the
number of workers, after any number of interruptions.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rfm.console import tracked
from rfm.errors import DataError
from rfm.files.lock import exclusive
from rfm.ingest.metaworld.bundle import (
    MANIFEST,
    VIDEOS,
    Row,
    claim,
    close,
    drop_parts,
    part_path,
    read_manifest,
    write_part,
)
from rfm.ingest.metaworld.cameras import BUNDLED, Filming
from rfm.ingest.metaworld.engine import versions
from rfm.ingest.metaworld.policies import planned_variant
from rfm.ingest.metaworld.render import render
from rfm.ingest.metaworld.sides import keep_lookalikes_together
from rfm.ingest.metaworld.simulate import Episode, simulate
from rfm.ingest.metaworld.slots import MAX_ATTEMPTS, Slot, plan_slots
from rfm.ingest.metaworld.tasks import select_tasks
from rfm.ingest.metaworld.video import FPS, write_video
from rfm.processes import worker_pool


@dataclass(frozen=True)
class Summary:
    """What `generate_metaworld` did."""

    output: Path
    tasks: int
    episodes: int
    made: int
    """Episodes made by this call; the others were there from an earlier one."""
    by_quality: dict[str, int]
    by_source: dict[str, int]
    megabytes: float
    """Size of the folder, in 10^6 bytes."""


def generate_metaworld(
    output: Path,
    *,
    seed: int = 0,
    episodes_per_task: int = 40,
    tasks: Sequence[str] | None = None,
    wordings: str = "usual",
    filming: Filming = BUNDLED,
    data_source: str | None = None,
    num_workers: int = 1,
) -> Summary:
    """Write a bundle (see `bundle`) of `episodes_per_task` videos for each named task (15 for None) to `output`.

    `data_source` names all episodes of a set that is only judged on; without it a quarter of each task is held out.
    Goes on where an earlier call with the same settings stopped. `num_workers` <= 1 stays in this process. Raises
    ConfigError on settings that cannot be used and DataError where `output` holds another generation.
    """
    chosen = select_tasks(tasks)
    slots = plan_slots(chosen, episodes_per_task, seed, filming=filming, wordings=wordings, source=data_source)
    settings = {"seed": seed, "episodes_per_task": episodes_per_task, "tasks": [task.name for task in chosen]}
    settings |= _unlike_the_bundle(wordings, filming, data_source)
    with exclusive(output, wait=False):
        claim(output, {**settings, **versions()})
        if (output / MANIFEST).exists():
            drop_parts(output)
            return _summary(output, read_manifest(output), made=0)
        waiting = [slot for slot in slots if not part_path(output, slot.id).exists()]
        for _ in tracked(_make_all(output, waiting, num_workers), "simulate", len(waiting)):
            pass
        ids = [slot.id for slot in sorted(slots, key=lambda slot: slot.id)]
        finish = keep_lookalikes_together if data_source is None else _as_they_are
        return _summary(output, close(output, ids, finish), made=len(waiting))


def _unlike_the_bundle(wordings: str, filming: Filming, data_source: str | None) -> dict[str, Any]:
    """Settings that only sets other than the bundle's have; its `generation.json` has none of them."""
    found: dict[str, Any] = {}
    if wordings != "usual":
        found["wordings"] = wordings
    if filming != BUNDLED:
        found |= asdict(filming)
    if data_source is not None:
        found["data_source"] = data_source
    return found


def _as_they_are(output: Path, rows: list[Row]) -> list[Row]:
    return rows


def _make_all(output: Path, slots: Sequence[Slot], num_workers: int) -> Iterator[None]:
    """Make the slots, one yield each as they finish."""
    if num_workers <= 1:
        for slot in slots:
            make_episode(output, slot)
            yield
        return
    with worker_pool(num_workers) as pool:  # spawned: a forked OpenGL context is not usable
        for future in as_completed([pool.submit(make_episode, output, slot) for slot in slots]):
            future.result()
            yield


def make_episode(output: Path, slot: Slot) -> None:
    """Simulate, render and store one slot's episode."""
    episode = find_episode(slot)
    write_video(output / VIDEOS / f"{slot.id}.mp4", render(episode, slot.camera, slot.size))
    write_part(output, _row(slot, episode), _arrays(slot, episode))


def find_episode(slot: Slot) -> Episode:
    """The first attempt that gives the slot its quality. Raises DataError after `MAX_ATTEMPTS`."""
    for attempt in range(MAX_ATTEMPTS):
        variant = planned_variant(slot.quality, slot.variant_turn(attempt))
        episode = simulate(slot.task, slot.quality, variant, slot.seed(attempt), slot.filming.num_frames)
        if _fits(slot, episode):
            return episode
    raise DataError(
        f"{slot.id} must be {slot.quality} with final progress in {slot.band}, but {MAX_ATTEMPTS} attempts were not;"
        " leave the task out with `tasks`"
    )


def _fits(slot: Slot, episode: Episode) -> bool:
    low, high = slot.band
    in_band = low <= episode.progress[-1] <= high
    return bool(episode.finished and episode.quality == slot.quality and in_band and not episode.overshot)


def _row(slot: Slot, episode: Episode) -> Row:
    progress = [float(p) for p in episode.progress]
    filmed = {} if slot.filming == BUNDLED else {"camera": slot.camera}
    return {
        "id": slot.id,
        "path": f"{VIDEOS}/{slot.id}.mp4",
        "task": slot.wording,
        "task_id": slot.task.name,
        "data_source": slot.data_source,
        "is_robot": True,
        "quality_label": episode.quality,
        "partial_success": progress[-1],
        "progress": progress,
        "progress_by_task": {name: labels.tolist() for name, labels in episode.progress_by_task.items()},
        "scene_id": slot.task.scene_id,
        "num_frames": len(progress),
        "fps": FPS,
        "seed": episode.seed,
        "policy": episode.variant,
        **filmed,
    }


def _arrays(slot: Slot, episode: Episode) -> dict[str, np.ndarray]:
    return {
        "task": np.array(slot.task.name),
        "qpos": episode.qpos,
        "mocap_pos": episode.mocap_pos,
        "object": episode.object_pos,
        "goal": episode.goal,
        "axes": np.array(slot.task.axes),
        "threshold": np.array(slot.task.threshold),
        "success": episode.success,
        "step": episode.steps,
    }


def _summary(output: Path, rows: Sequence[Row], made: int) -> Summary:
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return Summary(
        output=output,
        tasks=len({row["task_id"] for row in rows}),
        episodes=len(rows),
        made=made,
        by_quality=dict(Counter(row["quality_label"] for row in rows)),
        by_source=dict(Counter(row["data_source"] for row in rows)),
        megabytes=size / 1e6,
    )
