"""What rows and their record say about how questions are put."""

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from vqa_fakes import FEATURES, indices, row
from worlds import make_world

from rfm.frames.spacing import EVENLY
from rfm.generation.generate import GenerateOptions, generate
from rfm.vqa.dataset import load_dataset
from rfm.vqa.presentation import Presentation, presentation


def score(*frames):
    return row("progress", "5", "How far?", clip=("a.npz", list(frames)))


def pair(first, second):
    return row("preference", "1", "Which?", first=("a.npz", first), second=("b.npz", second))


CLIPPED = score(0, 5, 10, 15)
"""Four of sixteen frames: longer clips do not show more."""


@pytest.mark.parametrize("form", ["dataset", "mappings"])
@pytest.mark.parametrize(
    ("rows", "most", "limit"),
    [
        ([CLIPPED], 4, 4),
        ([score(0, 1, 2), score(0, 1)], 3, None),  # all frames of short paths: nobody knows the limit
        ([score(0, 1, 2, 3, 2, 1)], 6, None),
        ([score(3, 3, 3)], 3, None),
        ([score(9, 6, 3, 0), score(0, 1, 2, 3, 4)], 5, 4),
        ([pair([0, 1, 2], [0, 7, 14])], 3, None),  # as many as the shorter one has
        ([pair([0, 9, 18], [0, 7, 14])], 3, 3),
        ([pair([0, 9, 18], [0, 7, 14]), CLIPPED], 4, 4),
    ],
)
def test_the_rows_say_how_many_frames_are_shown(rows, most, limit, form):
    given = Dataset.from_list(rows, features=FEATURES) if form == "dataset" else rows
    assert presentation(given, {}) == Presentation(most, limit)


def test_the_record_says_what_the_rows_can_not():
    config = {"prompt_version": 1, "config": {"data": {"max_frames": 16, "discrete_progress": True}}}
    assert presentation([score(0, 1, 2)], config) == Presentation(3, 16, EVENLY, 1, True)
    assert presentation([score(*range(20))], config).limit == 20, "the rows show what they show"


@pytest.mark.parametrize(
    "config",
    [{}, {"config": None}, {"config": {}}, {"config": {"data": None}}, {"config": {"data": {"max_frames": "4"}}}],
)
def test_a_record_that_does_not_say_leaves_it_open(config):
    shown = presentation([CLIPPED], config)
    assert (shown.max_frames, shown.limit, shown.prompt_version, shown.discrete_progress) == (4, 4, None, None)


def test_rows_that_are_broken_say_nothing():
    for clip in (None, [], "0123", [None], ["a"], [2**70], [0.5], 7):
        assert presentation([{"frame_indices": clip}], {}).max_frames in (None, 1)
    assert presentation([], {}) == presentation([{}], {}) == Presentation()
    long = list(range(0, 20_000, 2))  # more than any clip that is read
    assert presentation([score(*long), CLIPPED], {}) == Presentation(4, 4)


@pytest.mark.parametrize("kind", [pa.list_(pa.int32()), pa.large_list(pa.int64()), pa.list_(pa.int64(), 4)])
def test_lists_of_any_kind_are_counted(kind):
    table = pa.table({"frame_indices": pa.array([[0, 5, 10, 15], None, [0, 1, 2, 3]], kind)})
    assert presentation(Dataset(table), {}) == Presentation(4, 4)


def test_rows_are_counted_block_by_block(monkeypatch):
    monkeypatch.setattr("rfm.vqa.presentation._BLOCK", 7)
    shown = [indices(15, count) for count in np.random.default_rng(0).integers(2, 12, 50)]
    dataset = Dataset.from_list([score(*clip) for clip in shown], features=FEATURES).select(range(1, 50))
    assert presentation(dataset, {}).max_frames == max(map(len, shown[1:]))


def test_generated_questions_say_what_they_were_asked_to_be(tmp_path):
    make_world(tmp_path / "world", "toy_train")
    overrides = (f"data.datasets_root={tmp_path / 'world'}", "data.train_datasets=[toy_train]", "data.max_frames=4")
    made = generate(GenerateOptions(output_path=str(tmp_path / "vqa"), num_samples=40, config_overrides=overrides))
    dataset, config = load_dataset(made)
    assert presentation(dataset, config) == Presentation(4, 4, EVENLY, 1, False)
    assert presentation(dataset, {}) == Presentation(4, 4), "the rows alone say the same"
