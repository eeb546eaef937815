"""Worlds that are split: fixtures of the tests of splits and of generation by sides."""

import pytest
from films import as_jpeg, episode, film, write_episodes
from splitting import PER_TASK, TASKS
from splitting import options as split_options
from worlds import make_world

from rfm.splits.command import split


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
