"""The demo's recipe as steps: a lesson is one, so that a run that is killed goes on with the lesson it was in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.results.judging import QUESTIONS
from benchmarks.results.steps import Made, Workshop, flags
from rfm.demo import LESSONS
from rfm.generation.generate import generate
from rfm.training.lessons import lesson_questions, lesson_training
from rfm.training.run import train


def taught(
    workshop: Workshop,
    name: str,
    steps: int,
    data: Made,
    here: Sequence[str],
    partition: str = "train",
    changed: Callable[[Sequence[str]], tuple[str, ...]] = tuple,
) -> Made:
    """Train `tiny` by the lessons, with so many optimizer steps in all; `folder` is the checkpoint.

    `data` is what questions are drawn from, `here` the overrides that say where it lies, `changed` makes a lesson's
    overrides those of this training.
    """
    model, made = "tiny", data
    for number in range(1, len(LESSONS) + 1):
        made = _lesson(
            workshop, f"{name}/lesson_{number}", number, steps, model, (data, made), here, partition, changed
        )
        model = str(made.folder / "model" / "final")
    return made._replace(folder=Path(model))


def all_steps(steps: int) -> int:
    """Return how many optimizer steps the lessons have together, each rounded by itself."""
    return sum(lesson.steps(steps) for lesson in LESSONS)


def _lesson(
    workshop: Workshop,
    name: str,
    number: int,
    steps: int,
    model: str,
    needs: Sequence[Made],
    here: Sequence[str],
    partition: str,
    changed: Callable[[Sequence[str]], tuple[str, ...]],
) -> Made:
    """Draw a lesson's questions, train, and keep the model alone: the questions can be drawn again."""
    folder, lesson = workshop.place(name), LESSONS[number - 1]
    own = lesson.steps(steps)
    plain = lesson_questions(lesson, number, own, str(folder / QUESTIONS))
    drawn = replace(plain, partition=partition, num_workers=1, config_overrides=changed(plain.config_overrides))
    training = replace(  # no curves: their file grows for as long as this process lives
        lesson_training(lesson, own, str(folder / QUESTIONS), model, str(folder / "model")), report_to="none"
    )

    def make(_: Path) -> None:
        generate(replace(drawn, config_overrides=(*drawn.config_overrides, *here)))
        train(training)
        shutil.rmtree(folder / QUESTIONS)

    return workshop.step(name, {"questions": flags(drawn), "training": flags(training)}, make, needs)
