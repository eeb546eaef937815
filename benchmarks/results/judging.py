"""A model on a side: the questions of each kind, and what `rfm evaluate` says of the answers.

Questions of one side are drawn once for all models that are shown as many frames. Every model is asked them with exact
probabilities (`--decoding scored`), under the controls, and beside the baselines. A kind of question that a side's
episodes do not support is written down with its reason instead of a number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.results.figures import MIXTURE, Answers, with_same_scene
from benchmarks.results.sides import Ground
from benchmarks.results.steps import Made, Workshop, flags
from rfm.errors import ConfigError
from rfm.evaluation.evaluate import evaluate_checkpoint
from rfm.evaluation.options import ALL, BASELINES, EvaluateOptions
from rfm.files.documents.json_documents import LARGE, read_json_object
from rfm.generation.generate import GenerateOptions, generate

BATCH = 32
QUESTIONS, ANSWERS, NOT_ASKED = "questions", "results.json", "not_asked.json"
KINDS = (MIXTURE, "prefixes", "ranking", "confusion", "instruction", "quality")
"""Kinds of questions: the mixture of training, and each `--eval_set` that has a figure."""
ROWS_TIMES = {"prefixes": 2}
"""Kinds that get so many times the rows: an episode has so many prefixes that few episodes would be judged."""
CONTROLS_OF_SETS = ("first_frame", "last_frame")


@dataclass(frozen=True)
class Judged:
    """A model to be judged."""

    name: str
    made: Made
    """`folder` is the checkpoint's."""
    max_frames: int


def judge(workshop: Workshop, model: Judged, side: str, ground: Ground, rows: int) -> list[Answers]:
    """Return the answers to questions of every kind, at most about `rows` of each."""
    return [_answers(workshop, model, side, ground, kind, rows) for kind in KINDS]


def questions(
    workshop: Workshop,
    name: str,
    kind: str,
    frames: int,
    rows: int,
    settings: Sequence[str],
    here: Sequence[str],
    needs: Sequence[Made],
    partition: str = "eval",
) -> Made:
    """Draw the questions of a kind, or write down why these episodes support none.

    `here` are the overrides that say where the trajectories lie, which is no input of a step.
    """
    options = GenerateOptions(
        output_path=str(workshop.place(name) / QUESTIONS),
        num_samples=rows,
        num_workers=1,
        eval_set=None if kind == MIXTURE else kind,
        partition=partition,
        config_overrides=(f"data.max_frames={frames}", *settings),
    )

    def make(folder: Path) -> None:
        try:
            generate(replace(options, config_overrides=(*options.config_overrides, *here)))
        except ConfigError as error:
            (folder / NOT_ASKED).write_text(json.dumps({"why": str(error)}) + "\n", encoding="utf-8")

    return workshop.step(name, flags(options), make, needs)


def why_not(asked: Made) -> str | None:
    """Return why there are no questions, None where there are."""
    path = asked.folder / NOT_ASKED
    return read_json_object(path)["why"] if path.is_file() else None


def evaluation(
    workshop: Workshop, name: str, model: Judged, asked: Made, controls: Sequence[str] = (), rivals: bool = True
) -> Made:
    """Ask a model; the results file is `ANSWERS` in the step's folder."""
    options = EvaluateOptions(
        model_path=str(model.made.folder),
        dataset_path=str(asked.folder / QUESTIONS),
        output_path=str(workshop.place(name) / ANSWERS),
        batch_size=BATCH,
        device="cpu",
        decoding="scored",
        controls=tuple(controls),
        baselines=BASELINES if rivals else (),
    )
    inputs = {**flags(options), "model_path": model.name}
    return workshop.step(name, inputs, lambda _: evaluate_checkpoint(options), [model.made, asked])


def _answers(workshop: Workshop, model: Judged, side: str, ground: Ground, kind: str, rows: int) -> Answers:
    name, frames = f"sides/{side}/{kind}_{model.max_frames}", model.max_frames
    settings, here = (f"data.eval_datasets=[{ground.key}]",), (f"data.datasets_root={ground.root}",)
    rows *= ROWS_TIMES.get(kind, 1)
    asked = questions(workshop, name, kind, frames, rows, settings, here, [ground.made])
    if (reason := why_not(asked)) is not None:
        return Answers(kind, None, reason, asked.folder)
    controls = (ALL,) if kind == MIXTURE else CONTROLS_OF_SETS
    made = evaluation(workshop, f"models/{model.name}/{side}/{kind}", model, asked, controls)
    results = read_json_object(made.folder / ANSWERS, most=LARGE)
    return Answers(kind, with_same_scene(results), None, asked.folder / QUESTIONS)
