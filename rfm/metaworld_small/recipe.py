"""Training `metaworld-small`: easy questions first, as random weights need them, then everything.

The same lessons as the demo's, longer and on more: one skill alone (did it succeed?) is found in some hundred steps and
the next one soon after, all of them at once not in thousands. Every lesson saves checkpoints, and the same call goes on
where an earlier one stopped. benchmarks/RESULTS.md has what was tried.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from rfm.export.hub import uploaded_files
from rfm.export.training_record import public_record
from rfm.files import seal
from rfm.generation.generate import GenerateOptions, generate
from rfm.metaworld_small.sides import TRAINING
from rfm.training.options import TrainOptions
from rfm.training.run import train

logger = logging.getLogger(__name__)

NAME = "metaworld-small"
PRESET = "tiny-wide"
FRAMES, SIDE, BATCH = 4, 48, 16
"""Frames a clip, their height and width in pixels, and rows a step."""
_DRAWN_FROM = f"data.train_datasets=[{TRAINING}]"
_SEED = 42


@dataclass(frozen=True)
class Lesson:
    """A part of the training with questions of its own."""

    name: str
    steps: int
    """Optimizer steps."""
    settings: tuple[str, ...]
    """Overrides of the configuration."""
    fades: bool = False
    """Whether learning rates fall to nothing, and 2% of the rows show grey."""


_EVERYTHING = (
    "data.sample_type_ratio=[0.5,0.5,0]",
    "data.progress_strategy_ratio={forward_progress: 1.5, prefix_progress: 1.5, whole_progress: 1, "
    "different_task_instruction: 2, reverse_progress: 0.7, rewind: 0.7}",
    "data.same_scene_share=0.5",
    "data.progress_step=5",
)
LESSONS = (
    Lesson(
        "did it succeed?",
        660,
        ("data.sample_type_ratio=[1,0,0]", "data.preference_strategy_ratio={suboptimal: 1}", "data.progress_step=10"),
    ),
    Lesson(
        "and which task is it?",
        1100,
        (
            "data.sample_type_ratio=[1,0,0]",
            "data.preference_strategy_ratio={suboptimal: 1, different_task: 1}",
            "data.same_scene_share=0",
            "data.progress_step=10",
        ),
    ),
    Lesson(
        "which of a scene's two?",
        660,
        (
            "data.sample_type_ratio=[1,0,0]",
            "data.preference_strategy_ratio={suboptimal: 1, different_task: 2}",
            "data.same_scene_share=0.6",
            "data.progress_step=10",
        ),
    ),
    Lesson(
        "how far did it get on that?",
        1100,
        (
            "data.sample_type_ratio=[0.4,0.6,0]",
            "data.preference_strategy_ratio={suboptimal: 1, different_task: 1}",
            "data.progress_strategy_ratio={forward_progress: 1, prefix_progress: 1, whole_progress: 1, "
            "different_task_instruction: 2}",
            "data.same_scene_share=0.5",
            "data.progress_step=10",
        ),
    ),
    Lesson("everything", 5000, _EVERYTHING, fades=True),
)
STEPS = sum(lesson.steps for lesson in LESSONS)
"""Of the whole training: about an hour of one core."""


def train_model(root: Path, folder: Path, steps: int = STEPS) -> Path:
    """Train on the datasets root's training set, in `folder`; returns the folder of the finished model.

    Other `steps` than the recipe's shorten or lengthen all lessons alike.
    """
    torch.set_num_threads(1)  # on matrices this small two wait for each other
    model = PRESET
    for number, lesson in enumerate(LESSONS, start=1):
        logger.info("lesson %d of %d: %s", number, len(LESSONS), lesson.name)
        model = str(_learn(root, folder, number, max(1, round(steps * lesson.steps / STEPS)), model))
    return Path(model)


def _learn(root: Path, folder: Path, number: int, steps: int, model: str) -> Path:
    """Draw a lesson's questions and go on training the model with them; returns the folder of the new model."""
    output, lesson = folder / f"model_{number}", LESSONS[number - 1]
    if (output / "final").is_dir():
        return output / "final"
    begun = any(output.glob("checkpoint-*"))
    questions = folder / f"lesson_{number}"
    drawing = GenerateOptions(
        output_path=str(questions),
        num_samples=steps * BATCH,
        seed=_SEED + number,
        config_overrides=(
            f"data.datasets_root={root}",
            _DRAWN_FROM,
            f"data.max_frames={FRAMES}",
            *lesson.settings,
        ),
        overwrite=not begun,
    )
    if not begun:
        generate(drawing)
    return train(
        TrainOptions(
            dataset_path=str(questions),
            model_name=model,
            output_dir=str(output),
            overwrite_output_dir=not begun,
            resume_from_checkpoint="latest" if begun else None,
            config_overrides=(f"data.resized_height={SIDE}", f"data.resized_width={SIDE}"),
            per_device_train_batch_size=BATCH,
            gradient_accumulation_steps=1,
            blank_share=0.02 if lesson.fades else 0.0,
            optim="muon",
            learning_rate=1e-3,
            muon_learning_rate=2.5e-3,
            lr_scheduler_type="cosine" if lesson.fades else "constant_with_warmup",
            adam_beta2=0.95,
            weight_decay=0.01,
            max_grad_norm=1.0,
            warmup_steps=min(50, steps // 2),
            gradient_checkpointing=False,
            dataloader_num_workers=1,
            save_strategy="steps",
            save_steps=500,
            save_total_limit=2,
            logging_steps=50,
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
