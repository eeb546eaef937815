"""A toy world, and one dataset that others are compared with."""

import os

import pytest
from generating import options
from split_worlds import by_trajectory, copies, four_tasks
from worlds import make_world

from rfm.generation import drawing
from rfm.generation import generate as module
from rfm.generation.generate import generate

__all__ = ["by_trajectory", "copies", "four_tasks"]


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    make_world(root, "toy_train")
    return make_world(root, "toy_eval", seed=1)


@pytest.fixture
def small_chunks(monkeypatch):
    """Several chunks, and a worker for each, in a dataset of a thousand rows on any machine."""
    monkeypatch.setattr(drawing, "CHUNK", 128)
    monkeypatch.setattr(module, "WORTH_A_WORKER", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.fixture(scope="session")
def reference(world, tmp_path_factory):
    """One dataset that the others are compared with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "CHUNK", 128)
        return generate(options(world, tmp_path_factory.mktemp("reference") / "vqa"))
