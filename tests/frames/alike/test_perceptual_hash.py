import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from worlds import make_world

from rfm.frames.alike import perceptual_hash
from rfm.frames.alike.perceptual_hash import episode_hash, hamming, hash_episodes, hashed_indices, near_duplicate_groups
from rfm.frames.reader import read_frames
from rfm.frames.resize import resize_frames
from rfm.trajectories.catalog import load_catalog


def scene(seed: int, frames: int = 5, size: int = 72) -> np.ndarray:
    """Soft blobs that wander: low frequencies, as in pictures of the world."""
    cells = np.random.default_rng(seed).integers(0, 256, (frames, 6, 6, 3), dtype=np.uint8)
    return resize_frames(cells, size, size, "bicubic")


def jpeg(frames: np.ndarray, quality: int) -> np.ndarray:
    out = []
    for frame in frames:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, format="JPEG", quality=quality)
        out.append(np.asarray(Image.open(buffer)))
    return np.stack(out)


def test_a_hash_is_one_word_for_each_of_three_frames():
    frames = scene(0)
    words = episode_hash(frames)
    assert (words.dtype, words.shape) == (np.dtype(np.uint64), (3,))
    assert [episode_hash(frames[[at]])[0] for at in (0, 2, 4)] == words.tolist()


def test_a_bit_says_that_a_cell_is_darker_than_its_right_neighbour():
    ramp = np.tile(np.arange(0, 90, 10, dtype=np.uint8)[None, None, :, None], (1, 8, 1, 3))
    assert episode_hash(ramp).tolist() == [2**64 - 1] * 3
    assert episode_hash(ramp[:, :, ::-1]).tolist() == [0] * 3
    assert episode_hash(ramp // 10).tolist() == [0] * 3, "one grey level is noise"


@pytest.mark.parametrize(
    ("count", "indices"), [(1, [0, 0, 0]), (2, [0, 0, 1]), (3, [0, 1, 2]), (32, [0, 15, 31])], ids=str
)
def test_hashed_frames_are_first_middle_and_last(count, indices):
    assert hashed_indices(count).tolist() == indices


@pytest.mark.parametrize("seed", range(5))
def test_compression_and_size_change_few_bits_and_another_scene_many(seed):
    frames = scene(seed)
    own = episode_hash(frames)
    assert hamming(own, episode_hash(jpeg(frames, 75))) <= 8
    assert hamming(own, episode_hash(resize_frames(frames, 36, 36))) <= 8
    assert hamming(own, episode_hash(scene(seed + 100))) > 40


def test_hamming_broadcasts():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2**64, (n, 3), dtype=np.uint64) for n in (4, 7))
    table = hamming(a[:, None], b[None])
    assert table.shape == (4, 7)
    assert table[2, 5] == sum(int(x ^ y).bit_count() for x, y in zip(a[2].tolist(), b[5].tolist(), strict=True))


def test_bits_are_counted_alike_without_numpy_2(monkeypatch):
    words = np.random.default_rng(0).integers(0, 2**64, (5, 3), dtype=np.uint64)
    counted = [[int(word).bit_count() for word in row] for row in words.tolist()]
    assert perceptual_hash._count_bits(words).tolist() == counted
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert perceptual_hash._count_bits(words).tolist() == counted


def slow_groups(hashes: np.ndarray, max_distance: int) -> list[int]:
    label = list(range(len(hashes)))
    for i in range(len(hashes)):
        for j in range(i):
            if hamming(hashes[i], hashes[j]) <= max_distance and label[i] != label[j]:
                old, new = label[i], label[j]
                label = [new if one == old else one for one in label]
    names = {name: number for number, name in enumerate(dict.fromkeys(label))}
    return [names[one] for one in label]


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 60),
    words=st.integers(1, 3),
    max_distance=st.sampled_from([0, 1, 4, 9]),
)
def test_groups_are_those_of_comparing_everyone_with_everyone(seed, n, words, max_distance):
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (6, words), dtype=np.uint64)[rng.integers(0, 6, n)]
    for _ in range(int(rng.integers(0, 12))):  # a bit of every other word or so, time and again
        flips = rng.integers(0, 2, hashes.shape, dtype=np.uint64) << rng.integers(0, 64, hashes.shape, dtype=np.uint64)
        hashes = hashes ^ flips
    assert near_duplicate_groups(hashes, max_distance).tolist() == slow_groups(hashes, max_distance)


def test_groups_merge_in_batches(monkeypatch):
    monkeypatch.setattr(perceptual_hash, "_PENDING", 3)
    chain = (np.uint64(1) << np.arange(40, dtype=np.uint64)) - np.uint64(1)  # each one bit from the next
    assert set(near_duplicate_groups(chain[:, None], 1).tolist()) == {0}
    assert len(set(near_duplicate_groups(chain[:, None], 0).tolist())) == 40


def test_episodes_are_hashed_from_their_files_and_unreadable_ones_named(tmp_path):
    catalog = load_catalog(make_world(tmp_path, episodes=4), ["toy_train"])
    paths = [*catalog.frames_path.to_pylist(), "toy_train/frames/none.npz"]
    hashes, unreadable = hash_episodes(tmp_path, paths, [*catalog.num_frames, 16])
    assert hashes.shape == (5, 3)
    for own, path in zip(hashes[:4], paths, strict=False):
        assert own.tolist() == episode_hash(read_frames(tmp_path, path, range(16))).tolist()
    assert not hashes[4].any()
    assert list(unreadable) == [4]
    assert "none.npz must exist, but does not" in unreadable[4]
