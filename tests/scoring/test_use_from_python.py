"""The examples of `docs/use.md`, run as they stand but for their paths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checkpoints import random_checkpoint
from marked_frames import write_marked
from scored_clips import film

DOCS = Path(__file__).parents[2] / "docs" / "use.md"


def test_the_examples_run(tmp_path: Path) -> None:
    section = DOCS.read_text(encoding="utf-8").split("## From Python")[1].split("\n## ")[0]
    code = "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    ours = {
        "outputs/run/final": random_checkpoint(tmp_path / "final", max_frames=4),
        "attempt.mp4": write_marked(tmp_path / "attempt.mp4", 5),
        "another.mp4": write_marked(tmp_path / "another.mp4", 3),
    }
    for theirs, own in ours.items():
        assert theirs in code
        code = code.replace(theirs, str(own))
    names: dict = {"camera": film(3)}
    exec(code, names)
    assert names["first"].expected == pytest.approx(names["said"].expected, abs=1e-5)
    assert names["curve"].seconds.round(6).tolist() == [0, 0.1, 0.2, 0.3, 0.4]
    assert 0 <= names["pair"].a <= 1
    assert 0 <= names["reward"] <= 1
