"""A toy world, and what is drawn from it, once for all audits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from audit.audits import draw, root_of
from audit.faulty import edit_config, paint, rewrite
from worlds import make_world

from rfm.audit import shortcuts


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split trajectories once instead of several times."""
    monkeypatch.setattr(shortcuts, "SPLITS", 1)


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world")
    for seed, (key, episodes) in enumerate((("toy_train", 60), ("toy_eval", 30), ("toy_other", 60))):
        make_world(root, key, episodes=episodes, frames=32, seed=seed)
        paint(root, key, seed)
    return root


@pytest.fixture(scope="session")
def clean(world, tmp_path_factory) -> Path:
    return draw(world, tmp_path_factory.mktemp("clean") / "vqa", "data.sample_type_ratio=[0.5,0.5,0]")


@pytest.fixture(scope="session")
def held_out(world, tmp_path_factory) -> Path:
    return draw(world, tmp_path_factory.mktemp("held_out") / "vqa", partition="eval", rows=300)


@pytest.fixture
def own_world(clean, tmp_path) -> tuple[Path, Path]:
    """A copy of the world that may be damaged, and the dataset that shows it."""
    root = tmp_path / "world"
    shutil.copytree(root_of(clean), root)
    path = rewrite(clean, tmp_path / "vqa")
    return root, edit_config(path, datasets_root=str(root))
