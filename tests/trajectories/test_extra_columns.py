from __future__ import annotations

import pytest
from films import episode, write_episodes

from rfm.errors import DataError
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.extra_columns import extra_columns


@pytest.fixture
def root(tmp_path):
    for key in ("b", "a"):
        scenes = ("kitchen", None, "  ", "hall")
        rows = [episode(tmp_path, key, f"{key}{at}", scene_id=scene) for at, scene in enumerate(scenes)]
        write_episodes(tmp_path, key, rows)
    return tmp_path


def test_columns_follow_the_rows_of_the_catalog(root):
    catalog = load_catalog(root, ["b", "a"])
    extra = extra_columns(catalog, ("scene_id",))
    assert extra.dataset.tolist() == [0] * 4 + [1] * 4
    kitchen, none, blank, hall = extra.codes["scene_id"][:4].tolist()
    assert none == blank == -1
    assert kitchen != hall
    assert extra.codes["scene_id"].tolist() == [kitchen, -1, -1, hall] * 2


def test_a_selection_has_its_own(root):
    chosen = load_catalog(root, ["b", "a"]).select([7, 0, 5])
    extra = extra_columns(chosen, ("scene_id",))
    assert extra.dataset.tolist() == [1, 0, 1]
    assert (extra.codes["scene_id"] < 0).tolist() == [False, False, True]


def test_without_names_only_the_dataset_is_told(root):
    assert extra_columns(load_catalog(root, ["a"])).codes == {}


def test_rows_that_have_gone_are_an_error(root):
    catalog = load_catalog(root, ["a", "b"])
    write_episodes(root, "a", [episode(root, "a", "a1")])
    with pytest.raises(DataError, match="the datasets a, b must not change while they are read, but did"):
        extra_columns(catalog)
