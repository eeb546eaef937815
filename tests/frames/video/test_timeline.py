import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.timeline import choose

PAUSE = [0, 100, 200, 300, 400, 500, 8500, 8600, 8700, 8800, 8900, 9000]


def test_a_pause_stands_still_for_as_long_as_it_lasted() -> None:
    chosen = choose(PAUSE, 10)
    assert chosen.indices.tolist() == [0, 5, 5, 5, 5, 5, 5, 5, 5, 11]
    assert chosen.times is not None
    assert chosen.times.tolist() == pytest.approx([at / 9 for at in range(10)])
    assert chosen.note == "frame 5 stands still for 89% of the time: is there a gap in the recording?"


def test_uneven_recordings_take_the_rate_of_most_frames_where_it_fits() -> None:
    assert choose(PAUSE, 1000).indices.tolist() == [0, 1, 2, 3, 4, *[5] * 80, 6, 7, 8, 9, 10, 11]
    assert len(choose(PAUSE, 64).indices) == 64
    assert choose(PAUSE, 1).indices.tolist() == [11]
    assert choose(PAUSE, 2).indices.tolist() == [0, 11]


@given(
    steps=st.lists(st.integers(1, 10_000), min_size=1, max_size=80),
    most=st.integers(2, 70),
    start=st.integers(-1000, 10**9),
)
def test_progress_by_position_is_progress_by_time(steps: list[int], most: int, start: int) -> None:
    stamps = (start + np.concatenate(([0], np.cumsum(steps)))).tolist()
    chosen = choose(stamps, most)
    assert chosen.times is not None
    assert (chosen.indices[0], chosen.indices[-1]) == (0, len(stamps) - 1)
    assert (np.diff(chosen.indices) >= 0).all()
    position = np.linspace(0, 1, len(chosen.indices))
    assert np.abs(chosen.times - position).max() <= 0.5 / (len(stamps) - 1) + 0.5 / (len(position) - 1) + 1e-9
    steady = np.array_equal(chosen.indices, evenly_spaced(len(stamps), most))
    if not steady:
        whole, last = stamps[-1] - stamps[0], len(position) - 1
        begun = [[(stamp - stamps[0]) * last <= at * whole for stamp in stamps] for at in range(last + 1)]
        assert chosen.indices.tolist() == [sum(known) - 1 for known in begun]


def test_a_frame_that_begins_at_a_moment_is_the_one_shown() -> None:
    assert choose([0, 1, 10, 12], 7).indices.tolist() == [0, 1, 1, 1, 1, 2, 3]


@pytest.mark.parametrize("jitter", [[0, 33, 67, 100, 133, 167, 200], [0, 40, 61, 99, 140, 160, 200]])
def test_a_steady_rate_is_known_in_spite_of_rounding_and_jitter(jitter: list[int]) -> None:
    assert choose(jitter, 64).indices.tolist() == list(range(7))
    assert choose(jitter, 4).indices.tolist() == [0, 2, 4, 6]
    assert choose(jitter, 4).note == ""


@pytest.mark.parametrize(
    ("stamps", "note"),
    [
        ([None] * 5, "5 of 5 frames have no timestamp: they are taken as evenly spaced"),
        ([0, 1, None, 90, 91], "1 of 5 frames have no timestamp: they are taken as evenly spaced"),
        ([0, 1, 1, 90, 91], "1 timestamps repeat or go backwards: frames are taken as evenly spaced"),
        ([0, 5, 4, 3, 91], "2 timestamps repeat or go backwards: frames are taken as evenly spaced"),
        ([7], ""),
        ([], ""),
    ],
)
def test_without_time_the_number_counts_and_that_is_said(stamps: list[int | None], note: str) -> None:
    chosen = choose(stamps, 3)
    assert chosen.indices.tolist() == ([0, 2, 4] if len(stamps) == 5 else list(range(len(stamps))))
    assert chosen.times is None
    assert chosen.note == note


def test_a_timestamp_out_of_the_world_is_no_traceback() -> None:
    chosen = choose([-(2**62), 1, 2, 3, 4], 3)
    assert chosen.indices.tolist() == [0, 2, 4]
    assert chosen.times is None
    assert chosen.note == "3 timestamps repeat or go backwards: frames are taken as evenly spaced"
