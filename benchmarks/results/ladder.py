"""The ladder of data: one recipe on more and more episodes and tasks, and without each ingredient of its mixture.

The recipe is the demo's: its lessons, with so many optimizer steps in all, on the bundled training episodes but for the
tasks that are held out (`UNSEEN`). A rung changes the data (a share of the episodes of each task, or some of the tasks)
or leaves an ingredient out; steps, rows and everything else stay. Each rung is judged on held-out episodes of the tasks
of the recipe and on those of the tasks held out, and compared row by row with the rung that has everything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.results.advice import ALL
from benchmarks.results.figures import FIGURES, MEASURED, MIXTURE, number
from benchmarks.results.judging import ANSWERS, Judged, evaluation, questions, why_not
from benchmarks.results.recipe import all_steps, taught
from benchmarks.results.sides import Ground, bundled
from benchmarks.results.steps import Made, Workshop
from benchmarks.results.subsets import IN, write_part
from rfm.evaluation.compare import CompareOptions, compare_results, read_predictions
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.files.documents.json_documents import LARGE, read_json_object
from rfm.ingest.metaworld.slots import EVAL, TRAIN
from rfm.sampling.strategies import DEFAULTS, SHARES
from rfm.training.lessons import FRAMES

UNSEEN = ("drawer-close", "window-open", "lever-pull")
"""Two compositions of seen parts (close and drawer, open and window, each seen with others) and an unseen object."""
PREFERENCE = {name: SHARES["preference"].get(name, 1) for name in DEFAULTS["preference"]}
"""The mixture's pairs, as generation has them where a lesson does not say it."""
JUDGED_BY = {name: FIGURES[name] for name in ("preference", "mae", "tau_a", "gap")}
SPLIT, SIZE = "split.json", "size.json"


@dataclass(frozen=True)
class Rung:
    """A training of the ladder."""

    name: str
    axis: str
    """What is changed: episodes, tasks or mixture."""
    title: str
    episodes: float = 1.0
    """Share of the episodes of each task."""
    tasks: int | None = None
    """How many tasks, the first ones of `SEEN`; None: all."""
    without: tuple[str, ...] = ()
    """Strategies left out."""
    settings: tuple[str, ...] = ()
    """Overrides beside those of the lessons."""


SEEN = (
    "door-open", "door-close", "drawer-open", "window-close", "faucet-open", "faucet-close", "button-press",
    "button-press-topdown", "handle-press", "handle-pull", "plate-slide", "plate-slide-side",
)  # fmt: skip
"""The tasks trained on, scene by scene, those first whose parts the tasks held out are made of."""
RUNGS = (
    Rung("episodes_8", "episodes", "1/8 of the episodes", episodes=1 / 8),
    Rung("episodes_4", "episodes", "1/4 of the episodes", episodes=1 / 4),
    Rung("episodes_2", "episodes", "1/2 of the episodes", episodes=1 / 2),
    Rung("tasks_8", "tasks", "2 tasks", tasks=2),
    Rung("tasks_4", "tasks", "3 tasks", tasks=3),
    Rung("tasks_2", "tasks", "6 tasks", tasks=6),
    Rung(ALL, ALL, "everything"),
    Rung("no_same_scene", "mixture", "without instructions of the same scene", settings=("data.same_scene_share=0",)),
    Rung("no_whole", "mixture", "without whole episodes", without=("whole_progress",)),
    Rung("no_cross", "mixture", "without pairs of two episodes by progress", without=("same_task_progress",)),
    Rung("no_clipping", "mixture", "without temporal clipping", without=("prefix_progress", "stopped_early")),
)


def climb(workshop: Workshop, rungs: Sequence[Rung], steps: int, rows: int) -> Numbers:
    """Train and judge each rung; returns what the page says of them."""
    source = bundled(TRAIN)
    seen, unseen = (_asked(workshop, name, tasks, rows) for name, tasks in (("seen", SEEN), ("unseen", UNSEEN)))
    models = {rung.name: _trained(workshop, source, rung, steps) for rung in rungs}
    judged = [
        {
            "name": rung.name,
            "axis": rung.axis,
            "title": rung.title,
            **_size(workshop, rung),
            "seen": _judged(workshop, rung.name, models, "seen", seen),
            "unseen": _judged(workshop, rung.name, models, "unseen", unseen),
        }
        for rung in rungs
    ]
    return {"steps": all_steps(steps), "seen_tasks": SEEN, "unseen_tasks": UNSEEN, "rungs": judged}


def _asked(workshop: Workshop, name: str, tasks: Sequence[str], rows: int) -> dict[str, Made]:
    """Draw the questions of each kind about the held-out episodes of some tasks."""
    ground = bundled(EVAL)
    part = workshop.step(
        f"ladder/{name}/part",
        {"tasks": tasks},
        lambda folder: write_part(ground.root, ground.key, folder / SPLIT, tasks),
        [ground.made],
    )
    settings, here, needs = (f"data.train_datasets=[{ground.key}]",), _here(ground, part), [ground.made, part]
    return {
        kind: questions(workshop, f"ladder/{name}/{kind}", kind, FRAMES, rows, settings, here, needs, IN)
        for kind in sorted({figure.kind for figure in JUDGED_BY.values()})
    }


def _here(ground: Ground, part: Made) -> tuple[str, ...]:
    """Return where trajectories and split lie, which is no input of a step."""
    return f"data.datasets_root={ground.root}", f"data.split_file={part.folder / SPLIT}"


def _trained(workshop: Workshop, source: Ground, rung: Rung, steps: int) -> Judged:
    tasks = SEEN[: rung.tasks]

    def divide(folder: Path) -> None:
        chosen = write_part(source.root, source.key, folder / SPLIT, tasks, rung.episodes)
        size = {"episodes": len(chosen), "tasks": len({one.task for one in chosen})}
        (folder / SIZE).write_text(json.dumps(size) + "\n", encoding="utf-8")

    part = workshop.step(f"ladder/{rung.name}/part", {"tasks": tasks, "share": rung.episodes}, divide, [source.made])
    here = _here(source, part)
    made = taught(workshop, f"ladder/{rung.name}", steps, part, here, IN, lambda settings: changed(settings, rung))
    return Judged(rung.name, made, FRAMES)


def changed(settings: Sequence[str], rung: Rung) -> tuple[str, ...]:
    """Return a lesson's overrides without the strategies that a rung leaves out, and with its own."""
    given = dict(one.split("=", 1) for one in settings)
    given |= dict(one.split("=", 1) for one in rung.settings)
    for name, default in (("data.preference_strategy_ratio", PREFERENCE), ("data.progress_strategy_ratio", None)):
        shares = yaml.safe_load(given[name]) if name in given else default
        if shares is not None and not set(rung.without).isdisjoint(shares):
            kept = {strategy: share for strategy, share in shares.items() if strategy not in rung.without}
            given[name] = "{" + ", ".join(f"{strategy}: {share}" for strategy, share in kept.items()) + "}"
    return tuple(f"{name}={value}" for name, value in given.items())


def _size(workshop: Workshop, rung: Rung) -> dict[str, Any]:
    return read_json_object(workshop.place(f"ladder/{rung.name}/part") / SIZE)


def _judged(workshop: Workshop, rung: str, models: dict[str, Judged], side: str, asked: dict[str, Made]) -> Numbers:
    """Return a rung's figures on a side, and how they differ from those of the rung with everything."""
    able = [kind for kind, made in asked.items() if why_not(made) is None]
    results = {kind: _results(workshop, models[rung], side, kind, asked) for kind in able}
    read = {kind: read_json_object(path, most=LARGE) for kind, path in results.items()}
    found: Numbers = {name: number(read.get(one.kind, {}), one.path) for name, one in JUDGED_BY.items()}
    if rung != ALL and ALL in models:
        whole = _results(workshop, models[ALL], side, MIXTURE, asked)
        found["against_all"] = _compared(results[MIXTURE], whole)
    return found


def _results(workshop: Workshop, model: Judged, side: str, kind: str, asked: dict[str, Made]) -> Path:
    return evaluation(workshop, f"ladder/{model.name}/{side}/{kind}", model, asked[kind], rivals=False).folder / ANSWERS


def _compared(first: Path, second: Path) -> Numbers:
    """Return by figure how much better the second is on the very rows, with the interval of the paired difference."""
    options = CompareOptions(first=str(first), second=str(second))
    found = compare_results(read_predictions(str(first)), read_predictions(str(second)), options)
    return {
        name: {"value": found[kind]["difference"], "interval": found[kind]["difference_interval"]}
        for kind, name in MEASURED.items()
        if kind in found
    }
