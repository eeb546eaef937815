import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from sampling.oracle import viewer_features

from rfm.audit.reading.questions import Words
from rfm.audit.reading.ragged import read_ragged
from rfm.audit.viewer import MOST_WORDS, motion, words


@given(clips=st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=9), min_size=1, max_size=8))
def test_motion_is_the_oracles(clips):
    frames = read_ragged(pa.chunked_array([pa.array(clips, pa.list_(pa.int64()))]), "x", pa.int64())
    seen, expected = motion(frames), np.array([viewer_features(clip) for clip in clips])
    places = [5, 6]  # the oracle counts moves, a viewer frames
    others = [at for at in range(9) if at not in places]
    assert np.array_equal(seen[:, others], expected[:, others])
    assert np.array_equal(seen[:, places] < 0, expected[:, places] < 0)


def test_turns_have_their_place_among_shown_frames():
    frames = read_ragged(pa.chunked_array([pa.array([[0, 3, 3, 5, 4, 4, 6], [2]])]), "x", pa.int64())
    shown, distinct, first, last, turns, first_turn, last_turn, still, stands = motion(frames).T.tolist()
    assert (shown, distinct) == ([7, 1], [5, 1])
    assert (first, last, turns) == ([1, 0], [1, 0], [2, 0])
    assert (first_turn, last_turn, still, stands) == ([4, -1], [6, -1], [2, 0], [0, 0])


def test_frame_numbers_themselves_are_not_seen():
    lists = [[0, 2, 4, 3], [10, 20, 31, 11]]
    frames = read_ragged(pa.chunked_array([pa.array(lists)]), "x", pa.int64())
    seen = motion(frames)
    assert np.array_equal(seen[0], seen[1])


def test_words_that_vary_are_features():
    prompts = Words(("Push it, Task: a", "push that. Task: b"), np.array([0, 1, 0, -1], np.int32))
    table = words(prompts, np.array([0, 1, 2]))
    assert table.shape == (3, 4)  # it, that, a, b
    assert np.array_equal(table[0], table[2])
    assert np.array_equal(table[0], 1 - table[1])
    assert words(prompts, np.array([0, 2])).shape == (2, 0)
    many = Words(tuple(f"word{at}" for at in range(200)), np.arange(200, dtype=np.int32))
    assert words(many, np.arange(200)).shape == (200, MOST_WORDS)
