"""A toy world, and one dataset that others are compared with."""

import os

import pytest
from films import as_jpeg, episode, film, write_episodes
from vqa.generating import options
from vqa.splitting import PER_TASK, TASKS
from vqa.splitting import options as split_options
from worlds import make_world

from rfm.vqa import drawing
from rfm.vqa import generate as module
from rfm.vqa.generate import generate
from rfm.vqa.split_command import split


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


@pytest.fixture(scope="session")
def four_tasks(tmp_path_factory):
    """Four tasks of 24 episodes, and another dataset of two of them."""
    root = make_world(tmp_path_factory.mktemp("world"), "toy_train", episodes=TASKS * PER_TASK, tasks=TASKS)
    return make_world(root, "toy_eval", episodes=12, tasks=2, seed=1)


@pytest.fixture(scope="session")
def by_trajectory(four_tasks, tmp_path_factory):
    return split(split_options(four_tasks, tmp_path_factory.mktemp("split") / "splits.json"))


@pytest.fixture(scope="session")
def copies(tmp_path_factory):
    """Thirty films, and of the first ten a copy with the noise of a JPEG, under another name and in another dataset."""
    root = tmp_path_factory.mktemp("copies")
    films = [film(at) for at in range(30)]
    write_episodes(root, "films", [episode(root, "films", f"f{at}", one) for at, one in enumerate(films)])
    write_episodes(root, "copies", [episode(root, "copies", f"c{at}", as_jpeg(films[at], 60)) for at in range(10)])
    return root
