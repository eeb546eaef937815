from __future__ import annotations

import numpy as np
import pytest
from films import as_jpeg, film

from rfm.frames.alike.near_duplicates import near_duplicates, same_picture, same_pictures
from rfm.frames.alike.perceptual_hash import LUMA
from rfm.frames.npz.file import write_npz
from rfm.frames.resize import resize_frames

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


@pytest.mark.parametrize("factor", [0.92, 1.08])
def test_a_brighter_or_darker_copy_is_one(tmp_path, factor):
    films = [film(seed) for seed in range(COUNT)]
    group = group_of(tmp_path, [*films, np.clip(films[2] * factor, 0, 255).astype(np.uint8)])
    assert group[2] == group[COUNT] >= 0


def test_a_small_copy_in_coarse_colour_is_one(tmp_path):
    """As real robots are often kept: 64 x 64, and a cell is 4 x 4 pixels, of which JPEG keeps a quarter in colour."""
    films = [resize_frames(film(seed), 64, 64) for seed in range(COUNT)]
    copies = [as_jpeg(films[2], 50), resize_frames(films[4], 32, 32)]
    group = group_of(tmp_path, [*films, *copies])
    assert group[2] == group[COUNT] >= 0
    assert group[4] == group[COUNT + 1] >= 0


def test_an_object_of_another_colour_and_equal_grey_is_another(tmp_path):
    room = film(0)
    room[:, 20:36, 20:36] = (200, 60, 60)
    other = room.copy()
    other[:, 20:36, 20:36] = (60, 131, 60)
    assert abs((np.array([200, 60, 60]) - [60, 131, 60]) @ LUMA) < 1
    assert group_of(tmp_path, [room, other], max_distance=32).tolist() == [-1, -1]


def test_flat_pictures_of_other_brightness_are_others():
    flat = [np.full((3, 16, 16, 3), level, np.uint8) for level in (100, 120, 140)]
    assert same_picture(flat[0], np.stack(flat)).tolist() == [True, True, False]
    assert same_picture(flat[0], np.empty((0, 3, 16, 16, 3), np.uint8)).tolist() == []


def test_all_with_all_is_each_with_all():
    random = np.random.default_rng(0)
    base = random.integers(30, 220, (12, 3, 16, 16, 3))
    noisy = [base + random.integers(-most, most + 1, base.shape) for most in (3, 11, 13, 40)]
    shifted = [base + shift for shift in (20, 26, 27)]
    cells = np.concatenate([base, *noisy, *shifted, base // 16 + 100]).astype(np.uint8)
    one_by_one = np.stack([same_picture(one, cells) for one in cells])
    assert np.array_equal(same_pictures(cells), one_by_one)
    assert one_by_one.sum() > 2 * len(cells)
