import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from vqa_fakes import preference_row, progress_row, write_frames

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.colour_jitter import SEED_COLUMN, ColourJitter, with_jitter_seeds
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.model.tiny import build_tiny, tiny_spec

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)


@given(st.integers(-(2**63), 2**63 - 1), st.floats(0, 0.9))
def test_factors_are_a_function_of_the_seed_within_the_strength(seed, strength):
    jitter = ColourJitter.draw(seed, strength)
    assert jitter == ColourJitter.draw(seed, strength)
    assert all(1 - strength <= factor <= 1 + strength for factor in jitter)


def test_factors_fill_their_range():
    drawn = np.array([ColourJitter.draw(seed, 0.5) for seed in range(500)])
    assert (drawn.min(axis=0) < 0.55).all()
    assert (drawn.max(axis=0) > 1.45).all()
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.15


def test_factors_of_one_change_nothing():
    assert np.array_equal(ColourJitter().apply(FRAMES), FRAMES)
    assert np.array_equal(ColourJitter.draw(7, 0.0).apply(FRAMES), FRAMES)


@pytest.mark.parametrize(
    ("jitter", "pixel", "expected"),
    [
        (ColourJitter(brightness=1.5), (100, 200, 10), (150, 255, 15)),
        (ColourJitter(brightness=0.5), (100, 200, 10), (50, 100, 5)),
        (ColourJitter(contrast=0.5), (100, 200, 128), (114, 164, 128)),
        (ColourJitter(contrast=1.5), (100, 250, 10), (86, 255, 0)),
        (ColourJitter(saturation=1.5), (90, 90, 90), (90, 90, 90)),
        (ColourJitter(saturation=0.5), (200, 100, 100), (164, 114, 114)),
        (ColourJitter(saturation=1.5), (200, 100, 100), (235, 85, 85)),
    ],
)
def test_factors_by_hand(jitter, pixel, expected):
    out = jitter.apply(np.full((1, 2, 2, 3), pixel, np.uint8))
    assert out.dtype == np.uint8
    assert np.abs(out.astype(int) - expected).max() <= 1


@given(st.integers(0, 10**6))
def test_equal_pixels_stay_equal_in_all_frames(seed):
    doubled = np.concatenate([FRAMES, FRAMES[:, ::-1]])
    out = ColourJitter.draw(seed, 0.4).apply(doubled)
    assert out.shape == doubled.shape
    assert np.array_equal(out[:3, ::-1], out[3:])


def test_seeds_are_a_function_of_seed_and_position():
    rows = Dataset.from_dict({"prompt": list("abcd")})
    seeds = with_jitter_seeds(rows, 1)[SEED_COLUMN][:]
    assert len(set(seeds)) == 4
    assert with_jitter_seeds(rows, 1)[SEED_COLUMN][:] == seeds != with_jitter_seeds(rows, 2)[SEED_COLUMN][:]


def test_both_clips_of_a_training_row_change_alike_and_others_not_at_all(tmp_path):
    paths, rng = write_frames(tmp_path, 3, size=32), np.random.default_rng(0)
    _, tokenizer = build_tiny(0)
    encoder = ConversationEncoder(tokenizer, tiny_spec())
    plain, jittery = (
        VQACollator(encoder, FrameStore(tmp_path, tiny_spec(), InputFormat(32, 32)), colour_jitter=strength)
        for strength in (0.0, 0.5)
    )
    row = {**preference_row(paths, rng), SEED_COLUMN: 5}
    before, after = (made.encode(row)[1] for made in (plain, jittery))
    jitter = ColourJitter.draw(5, 0.5)
    for old, new in zip(before, after, strict=True):
        assert not np.array_equal(old, new)
    both = [np.unique(np.stack([o.ravel(), n.ravel()]), axis=1) for o, n in zip(before, after, strict=True)]
    assert all(pair.shape[1] > 10 for pair in both)
    assert jitter != ColourJitter()
    again = jittery.encode(row)[1]
    assert all(np.array_equal(one, other) for one, other in zip(after, again, strict=True))
    for unseeded in (preference_row(paths, rng), progress_row(paths, rng), {**row, SEED_COLUMN: None}):
        pairs = zip(plain.encode(unseeded)[1], jittery.encode(unseeded)[1], strict=True)
        assert all(np.array_equal(old, new) for old, new in pairs)
