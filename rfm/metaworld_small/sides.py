"""The sets that `metaworld-small` is trained and judged on, each one run of `rfm ingest metaworld`.

`make_sets` simulates what is missing and ingests all into one datasets root, where each side is a dataset of its own:

    rfm generate --output_path Q --eval_set ranking \
        --config_overrides data.datasets_root=ROOT 'data.eval_datasets=[metaworld_compositions]'

Two sides need no simulation of their own: the held-out episodes of seen tasks are a quarter of the training set's, and
held-out wordings are asked of those same episodes, so that the two differ in nothing but words. Every other side has
seeds of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rfm.ingest.metaworld.bundle import MANIFEST, Row, read_manifest, write_manifest
from rfm.ingest.metaworld.cameras import Filming
from rfm.ingest.metaworld.slots import EVAL, TRAIN
from rfm.ingest.metaworld.tasks import TASKS
from rfm.ingest.metaworld.wordings import wording
from rfm.ingest.sources.videos import ingest_videos

COMPOSITIONS = (
    "drawer-close",
    "handle-pull-side",
    "button-press-topdown-wall",
    "push-wall",
    "plate-slide-back-side",
)
"""Unseen tasks whose verb, object and place are each seen in others, never together."""
OBJECTS = ("soccer", "shelf-place", "peg-unplug-side")
"""Unseen tasks with things that no seen task shows."""
SEEN = tuple(name for name in TASKS if name not in (*COMPOSITIONS, *OBJECTS))
"""Tasks to learn from."""

_FILMING = Filming(("right", "right_low", "right_far"), (72, 96), num_frames=16)
_UNSEEN_FILMING = Filming(("side",), (128,), num_frames=16)
_WORDINGS_MANIFEST = "held_out_wordings.jsonl"
_WORDINGS = "metaworld_wordings"
SIDES = {
    "seen": EVAL,  # seen tasks, held-out episodes
    "wordings": _WORDINGS,  # the same episodes, held-out wordings
    "compositions": "metaworld_compositions",
    "objects": "metaworld_objects",
    "camera": "metaworld_camera",
    "afresh": "metaworld_afresh",
}
"""Dataset keys under the root by short names; all can be judged on by `data.eval_datasets=[KEY]`."""
TRAINING = TRAIN
"""The dataset key of the episodes to train on from the first lesson."""
MORE = "metaworld_more"
"""The dataset key of those that come to them in the last lesson."""


@dataclass(frozen=True)
class Set:
    """One run of `rfm ingest metaworld`."""

    name: str
    tasks: tuple[str, ...]
    episodes_per_task: int
    seed: int
    filming: Filming = _FILMING
    data_source: str | None = None


SETS = (
    Set("train", SEEN, 96, seed=0),  # a quarter is held out
    Set("more", SEEN, 80, seed=4, data_source=MORE),  # all to train on
    Set("compositions", COMPOSITIONS, 24, seed=1, data_source=SIDES["compositions"]),
    Set("objects", OBJECTS, 24, seed=1, data_source=SIDES["objects"]),
    Set("afresh", SEEN, 12, seed=2, data_source=SIDES["afresh"]),
    Set("camera", SEEN, 12, seed=3, filming=_UNSEEN_FILMING, data_source=SIDES["camera"]),
)
"""What is simulated, what is needed first first."""


def make_sets(folder: Path, names: Iterable[str] = (), num_workers: int = 1) -> Path:
    """Simulate and ingest the named sets, all for none, and return the datasets root, `folder`/root.

    Goes on where an earlier call stopped; about 1.2 CPU s an episode.
    """
    from rfm.ingest.metaworld.generate import generate_metaworld  # needs the simulator

    root, wanted = folder / "root", set(names)
    for one in SETS:
        if wanted and one.name not in wanted:
            continue
        videos = folder / one.name
        generate_metaworld(
            videos,
            seed=one.seed,
            episodes_per_task=one.episodes_per_task,
            tasks=one.tasks,
            wordings="many",
            filming=one.filming,
            data_source=one.data_source,
            num_workers=num_workers,
        )
        ingest_videos(videos, root, form="jpeg", num_workers=num_workers, manifest=videos / MANIFEST)
        if one.data_source is None:
            ingest_videos(videos, root, form="jpeg", num_workers=num_workers, manifest=_reworded(videos))
    return root


def _reworded(videos: Path) -> Path:
    """Write a manifest of the held-out episodes with held-out wordings, taken in turn within each task."""
    turns: Counter[str] = Counter()

    def reworded(row: Row) -> Row:
        task = row["task_id"]
        text = wording(TASKS[task], "held_out", turns[task])
        turns[task] += 1
        return {**row, "id": row["id"].replace("metaworld", _WORDINGS, 1), "task": text, "data_source": _WORDINGS}

    path = videos / _WORDINGS_MANIFEST
    write_manifest(path, [reworded(row) for row in read_manifest(videos) if row["data_source"] == EVAL])
    return path
