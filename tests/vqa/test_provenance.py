import pickle

import numpy as np
import pytest
from datasets import Dataset

from rfm.errors import DataError
from rfm.vqa.provenance import FILE, load_hashes, save_hashes, trajectory_hashes


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


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (np.array(["a", "b"]), r"a row of uint64, but holds <U1 of shape \(2,\)"),
        (np.array([0.5, 2.0]), r"a row of uint64, but holds float64 of shape \(2,\)"),
        (np.zeros((2, 2), np.uint64), r"a row of uint64, but holds uint64 of shape \(2, 2\)"),
        (b"", r"can't be read"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<u8', 'fortran_order': False, 'shape': (9000000000,), }", r"can't be read"),
        (b"\x93NUMPY\x01\x00\x06\x00{(\n 'd", r"can't be read"),
    ],
    ids=["texts", "floats", "table", "empty", "too long", "header"],
)
def test_other_content_is_refused_with_the_way_out(tmp_path, content, fault):
    if isinstance(content, bytes):
        (tmp_path / FILE).write_bytes(content)
    else:
        np.save(tmp_path / FILE, content)
    with pytest.raises(DataError, match=rf"{tmp_path / FILE} must hold hashes of trajectories.*{fault}.*or delete it"):
        load_hashes(tmp_path)


def test_a_pickle_is_never_loaded(tmp_path):
    np.save(tmp_path / FILE, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="must hold hashes of trajectories, but can't be read"):
        load_hashes(tmp_path)
    (tmp_path / FILE).write_bytes(pickle.dumps(print))
    with pytest.raises(DataError, match="must hold hashes of trajectories, but can't be read"):
        load_hashes(tmp_path)
