from __future__ import annotations

import numpy as np
import pytest
from films import as_jpeg, film

from rfm.frames.near_duplicates import near_duplicates
from rfm.frames.npz import write_npz

COUNT = 6


def group_of(tmp_path, films, **settings):
    paths = [f"{at}.npz" for at in range(len(films))]
    for path, pictures in zip(paths, films, strict=True):
        write_npz(tmp_path / path, pictures)
    found = near_duplicates(tmp_path, paths, np.array([len(pictures) for pictures in films]), **settings)
    assert found.unreadable == {}
    return found.group


def test_unlike_films_have_no_group(tmp_path):
    assert group_of(tmp_path, [film(seed) for seed in range(COUNT)]).tolist() == [-1] * COUNT


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_jpeg_of_a_film_is_its_near_duplicate(tmp_path, quality):
    films = [film(seed) for seed in range(COUNT)]
    group = group_of(tmp_path, [*films, as_jpeg(films[2], quality)])
    assert group[2] == group[COUNT] >= 0
    assert (np.delete(group, [2, COUNT]) == -1).all()


def test_two_groups_are_kept_apart_and_larger_ones_together(tmp_path):
    one, other = film(1), film(2)
    group = group_of(tmp_path, [one, other, as_jpeg(one, 80), film(3), as_jpeg(other, 80), as_jpeg(one, 60)])
    assert group[0] == group[2] == group[5]
    assert group[1] == group[4] != group[0]
    assert group[3] == -1


def test_near_hashes_of_other_pictures_are_no_duplicates(tmp_path):
    """One camera: the same room, and an object elsewhere, too small for the hash."""
    room = film(0)
    moved = room.copy()
    moved[:, 20:26, 30:36] = 255 - moved[:, 20:26, 30:36]
    assert group_of(tmp_path, [room, moved], max_distance=16).tolist() == [-1, -1]


def test_the_distance_is_a_limit(tmp_path):
    films = [film(0), as_jpeg(film(0), 10)]
    assert group_of(tmp_path, films, max_distance=0).tolist() == [-1, -1]
    same = [film(0), film(0)]
    assert group_of(tmp_path, same, max_distance=0).tolist() == [0, 0]


def test_what_cannot_be_read_is_named_and_the_rest_compared(tmp_path):
    write_npz(tmp_path / "a.npz", film(0))
    (tmp_path / "b.npz").write_bytes(b"no zip")
    write_npz(tmp_path / "c.npz", film(0))
    found = near_duplicates(tmp_path, ["a.npz", "b.npz", "c.npz"], np.array([8, 8, 8]))
    assert found.group[0] == found.group[2] >= 0
    assert found.group[1] == -1
    assert list(found.unreadable) == [1]
    assert "b.npz" in found.unreadable[1]


def test_no_episodes_at_all(tmp_path):
    assert near_duplicates(tmp_path, [], np.array([], int)).group.tolist() == []
