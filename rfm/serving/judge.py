"""The worker process: holds the model and answers batches of questions of one kind.

A batch that fails is asked one by one, so that a clip that cannot be shown costs its own request alone. What is no
number in [0, 1] is a fault, never an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers.utils.logging import disable_progress_bar

from rfm.errors import RfmError
from rfm.model.device import AUTO, resolve_device
from rfm.scoring.given_frames import Clip
from rfm.scoring.records import Curve, Preference
from rfm.scoring.remote.description import Description
from rfm.scoring.reward_model import RewardModel
from rfm.serving.load import Load
from rfm.serving.questions import Answer, Ask, Fault, Pair, Points, Question, about_the_end

logger = logging.getLogger(__name__)


def begin(load: Load) -> tuple[Description | Fault, Any]:
    """Load the model, ask it one thing, and say what it is, or why it can't be used."""
    disable_progress_bar()  # bars of weights have no place among lines of JSON
    if load.threads:
        torch.set_num_threads(load.threads)
    try:
        model = RewardModel.from_pretrained(load.model, load.device)
        [said] = _answers(model, [_first_question(model)], 1)
    except RfmError as error:
        return Fault(str(error), ours=False), None
    if isinstance(said, Fault):
        return said, None
    return Description.of(model, load.model), lambda questions: _answers(model, questions, load.batch_size)


def _first_question(model: RewardModel) -> Points:
    """A grey clip: whether the model answers at all, and what is only slow the first time."""
    grey = Clip(np.full((2, 64, 64, 3), 128, np.uint8), "the first clip")
    return about_the_end(Ask("stand still", "robot"), grey, model.max_frames)


def _answers(model: RewardModel, questions: Sequence[Question], batch_size: int) -> list[Answer]:
    try:
        return [_checked(said) for said in _asked(model, questions, batch_size)]
    except Exception as error:
        if len(questions) > 1:
            return [_answers(model, [question], batch_size)[0] for question in questions]
        if isinstance(error, RfmError):
            return [Fault(str(error), ours=False)]
        logger.exception("a question could not be answered")
        return [Fault(f"the model failed: {type(error).__name__}", ours=True)]


def _asked(model: RewardModel, questions: Sequence[Question], batch_size: int) -> Sequence[Curve | Preference]:
    tasks, actor = [question.ask.task for question in questions], questions[0].ask.actor
    pairs = [question for question in questions if isinstance(question, Pair)]
    if pairs:
        sides = [one.a for one in pairs], [one.b for one in pairs]
        return model.prefer(*sides, tasks=tasks, actor=actor, batch_size=batch_size)
    points = [question for question in questions if isinstance(question, Points)]
    clips, shown = [one.clip for one in points], [one.shown for one in points]
    return model.judged(clips, tasks, shown, actor=actor, batch_size=batch_size)


def _checked(said: Curve | Preference) -> Answer:
    values = [said.a] if isinstance(said, Preference) else [*said.expected.tolist(), *said.leftover.tolist()]
    if all(-1e-6 <= value <= 1 + 1e-6 for value in values):  # which no NaN does
        return said
    return Fault("the model must say numbers from 0 to 1, but said others: its weights are broken", ours=True)


def begin_counting(_: None) -> tuple[list[str], Any]:
    """Say which devices `auto` is: every CUDA GPU, else what `rfm.model.device` takes."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [f"cuda:{number}" for number in range(count)] or [str(resolve_device(AUTO))], None
