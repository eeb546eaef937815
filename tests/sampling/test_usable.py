import numpy as np
from catalogs import make_catalog

from rfm.sampling.instructions import ELSEWHERE
from rfm.sampling.usable import Usable


def test_an_episode_too_short_to_show_still_bars_its_instruction():
    catalog = make_catalog(frames=[9, 1, 9, 9], tasks=[0, 1, 2, 1], groups=[5, 5, -1, -1])
    usable = Usable(catalog, 2, 0.2)
    assert usable.too_short == 1
    assert usable.catalog.ids.to_pylist() == ["t0", "t2", "t3"]
    pairs = usable.instructions.barred
    (task_1,) = set(usable.catalog.family_code[usable.catalog.ids.index("t3").as_py() :])
    assert (pairs.family.tolist(), pairs.trajectory.tolist()) == ([task_1], [0])


def test_a_task_that_only_short_episodes_have_is_asked_of_nobody():
    usable = Usable(make_catalog(frames=[9, 1, 9], tasks=[0, 1, 2], groups=[5, 5, -1]), 2, 0.2)
    assert usable.catalog.tasks.to_pylist() == ["task0", "task2"]
    assert usable.instructions.relation(np.array([1, 0]), np.array([0, 1])).tolist() == [ELSEWHERE, ELSEWHERE]


def test_where_none_is_too_short_nothing_changes():
    catalog = make_catalog(frames=[9, 8], tasks=[0, 1], groups=[5, 5])
    usable = Usable(catalog, 2, 0.2)
    assert usable.catalog is catalog
    assert np.array_equal(np.sort(usable.instructions.barred.trajectory), [0, 1])
