"""What may be asked of a reward model, whether it is in this process or behind a server."""

from __future__ import annotations

from collections.abc import Sequence

from rfm.errors import ConfigError
from rfm.frames.spacing import CHOICES

KEY_VARIABLE = "RFM_API_KEY"
"""The environment variable of the key that a server is shown: on a command line others would see it."""


def texts_of(task: str | None, tasks: Sequence[str] | None) -> list[str]:
    """Return the tasks asked about, one or several."""
    if (task is None) == (tasks is None):
        raise ConfigError("`task` or `tasks` must be given, one of them")
    texts = [task] if tasks is None else tasks
    if isinstance(texts, str):
        raise ConfigError(f"`tasks` must be a list of texts, but is one: give task={texts!r}, or a list")
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"a task must be a text that says what to do, but is {text!r}")
    return [str(text) for text in texts]


def check_points(points: int | None, frame_choice: str) -> None:
    """Raise ConfigError where a curve can't have so many points, or frames be chosen so."""
    if frame_choice not in CHOICES:
        raise ConfigError(f"`frame_choice` must be one of {', '.join(CHOICES)}, but is {frame_choice!r}")
    if points is not None and points < 1:
        raise ConfigError(f"`points` must be at least 1, but is {points}")
