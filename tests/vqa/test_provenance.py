import numpy as np
from datasets import Dataset

from rfm.vqa.provenance import load_hashes, save_hashes, trajectory_hashes


def rows(**columns):
    return Dataset.from_dict(columns)


def test_every_column_that_names_trajectories_counts():
    pairs = rows(first_npz_path=["a", "b"], second_npz_path=["b", "c"], npz_path=[None, None])
    single = rows(npz_path=["c", "a", "b", "a"])
    references = rows(reference_npz_path=["a"], first_npz_path=["b"], second_npz_path=["c"])
    assert trajectory_hashes(pairs).tolist() == trajectory_hashes(single).tolist()
    assert trajectory_hashes(references).tolist() == trajectory_hashes(single).tolist()
    assert len(trajectory_hashes(single)) == 3


def test_hashes_are_sorted_and_the_same_everywhere():
    hashes = trajectory_hashes(rows(npz_path=["a", "b"]))
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == [3405396810240292928, 8453121595177857668]


def test_a_dataset_that_names_no_trajectory_has_none():
    assert trajectory_hashes(rows(prompt=["a"])).shape == (0,)


def test_what_is_saved_is_loaded(tmp_path):
    hashes = trajectory_hashes(rows(npz_path=[f"episode {number}" for number in range(50)]))
    assert load_hashes(tmp_path) is None
    save_hashes(tmp_path, hashes)
    assert np.array_equal(load_hashes(tmp_path), hashes)
    assert load_hashes(tmp_path / "nowhere") is None
