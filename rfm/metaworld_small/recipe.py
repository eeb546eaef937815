"""Training `metaworld-small`: the demo's lessons (`rfm.training.lessons`), longer and on more.

Every lesson saves checkpoints, and the same call goes on where an earlier one stopped. benchmarks/RESULTS.md has what
was tried.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from rfm.export.hub import uploaded_files
from rfm.export.training_record import public_record
from rfm.files import seal
from rfm.generation.generate import generate
from rfm.metaworld_small.sides import MORE, TRAINING
from rfm.training.lessons import Lesson, lesson_questions, lesson_training
from rfm.training.run import train

logger = logging.getLogger(__name__)

NAME = "metaworld-small"
PRESET = "tiny-wide"
SIDE = 64
"""Height and width of frames in pixels."""
STEPS = 18_860
"""Optimizer steps of the whole training: less than three hours of one core."""

_EVERYTHING = (
    "data.sample_type_ratio=[0.5,0.5,0]",
    "data.progress_strategy_ratio={forward_progress: 1.5, prefix_progress: 1.5, whole_progress: 1, "
    "different_task_instruction: 2, reverse_progress: 0.7, rewind: 0.7}",
    "data.same_scene_share=0.6",
    "data.progress_step=10",
)
LESSONS = (
    Lesson(
        "did it succeed?",
        660 / STEPS,
        ("data.sample_type_ratio=[1,0,0]", "data.preference_strategy_ratio={suboptimal: 1}", "data.progress_step=10"),
    ),
    Lesson(
        "and which task is it?",
        1100 / STEPS,
        (
            "data.sample_type_ratio=[1,0,0]",
            "data.preference_strategy_ratio={suboptimal: 1, different_task: 1}",
            "data.same_scene_share=0",
            "data.progress_step=10",
        ),
    ),
    Lesson(
        "which of a scene's two?",
        1000 / STEPS,
        (
            "data.sample_type_ratio=[1,0,0]",
            "data.preference_strategy_ratio={suboptimal: 1, different_task: 2}",
            "data.same_scene_share=0.8",
            "data.progress_step=10",
        ),
    ),
    Lesson(
        "how far did it get on that?",
        1100 / STEPS,
        (
            "data.sample_type_ratio=[0.4,0.6,0]",
            "data.preference_strategy_ratio={suboptimal: 1, different_task: 1}",
            "data.progress_strategy_ratio={forward_progress: 1, prefix_progress: 1, whole_progress: 1, "
            "different_task_instruction: 2}",
            "data.same_scene_share=0.5",
            "data.progress_step=10",
        ),
    ),
    Lesson("everything", 7000 / STEPS, _EVERYTHING, fades=True),
    Lesson("everything, on more episodes", 8000 / STEPS, _EVERYTHING, fades=True),
)
_EPISODES = {len(LESSONS): (TRAINING, MORE)}
"""Dataset keys of lessons that learn from more than TRAINING, by number."""


def train_model(root: Path, folder: Path, steps: int = STEPS) -> Path:
    """Train on the datasets root's training sets, in `folder`; returns the folder of the finished model.

    Other `steps` than the recipe's shorten or lengthen all lessons alike.
    """
    torch.set_num_threads(1)  # on matrices this small two wait for each other
    model = PRESET
    for number, lesson in enumerate(LESSONS, start=1):
        logger.info("lesson %d of %d: %s", number, len(LESSONS), lesson.name)
        model = str(_learn(root, folder, number, lesson.steps(steps), model))
    return Path(model)


def _learn(root: Path, folder: Path, number: int, steps: int, model: str) -> Path:
    """Draw a lesson's questions and go on training the model with them; returns the folder of the new model."""
    output, lesson = folder / f"model_{number}", LESSONS[number - 1]
    if (output / "final").is_dir():
        return output / "final"
    begun = any(output.glob("checkpoint-*"))
    drawing = lesson_questions(lesson, number, steps, str(folder / f"lesson_{number}"))
    if not begun:
        keys = ",".join(_EPISODES.get(number, (TRAINING,)))
        here = (f"data.datasets_root={root}", f"data.train_datasets=[{keys}]")
        generate(replace(drawing, config_overrides=(*here, *drawing.config_overrides), overwrite=True))
    training = lesson_training(lesson, steps, drawing.output_path, model, str(output))
    return train(
        replace(
            training,
            overwrite_output_dir=not begun,
            resume_from_checkpoint="latest" if begun else None,
            config_overrides=(f"data.resized_height={SIDE}", f"data.resized_width={SIDE}"),
            save_strategy="steps",
            save_steps=500,
            save_total_limit=2,
        )
    )


def release(final: Path, folder: Path) -> Path:
    """Copy what a stranger needs of a checkpoint, without the folders of this machine in its record, and seal it."""
    folder.mkdir(parents=True, exist_ok=True)
    rewritten = public_record(final)
    for name in uploaded_files(final):
        shutil.copyfile(final / name, folder / name)
        if name in rewritten:
            (folder / name).write_bytes(rewritten[name])
    seal.seal(folder)
    return folder
