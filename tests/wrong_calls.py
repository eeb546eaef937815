"""Calls that a model, and a client of one, refuse in the same words."""

from __future__ import annotations

import torch
from scored_clips import film

FRAMES = film(2)
WRONG = [
    (lambda m: m.progress(FRAMES[None], "pick"), "`frames` must be one clip, but is a list of clips; give `frames`[0]"),
    (lambda m: m.progress(torch.from_numpy(FRAMES)[None], "pick"), "but is a list of clips; give `frames`[0]"),
    (lambda m: m.prefer(FRAMES, FRAMES[None], "pick"), "`b` must be one clip, but is a list of clips; give `b`[0]"),
    (lambda m: m.progress(FRAMES[None][[0, 0]], "pick"), "is a list of clips; give `tasks`, one a clip"),
    (lambda m: m.curve(FRAMES, "pick", points=2.5), "`points` must be a whole number, but is 2.5"),
    (lambda m: m.curve(FRAMES, "pick", points=True), "`points` must be a whole number, but is True"),
    (lambda m: m.curve(FRAMES, "pick", points=0), "`points` must be at least 1, but is 0"),
    (lambda m: m.curve(FRAMES, "pick", batch_size=2.5), "`batch_size` must be a whole number, but is 2.5"),
    (lambda m: m.prefer(FRAMES, FRAMES, "pick", batch_size=0), "`batch_size` must be >= 1, but is 0"),
    (lambda m: m.progress(FRAMES, "pick", actor="x"), "`actor` must be one of robot, person, both, but is 'x'"),
    (lambda m: m.prefer(FRAMES, FRAMES, "pick", actor=["robot"]), "`actor` must be one of robot, person, both"),
    (
        lambda m: m.progress(FRAMES, "pick \ud800"),
        r"a task must be a text in Unicode, but holds half a pair of UTF-16: 'pick \ud800'",
    ),
    (lambda m: m.progress(FRAMES, 5), "a task must be a text that says what to do, but is 5"),
    (lambda m: m.progress(FRAMES, tasks=["pick", None]), "a task must be a text that says what to do, but is None"),
    (lambda m: m.tracker(""), "a task must be a text that says what to do, but is ''"),
    (lambda m: m.tracker(None), "a task must be a text that says what to do, but is None"),
    (lambda m: m.tracker(5), "a task must be a text that says what to do, but is 5"),
    (lambda m: m.tracker("pick", actor="x"), "`actor` must be one of robot, person, both, but is 'x'"),
]
"""What is asked, and what the ConfigError says of it."""
