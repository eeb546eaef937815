import numpy as np
import pytest
from datasets import Dataset
from vqa_fakes import preference_row, progress_row, write_frames

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.augmentation import SEED_COLUMN, SETTINGS, Augmentation, with_seeds
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.configs.experiment_configs import DataConfig
from rfm.model.tiny import build_tiny, tiny_spec


def test_it_is_what_the_configuration_asks_for():
    assert not Augmentation.of(DataConfig())
    assert Augmentation.of(DataConfig(colour_jitter=0.3)) == Augmentation(colour_jitter=0.3)
    assert Augmentation.of(DataConfig(random_shift=0.1)) == Augmentation(random_shift=0.1)
    assert Augmentation(random_shift=0.1)


def test_seeds_are_a_function_of_seed_and_position():
    rows = Dataset.from_dict({"prompt": list("abcd")})
    seeds = with_seeds(rows, 1)[SEED_COLUMN][:]
    assert len(set(seeds)) == 4
    assert with_seeds(rows, 1)[SEED_COLUMN][:] == seeds != with_seeds(rows, 2)[SEED_COLUMN][:]


@pytest.mark.parametrize("setting", SETTINGS)
def test_both_clips_of_a_training_row_change_alike_and_others_not_at_all(tmp_path, setting):
    paths, rng = write_frames(tmp_path, 3, size=32), np.random.default_rng(0)
    _, tokenizer = build_tiny(0)
    encoder = ConversationEncoder(tokenizer, tiny_spec())
    plain, changed = (
        VQACollator(encoder, FrameStore(tmp_path, tiny_spec(), InputFormat(32, 32)), augmentation=augmentation)
        for augmentation in (None, Augmentation(**{setting: 0.4}))
    )
    row = {**preference_row(paths, rng), SEED_COLUMN: 5}
    before, after = (made.encode(row)[1] for made in (plain, changed))
    for old, new in zip(before, after, strict=True):
        assert not np.array_equal(old, new)
    both = [np.unique(np.stack([o.ravel(), n.ravel()]), axis=1) for o, n in zip(before, after, strict=True)]
    assert all(pair.shape[1] > 10 for pair in both)
    again = changed.encode(row)[1]
    assert all(np.array_equal(one, other) for one, other in zip(after, again, strict=True))
    for unseeded in (preference_row(paths, rng), progress_row(paths, rng), {**row, SEED_COLUMN: None}):
        pairs = zip(plain.encode(unseeded)[1], changed.encode(unseeded)[1], strict=True)
        assert all(np.array_equal(old, new) for old, new in pairs)
