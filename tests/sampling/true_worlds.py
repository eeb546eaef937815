"""Trajectories as plain dictionaries, for each thing that makes a question false when it is overlooked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rfm.trajectories.other_tasks import by_task
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset

Record = dict[str, Any]
LABELS = ("failure", "suboptimal", "successful")
KEY = "world"


def write_world(root: Path, records: list[Record]) -> None:
    """Write a processed dataset of the records, without frames: nothing of what is tested reads one."""
    rows = []
    for record in records:
        values = dict(record)
        for name in ("progress", "frame_times"):
            values[name] = None if values.get(name) is None else tuple(values[name])
        values["progress_by_task"] = by_task(record["progress_by_task"]) if record.get("progress_by_task") else None
        rows.append(Trajectory(**values))
    write_processed_dataset(root / KEY, rows)


def record(number: int, rng: np.random.Generator, **values: Any) -> Record:
    """An episode of 6 to 70 frames without a record; `values` say the rest."""
    frames = int(values.pop("num_frames", rng.integers(6, 70)))
    height, width = values.pop("size", (8, 8))
    made = {
        "id": f"t{number:05d}",
        "task": "push the button",
        "data_source": "one",
        "frames": f"{KEY}/frames/trajectory_t{number:05d}.npz",
        "frames_shape": (frames, height, width, 3),
        "num_frames": frames,
        "quality_label": LABELS[number % 3],
    }
    return {**made, **values}


def curve(rng: np.random.Generator, frames: int, end: float) -> list[float]:
    """Progress that rises with setbacks to about `end`."""
    steps = rng.normal(end / frames, 0.06, frames)
    return [float(np.float32(value)) for value in np.clip(np.cumsum(steps), 0, 1).round(4)]


def scenes(rng: np.random.Generator) -> list[Record]:
    """Windows, drawers and doors of several rooms; opposites have a record of each other, the third task has none."""
    made = []
    for number in range(360):
        room, verb = number % 6, number // 6 % 3
        thing = ("window", "drawer", "door")[room % 3]
        frames = int(rng.integers(6, 70))
        own = curve(rng, frames, (0.1, 0.5, 1.0)[number // 18 % 3])
        tasks = [f"{thing}-open-{room}", f"{thing}-close-{room}", f"{thing}-wipe-{room}"]
        other = {tasks[1 - verb]: [float(np.float32(1 - value)) for value in own]} if verb < 2 else None
        made.append(
            record(
                number, rng, num_frames=frames, progress=own, quality_label=LABELS[number // 18 % 3],
                task=f"{('open', 'close', 'wipe')[verb]} the {thing} of room {room}", task_id=tasks[verb],
                scene_id=f"room {room}", progress_by_task=other, data_source=("one", "two")[room % 2],
            )
        )  # fmt: skip
    return made


def opposites_without_scenes(rng: np.random.Generator) -> list[Record]:
    """What `rfm ingest --opposites` makes of episodes without a scene: of successes alone the opposite is recorded."""
    made = []
    for number in range(240):
        frames, thing, verb = int(rng.integers(6, 70)), number % 3, number // 3 % 2
        ids = [f"thing {thing} {verb}" for verb in ("open", "close")]
        undone = [float(np.float32(1 - (frame + 1) / frames)) for frame in range(frames)]
        label = LABELS[number // 6 % 3]
        made.append(
            record(
                number, rng, num_frames=frames, task=f"{('open', 'close')[verb]} thing {thing}", task_id=ids[verb],
                quality_label=label, partial_success=None if label == "successful" else 0.3,
                progress_by_task={ids[1 - verb]: undone} if label == "successful" else None,
            )
        )  # fmt: skip
    return made


def records_of_other_scenes(rng: np.random.Generator) -> list[Record]:
    """Progress is recorded towards tasks that were only done in another scene; some records contradict each other."""
    made = []
    for number in range(240):
        room, failed, frames = number % 4, number // 4 % 3 == 0, int(rng.integers(6, 70))
        towards = None
        if not failed:
            towards = {f"task {(room + 1) % 4}": curve(rng, frames, float(rng.random()))}
        if number // 12 % 3 == 0 and towards:
            towards["task 4"] = curve(rng, frames, float(rng.random()))
        if number // 12 % 6 == 0 and towards:
            towards["task 4 again"] = curve(rng, frames, float(rng.random()))
        made.append(
            record(
                number, rng, num_frames=frames, task=f"do thing {room}", task_id=f"task {room}",
                scene_id=f"room {room}", quality_label="failure" if failed else "successful",
                partial_success=0.3 if failed else None, progress_by_task=towards,
            )
        )  # fmt: skip
    for number in range(240, 280):
        again = number % 2
        made.append(
            record(
                number, rng, task=("do thing 4", "Do the thing 4.")[again], task_id=("task 4", "task 4 again")[again],
                scene_id="room 9", quality_label="successful",
            )
        )  # fmt: skip
    return made


def rows_of_one_episode(rng: np.random.Generator) -> list[Record]:
    """Every video has two rows about its task, by two annotators who do not always agree."""
    made = []
    for number in range(0, 240, 2):
        frames, task = int(rng.integers(6, 70)), f"do thing {number // 2 % 3}"
        first, second = ((2, 2), (0, 0), (2, 0), (2, 1), (1, 1), (2, None))[number // 6 % 6]
        for offset, label in enumerate((first, second)):
            partial = (None, 0.1 + 0.15 * offset, 0.4 + 0.3 * offset)[number // 36 % 3]
            made.append(
                record(
                    number + offset, rng, num_frames=frames, task=task, frames=f"{KEY}/frames/video{number}.npz",
                    quality_label=None if label is None else LABELS[label],
                    partial_success=None if label == 2 else partial,
                )
            )  # fmt: skip
    return made


def shared_texts(rng: np.random.Generator) -> list[Record]:
    """LIBERO's way: one sentence under a task id of its own in each scene, in several spellings."""
    spellings = (
        "put the bowl on the plate",
        "Put a bowl on the plates.",
        "open the drawer",
        "open drawer",
        "turn on stove",
    )
    made = []
    for number in range(400):
        scene, text = number % 8, number // 8 % 5
        made.append(
            record(
                number, rng, task=spellings[text], task_id=f"scene{scene}_{text}", quality_label="successful",
                scene_id=f"scene {scene}" if scene % 2 else None, data_source="libero",
            )
        )  # fmt: skip
    return made


def texts_without_ids(rng: np.random.Generator) -> list[Record]:
    """Articles, plurals, case and punctuation differ, and nobody has a task id."""
    spellings = ("open the drawer", "Open drawer!", "open drawers", "close the box", "close a box", "lift the lid")
    return [
        record(
            number,
            rng,
            task=spellings[number % 6],
            data_source=("one", "two")[number % 2],
            quality_label=LABELS[number // 6 % 3],
        )
        for number in range(240)
    ]


def shared_files(rng: np.random.Generator) -> list[Record]:
    """Every video has two rows, annotated for two tasks; the second one's score is its own."""
    tasks = ("pick up the cube", "stack the cube", "push the cube", "hide the cube")
    made = []
    for number in range(0, 240, 2):
        frames, first = int(rng.integers(6, 70)), number // 2 % 4
        for offset, task in ((0, first), (1, (first + 1) % 4)):
            label = LABELS[2 - 2 * offset]
            made.append(
                record(
                    number + offset, rng, num_frames=frames, task=tasks[task], quality_label=label,
                    frames=f"{KEY}/frames/trajectory_video{number}.npz",
                    partial_success=0.3 if label == "failure" else None,
                )
            )  # fmt: skip
    return made


def groups(rng: np.random.Generator) -> list[Record]:
    """RoboReward's way: copies of a video with other instructions and scores of their own, in a preference group."""
    made = []
    for number in range(300):
        copy, video = number % 2, number // 2
        made.append(
            record(
                number, rng, task=f"task number {(video + copy) % 5}", quality_label=None if copy else "successful",
                partial_success=float(rng.integers(0, 5)) / 4 if copy else None, preference_group_id=f"g{video}",
            )
        )  # fmt: skip
    return made


def conflicts(rng: np.random.Generator) -> list[Record]:
    """Partial success that contradicts the label in half of the episodes, or is the zero of an export."""
    made = []
    for number in range(360):
        label = LABELS[number % 3]
        fitting = {"failure": 0.1, "suboptimal": 0.5, "successful": 1.0}[label]
        partial = (fitting, fitting, 1.1 - fitting, 0.0, None, float(rng.random()))[number // 3 % 6]
        made.append(record(number, rng, task=f"task number {number % 5}", quality_label=label, partial_success=partial))
    return made


def unlabelled(rng: np.random.Generator) -> list[Record]:
    """Sources without labels, with scores alone, and with both."""
    made = []
    for number in range(360):
        source = ("nothing", "scored", "labelled")[number % 3]
        made.append(
            record(
                number, rng, data_source=source, task=f"task number {number // 3 % 4}",
                quality_label=LABELS[number // 3 % 3] if source == "labelled" else None,
                partial_success=float(rng.random()) if source == "scored" else None,
            )
        )  # fmt: skip
    return made


def thousand_to_one(rng: np.random.Generator) -> list[Record]:
    """4,000 episodes of one source beside 4 of another, which share one of five tasks."""
    return [
        record(
            number, rng, data_source="large" if number < 4000 else "small", num_frames=12 + number % 3,
            task=f"task number {number % 4 if number < 4000 else 3 + number % 2}",
        )
        for number in range(4004)
    ]  # fmt: skip


def sizes(rng: np.random.Generator) -> list[Record]:
    """Successes are recorded larger than failures in one source, and two cameras differ in another."""
    made = []
    for number in range(300):
        source = ("one", "two")[number % 2]
        large = number // 2 % 3 == 2 if source == "one" else number // 6 % 2 == 0
        made.append(
            record(
                number, rng, data_source=source, quality_label=LABELS[number // 2 % 3],
                task=f"task number {number // 6 % 3}", size=(16, 12) if large else (8, 8),
            )
        )  # fmt: skip
    return made


def times(rng: np.random.Generator) -> list[Record]:
    """Variable frame rates, with and without success cut-offs (source `two`: CUTOFFS)."""
    made = []
    for number in range(240):
        frames = int(rng.integers(6, 70))
        moments = np.concatenate([[0], np.cumsum(rng.exponential(1, frames - 1) ** 2)])
        shares = [float(np.float32(value)) for value in moments / moments[-1]]
        made.append(
            record(
                number, rng, num_frames=frames, frame_times=shares if number % 4 else None,
                task=f"task number {number % 3}", data_source=("one", "two")[number // 3 % 2],
                quality_label=LABELS[number // 6 % 3],
            )
        )  # fmt: skip
    return made


def people(rng: np.random.Generator) -> list[Record]:
    """People beside robots on the same tasks."""
    return [
        record(
            number,
            rng,
            task=f"task number {number % 4}",
            is_robot=number // 12 % 2 == 0,
            quality_label=LABELS[number // 4 % 3],
        )
        for number in range(240)
    ]


def everything(rng: np.random.Generator) -> list[Record]:
    """All of it at random in one world, with episodes that are too short."""
    made = []
    for number in range(500):
        frames, task, scene = int(rng.integers(2, 90)), int(rng.integers(0, 6)), int(rng.integers(0, 4))
        recorded = rng.random() < 0.4
        others = [f"id {scene}-{other}" for other in range(6) if other != task and rng.random() < 0.4]
        towards = {other: curve(rng, frames, float(rng.random())) for other in others}
        label = (None, *LABELS)[rng.integers(0, 4)]
        made.append(
            record(
                number, rng, num_frames=frames, task=f"do {'the ' * int(rng.integers(0, 2))}thing {task}",
                task_id=f"id {scene}-{task}" if scene else None, scene_id=f"scene {scene}" if scene else None,
                progress_by_task=towards if scene and recorded and rng.random() < 0.7 else None,
                progress=curve(rng, frames, float(rng.random())) if recorded else None, quality_label=label,
                partial_success=float(rng.random()) if rng.random() < 0.3 else None,
                data_source=("one", "two", "three")[rng.integers(0, 3)], is_robot=bool(rng.random() < 0.8),
                size=((8, 8), (16, 12))[rng.integers(0, 2)],
                preference_group_id=f"g{rng.integers(0, 60)}" if rng.random() < 0.2 else None,
                frames=f"{KEY}/frames/trajectory_t{number:05d}.npz",
            )
        )  # fmt: skip
    return made


WORLDS: dict[str, Callable[[np.random.Generator], list[Record]]] = {
    made.__name__: made
    for made in (
        scenes, opposites_without_scenes, records_of_other_scenes, rows_of_one_episode, shared_texts, texts_without_ids,
        shared_files, groups, conflicts, unlabelled, thousand_to_one, sizes, times, people, everything,
    )
}  # fmt: skip
CUTOFFS = {"two": 0.7}
"""Success cut-offs of the source `two`, wherever a world has it."""
