"""Task texts that may be two wordings of one task."""

import numpy as np
from catalogs import make_catalog

from rfm.trajectories.alike_tasks import alike_texts
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset


def pairs_of(root, texts, ids=None):
    rows = [
        Trajectory(
            id=f"t{at}", task=text, task_id=ids and ids[at], data_source="one", frames=f"k/frames/trajectory_t{at}.npz",
            frames_shape=(8, 4, 4, 3), num_frames=8,
        )
        for at, text in enumerate(texts)
    ]  # fmt: skip
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


def test_many_texts_take_no_time_that_grows_with_their_pairs():
    texts = [f"move block {at} to place {at * 7}" for at in range(20_000)]
    catalog = make_catalog(frames=[8] * len(texts), tasks=list(range(len(texts))), texts=texts)
    assert alike_texts(catalog) == []
    assert len(np.unique(catalog.family_code)) == len(texts)
