"""RoboReward's way of asking: one clip, a rubric of five levels, `ANSWER: <score>` (arXiv:2601.00675). No torch.

The question is in words of our own, with the scale, the rubric's order and the answer's format of the published one.
Models that were trained on the published words (RoboReward 4B and 8B) want those: their model cards have them, and
`--prompt_file` takes any text with `{task}` in it. `Question.published` tells by its hash whether it is that text.

An answer is a whole number from 1 to 5 behind the first `ANSWER:`, or at the start of what was said. The leaderboard's
own reader (HELM) looks in the same two places, but takes fractions and numbers off the scale as they are.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from rfm.errors import ConfigError, DataError
from rfm.files.documents.regular import read_text
from rfm.files.limits import LONGEST_TEXT

ROBOREWARD = "roboreward"
TOKENS = 128
"""Room for an answer that is explained."""

_HOLE = "{task}"
_OWN_WORDS = (
    "Judge how far the robot in the video has come with the task when the video ends, on a scale from 1 to 5. Write "
    "the answer in the format: ANSWER: <score>\n"
    "Only what holds at the end counts, however long it took:\n"
    "1 - nothing has changed that brings the task nearer.\n"
    "2 - a little has changed towards it, by far not enough.\n"
    "3 - a good part is done, but something major or more than one thing that the task asks for is wrong.\n"
    "4 - place and purpose are right, and one minor thing that the task asks for is missing.\n"
    "5 - all that the task asks for is done.\n"
    "\n"
    "Task: {task}"
)
_PUBLISHED = "390c50d0e45ae98ec2644cb03c7a4ee7dc16a0b2b4ae90e3dc2aa806d8a4f67c"
"""sha256 of the words on the model card of RoboReward 8B, runs of white space as one space."""
_NUMBER = r"(-?\d+(?:[.,]\d+)?)"
_BEHIND = re.compile(rf"\banswer\b[\s*]{{0,4}}:[\s*<\[(]{{0,4}}{_NUMBER}", re.IGNORECASE)
_AT_START = re.compile(rf"\s*{_NUMBER}\b")


class Question(NamedTuple):
    """The words that a clip's level is asked for in, with `{task}` where the task stands."""

    text: str = _OWN_WORDS

    @property
    def published(self) -> bool:
        """Whether these are the published words."""
        return hashlib.sha256(" ".join(self.text.split()).encode()).hexdigest() == _PUBLISHED

    @property
    def sha256(self) -> str:
        """A name for the words."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def about(self, task: str) -> str:
        """Return the question about a task."""
        return self.text.replace(_HOLE, task)


def read_question(file: str | None) -> Question:
    """Return the question in a file, our own without one; ConfigError where it can't be asked."""
    if file is None:
        return Question()
    try:
        text = read_text(file).strip()
    except DataError as error:
        raise ConfigError(f"`prompt_file` {error}") from error
    if (found := text.count(_HOLE)) != 1:
        raise ConfigError(f"`prompt_file` {file} must have {_HOLE} once, where the task goes, but has it {found} times")
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"`prompt_file` {file} must have at most {LONGEST_TEXT} characters, but has {len(text)}")
    return Question(text)


def level_said(completion: str) -> int | None:
    """Return the level from 1 to 5 that a completion answers; None where there is none.

    >>> level_said("ANSWER: 4"), level_said("2. The cup is not on the plate."), level_said("ANSWER: 2.5")
    (4, 2, None)
    """
    found = _BEHIND.search(completion) or _AT_START.match(completion)
    text = found.group(1) if found else ""
    return int(text) if text in ("1", "2", "3", "4", "5") else None
