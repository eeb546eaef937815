"""The questions, written in one place.

The wording of the preference and progress prompts follows the specification; the video itself stands before the prompt
in the user's turn (`rfm.batch.tokens.conversation`). `PROMPT_VERSION` goes into every dataset so that a model is never
asked in other words than it was trained on without anyone noticing.

What the specification says of robots is said of people where people are shown, and of neither where a pair has both.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PROMPT_VERSION = 1

PREFERENCE = (
    "Given these two {videos}, which one makes the most progress towards solving the task, Video 1 or 2? "
    "Format your answer as: ANS: 1/2\n\nTask: {task}"
)
PROGRESS = (
    "Given the task, assign an integer-valued progress score from 0 to 100 for the {actor} in the video. "
    "Judge the final state: 0 means that nothing towards this task is done, 50 that half of it is done, "
    "100 that it is completed. Format your answer as: ANS: score\n\nTask: {task}"
)
PROGRESS_DISCRETE = (
    "Given the task, assign an integer-valued progress score from 1 to 5 for the {actor} in the video. "
    "Judge the final state: 1 means that nothing towards this task is done, 3 that half of it is done, "
    "5 that it is completed. Format your answer as: ANS: score\n\nTask: {task}"
)
SIMILARITY = (
    "The reference video shows a robot or a person at a task. Which of the two other videos is more similar to it in "
    "task and outcome, Video 1 or 2? Format your answer as: ANS: 1/2\n\nTask: {task}"
)


ROBOT, PERSON, BOTH = "robot", "person", "both"
ACTORS = (ROBOT, PERSON, BOTH)
"""Who the videos of a question show; both: a robot one and a person the other."""
_VIDEOS: Mapping[str, str] = MappingProxyType({ROBOT: "robot videos", PERSON: "videos of people", BOTH: "videos"})


def prompt(sample_type: str, task: str, *, discrete: bool = False, actor: str = ROBOT) -> str:
    """Return the text of a question; `task` enters as it is, whatever characters it has."""
    template = {
        "preference": PREFERENCE,
        "progress": PROGRESS_DISCRETE if discrete else PROGRESS,
        "similarity": SIMILARITY,
    }[sample_type]
    return template.replace("{videos}", _VIDEOS[actor]).replace("{actor}", actor).replace("{task}", task)
