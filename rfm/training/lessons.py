"""Lessons: parts of a training with questions of their own, the easy ones first, as random weights need them.

One skill alone (did it succeed?) is found in some hundred steps and the next one soon after, all of them at once not in
thousands. The settings are those that served models of half a million to a million weights, shown four frames a clip;
benchmarks/RESULTS.md has what was tried.
"""

from __future__ import annotations

from typing import NamedTuple

from rfm.generation.generate import GenerateOptions
from rfm.training.options import TrainOptions

FRAMES = 4
"""Frames of a clip."""
BATCH = 16
"""Rows a step."""
_SEED = 42


class Lesson(NamedTuple):
    """A part of the training with questions of its own."""

    name: str
    share: float
    """Of the optimizer steps."""
    settings: tuple[str, ...]
    """Overrides of the configuration."""
    fades: bool = False
    """Whether learning rates fall to nothing, and 2% of the rows show grey: so does the last one."""

    def steps(self, of: int) -> int:
        """Return how many of all optimizer steps it has."""
        return max(1, round(of * self.share))


def lesson_questions(lesson: Lesson, number: int, steps: int, output_path: str) -> GenerateOptions:
    """Return how the questions of a lesson, the `number`th from 1, are drawn for so many optimizer steps of it."""
    settings = (f"data.max_frames={FRAMES}", *lesson.settings)
    return GenerateOptions(
        output_path=output_path, num_samples=steps * BATCH, seed=_SEED + number, config_overrides=settings
    )


def lesson_training(lesson: Lesson, steps: int, dataset_path: str, model: str, output_dir: str) -> TrainOptions:
    """Return how `model` goes on with a lesson of so many optimizer steps."""
    return TrainOptions(
        dataset_path=dataset_path,
        model_name=model,
        output_dir=output_dir,
        overwrite_output_dir=True,
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
        save_strategy="no",
        logging_steps=50,
    )
