"""The example of `docs/evaluation.md`, run as it stands but for its paths."""

import re
from pathlib import Path

from checkpoints import random_checkpoint
from worlds import make_world

DOCS = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_a_score_from_python(tmp_path):
    world = make_world(tmp_path / "world", "toy_train", episodes=2)
    frames = next(iter(sorted((world / "toy_train").rglob("*.npz")))).relative_to(world)
    section = DOCS.read_text(encoding="utf-8").split("## A score from Python")[1]
    [code] = re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    ours = {
        '"outputs/run/final", "cuda"': f'"{random_checkpoint(tmp_path / "final")}", "cpu"',
        '"trajectories"': f'"{world}"',
        "my_demos/frames/trajectory_pick_001.npz": frames.as_posix(),
        "[0, 8, 16, 24]": "[0, 2, 4]",
    }
    for theirs, own in ours.items():
        assert theirs in code
        code = code.replace(theirs, own)
    names: dict = {}
    exec(code, names)
    assert re.fullmatch(r"ANS: \d+", names["said"].text)
    assert len(names["said"].probabilities) == 101
    assert 0 <= names["reward"] <= 1
