"""`make demo`: robot videos become questions, questions train a Qwen3-VL, the model judges episodes it has never seen.

Everything runs through the ordinary commands; the settings below are the only difference to real work. The model starts
from random weights, so it gets lessons (`rfm.training.lessons`); released checkpoints know how to look at a video and
need none. They were tuned on a validation part of the training episodes; benchmarks/RESULTS.md has what was tried and
what was chosen later.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rfm.console import console, is_quiet
from rfm.console import results as output
from rfm.demo_options import DemoOptions
from rfm.evaluation.evaluate import evaluate_checkpoint
from rfm.evaluation.options import EvaluateOptions
from rfm.evaluation.reports.tables import print_results
from rfm.frames.reader import read_frames
from rfm.generation.generate import GenerateOptions, generate
from rfm.ingest.bundled import bundled_root
from rfm.scoring.plot import Watched, plot_curves
from rfm.scoring.reward_model import RewardModel
from rfm.table import FittedTable
from rfm.training.lessons import BATCH, FRAMES, Lesson, lesson_questions, lesson_training
from rfm.training.run import train
from rfm.trajectories.catalog import Catalog, load_catalog
from rfm.trajectories.record import QUALITY_LABELS

logger = logging.getLogger(__name__)

HELD_OUT_ROWS = 1200
AS_REWARD = (
    ("prefixes", "reward_alignment", (("pearson", "does the score rise with progress? (Pearson)", 2),)),
    ("ranking", "policy_ranking", (("tau_a", "do better episodes score higher? (tau-a)", 2),)),
    (
        "confusion",
        "instruction_confusion",
        (
            ("own/score", "score of successes on their own instruction", 1),
            ("same_scene/score", "on another one of the same scene", 1),
            ("other_scene/score", "on one of another scene", 1),
            ("same_scene_gap", "own - same scene", 1),
        ),
    ),
)
"""Evaluation sets, the metric of each, and what is shown of it: figure, words, digits."""

_IN_TENS = "data.progress_step=10"
LESSONS = (
    Lesson(
        "did it succeed?",
        0.053,
        (_IN_TENS, "data.sample_type_ratio=[1,0,0]", "data.preference_strategy_ratio={suboptimal: 1}"),
    ),
    Lesson(
        "and which task is it?",
        0.124,
        (
            _IN_TENS,
            "data.sample_type_ratio=[1,0,0]",
            "data.preference_strategy_ratio={suboptimal: 1, different_task: 1}",
            "data.same_scene_share=0",
        ),
    ),
    Lesson(
        "which of a scene's two?",
        0.106,
        (
            _IN_TENS,
            "data.sample_type_ratio=[1,0,0]",
            "data.preference_strategy_ratio={suboptimal: 1, different_task: 2}",
            "data.same_scene_share=0.8",
        ),
    ),
    Lesson(
        "how far did it get on that?",
        0.071,
        (
            _IN_TENS,
            "data.sample_type_ratio=[0.5,0.5,0]",
            "data.preference_strategy_ratio={suboptimal: 1, different_task: 2}",
            "data.progress_strategy_ratio={forward_progress: 1, prefix_progress: 1, whole_progress: 1, "
            "different_task_instruction: 3}",
            "data.same_scene_share=0.6",
        ),
    ),
    Lesson(
        "everything",
        0.646,
        (
            _IN_TENS,
            "data.sample_type_ratio=[0.5,0.5,0]",
            "data.progress_strategy_ratio={forward_progress: 1.5, prefix_progress: 1.2, whole_progress: 0.6, "
            "different_task_instruction: 2.2, reverse_progress: 1, rewind: 1}",
            "data.same_scene_share=0.6",
        ),
        fades=True,
    ),
)


def run(options: DemoOptions) -> int:
    """Run the demo."""
    started = time.monotonic()
    torch.set_num_threads(1)  # on matrices this small two wait for each other, for seconds where another process runs
    folder = Path(options.output_dir)
    _say("the bundled robot videos", started)
    root = bundled_root()
    model = "tiny"
    for number, lesson in enumerate(LESSONS, start=1):
        _say(f"lesson {number} of {len(LESSONS)}: {lesson.name}", started)
        model = str(_learn(options, folder, number, model))
    _say("questions about held-out episodes", started)
    judging = _judging(model, folder)
    results = evaluate_checkpoint(judging)
    _say("as a reward: whole episodes, their beginnings, and other instructions", started)
    as_reward = _judged_as_reward(judging, folder)
    plot = folder / "progress.png"
    _draw(Path(model), load_catalog(root, ["metaworld_eval"]), plot)
    print_results(results)
    output().print(as_reward)
    _say("done", started)
    output().print(f"results  {judging.output_path}\ncurves   {plot}\nmodel    {model}")
    return 0


def _judging(model: str, folder: Path) -> EvaluateOptions:
    """Draw questions about held-out episodes, and return how the model is asked them."""
    test_set = folder / "held_out"
    generate(
        GenerateOptions(
            output_path=str(test_set),
            num_samples=HELD_OUT_ROWS,
            config_overrides=(f"data.max_frames={FRAMES}",),
            partition="eval",
            overwrite=True,
        )
    )
    return EvaluateOptions(
        model_path=model,
        dataset_path=str(test_set),
        output_path=str(folder / "results.json"),
        batch_size=BATCH,
        device="cpu",
        controls=("all",),
        baselines=("constant", "random", "frame_difference"),
        overwrite=True,
    )


def _judged_as_reward(judging: EvaluateOptions, folder: Path) -> FittedTable:
    """Return what the model is worth as a reward on held-out episodes; writes results_<set>.json."""
    table = FittedTable("as a reward, on held-out episodes")
    for header in ("", "", "95% interval"):
        table.add_column(header, justify="left" if not table.columns else "right")
    for name, metric, rows in AS_REWARD:
        found = _asked(judging, folder, name)[metric]
        for key, what, digits in rows:
            of, _, figure = key.rpartition("/")
            figures = found.get(of) if of else found
            if figures is None:  # no questions of this kind
                continue
            low, high = figures[f"{figure}_interval"]
            table.add_row(what, f"{figures[figure]:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}")
    return table


def _asked(judging: EvaluateOptions, folder: Path, name: str) -> dict[str, Any]:
    """Return the results of one evaluation set, without controls."""
    questions = folder / f"held_out_{name}"
    overrides = (f"data.max_frames={FRAMES}",)
    generate(GenerateOptions(output_path=str(questions), eval_set=name, config_overrides=overrides, overwrite=True))
    output_path = str(folder / f"results_{name}.json")
    return evaluate_checkpoint(
        replace(judging, dataset_path=str(questions), output_path=output_path, controls=(), baselines=())
    )


def _learn(options: DemoOptions, folder: Path, number: int, model: str) -> Path:
    """Draw a lesson's questions and go on training the model with them; returns the folder of the new model."""
    lesson = LESSONS[number - 1]
    steps = lesson.steps(options.steps)
    questions = lesson_questions(lesson, number, steps, str(folder / f"lesson_{number}"))
    dataset = generate(replace(questions, overwrite=True))
    output_dir = folder / ("model" if number == len(LESSONS) else f"model_{number}")
    return train(lesson_training(lesson, steps, str(dataset), model, str(output_dir)))


def _draw(final: Path, catalog: Catalog, path: Path) -> None:
    """Draw predicted beside recorded progress for a held-out episode of each quality, all of different tasks."""
    model = RewardModel.from_pretrained(final, "cpu")
    chosen, tasks = [], set()
    for quality in (2, 1, 0):
        candidates = np.flatnonzero(catalog.quality == quality)
        fresh = [row for row in candidates if int(catalog.task_code[row]) not in tasks]
        chosen.append(int(fresh[0]))
        tasks.add(int(catalog.task_code[fresh[0]]))
    plot_curves([_watched(model, catalog, row) for row in chosen], path)


def _watched(model: RewardModel, catalog: Catalog, row: int) -> Watched:
    frames = read_frames(catalog.root, catalog.frames_path[row].as_py(), range(int(catalog.num_frames[row])))
    return Watched(
        name=catalog.ids[row].as_py(),
        quality=QUALITY_LABELS[int(catalog.quality[row])],
        frames=frames,
        recorded=catalog.progress_values[slice(*catalog.progress_offsets[row : row + 2])],
        curve=model.curve(frames, catalog.texts[int(catalog.text_code[row])].as_py()),
    )


def _say(what: str, started: float) -> None:
    if not is_quiet():
        console().print(f"── {what} ({time.monotonic() - started:.0f} s)", highlight=False)
