"""GVL-style questions to a stock model: completion percentages of shuffled frames. No torch.

After Ma et al. 2024 (arXiv 2411.04549), in words of our own and without examples in context: the first frame is shown
as the start, at 0; the others follow in random order, so that a model can't just count upwards; it answers a percentage
a frame. The percentage of the clip's last frame is the score of the clip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from rfm.batch.clips import ClipReference

_OPENING = (
    "You judge how far a robot has got with a task: {task}\n"
    "0 percent means that nothing towards the task is done, 100 percent that it is completed. The frames below are in "
    "random order, so judge each frame by itself.\nThe robot at the start, at 0 percent:"
)
_REQUEST = (
    "Task: {task}\nFor each of the frames 1 to {count}, write its completion percentage on a line of its own, in this "
    "format:\nFrame 1: 35%"
)
_LINE = re.compile(r"frame\s*(\d{1,4})\s*[:.)\-]*[^%\n]{0,60}?(\d{1,3}(?:\.\d+)?)\s*(?:%|percent)", re.IGNORECASE)
TOKENS_A_FRAME = 16
"""What a line of the answer may take."""


@dataclass(frozen=True)
class FrameQuestion:
    """Frames of one clip, each behind a text, and the request after the last one."""

    path: str
    frames: Int64[np.ndarray, " n"]
    """In the order shown, the start first."""
    texts: tuple[str, ...]
    """Before each frame."""
    request: str
    order: Int64[np.ndarray, " m"]
    """Place in the clip of "Frame 1", "Frame 2", …"""

    @property
    def max_new_tokens(self) -> int:
        """Room for a line a frame."""
        return TOKENS_A_FRAME * (len(self.order) + 1)


def frame_question(clip: ClipReference, task: str, rng: np.random.Generator) -> FrameQuestion:
    """Return the question about a clip; of one frame, that frame is both the start and what is asked about."""
    count = len(clip.indices)
    order = rng.permutation(np.arange(1, count)) if count > 1 else np.zeros(1, np.int64)
    indices = np.array(clip.indices, np.int64)
    texts = (_OPENING.replace("{task}", task), *(f"Frame {number}:" for number in range(1, len(order) + 1)))
    request = _REQUEST.replace("{count}", str(len(order))).replace("{task}", task)
    return FrameQuestion(clip.path, np.concatenate([indices[:1], indices[order]]), texts, request, order)


def percentages(question: FrameQuestion, completion: str) -> Float64[np.ndarray, " n"] | None:
    """Return the percentages in the order of the clip, its first frame at 0; None where one lacks or is above 100.

    Of several lines about one frame the first counts.
    """
    found: dict[int, float] = {}
    for number, value in _LINE.findall(completion):
        found.setdefault(int(number), float(value))
    wanted = range(1, len(question.order) + 1)
    if any(number not in found or found[number] > 100 for number in wanted):
        return None
    by_place = np.zeros(int(question.order.max()) + 1)
    by_place[question.order] = [found[number] for number in wanted]
    return by_place


def clip_task(task: object) -> str:
    """Return a row's task as text."""
    return str(task or "the task shown")
