"""Task texts that may be two wordings of one task."""

import numpy as np
from catalogs import make_catalog

from rfm.trajectories.alike_tasks import alike_texts
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset


def pairs_of(root, texts, ids=None, vectors=None):
    given = {"data_source": "one", "frames_shape": (8, 4, 4, 3), "num_frames": 8}
    rows = [
        Trajectory(
            id=f"t{at}",
            task=text,
            task_id=ids and ids[at],
            lang_vector=vectors and vectors[at],
            frames=f"k/frames/trajectory_t{at}.npz",
            **given,
        )
        for at, text in enumerate(texts)
    ]
    write_processed_dataset(root / "k", rows)
    return alike_texts(load_catalog(root, ["k"]))


def test_a_word_more_and_another_order_are_nearly_the_same(tmp_path):
    texts = [
        "open the drawer",
        "Open the top drawer.",
        "cup on plate put",
        "put cup on the plate",
        "push",
        "push button",
    ]
    assert pairs_of(tmp_path, texts) == [
        ("open the drawer", "Open the top drawer."),
        ("cup on plate put", "put cup on the plate"),
    ]


def test_articles_and_plurals_are_one_task_and_no_pair(tmp_path):
    assert pairs_of(tmp_path, ["open the drawer", "open drawers", "Open a drawer!"]) == []


def test_two_ids_are_two_tasks_and_one_id_is_one(tmp_path):
    texts = ["open the drawer", "open the top drawer"]
    assert pairs_of(tmp_path / "two", texts, ["low", "high"]) == []
    assert pairs_of(tmp_path / "one", texts, ["same", "same"]) == []
    assert len(pairs_of(tmp_path / "half", texts, ["low", None])) == 1


def test_vectors_that_point_the_same_way_are_nearly_the_same(tmp_path):
    texts = ["pull the handle", "open drawers", "fetch a cup", "close it"]
    near, far = (1.0, 0.1, 0.0), (0.1, 1.0, 0.0)
    vectors = [near, tuple(3 * x for x in near), far, (0.8, 0.6, 0.0)]
    assert pairs_of(tmp_path / "all", texts, vectors=vectors) == [("pull the handle", "open drawers")]
    assert pairs_of(tmp_path / "named", texts, ["a", "b", "c", "d"], vectors) == []
    assert pairs_of(tmp_path / "some", texts, vectors=[near, None, None, near]) == [("pull the handle", "close it")]


def test_vectors_that_say_nothing_are_passed_over(tmp_path):
    texts = ["pull the handle", "open drawers", "fetch a cup", "close it", "wipe"]
    vectors = [(0.0, 0.0), (0.0, 0.0), (float("nan"), 1.0), (1.0,), (1.0, 0.0)]
    assert pairs_of(tmp_path, texts, vectors=vectors) == []


def test_many_texts_take_no_time_that_grows_with_their_pairs():
    texts = [f"move block {at} to place {at * 7}" for at in range(20_000)]
    catalog = make_catalog(frames=[8] * len(texts), tasks=list(range(len(texts))), texts=texts)
    assert alike_texts(catalog) == []
    assert len(np.unique(catalog.family_code)) == len(texts)
