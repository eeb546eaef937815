import numpy as np

from rfm.sampling.bits import packed
from rfm.sampling.clips.ends import draw_end
from rfm.sampling.random import RowRandom
from rfm.sampling.rungs import Rungs

RNG = np.random.default_rng(0)


def some(rows: int = 200) -> tuple[Rungs, np.ndarray]:
    """Rungs of curves that rise, fall and stand still, and which of their frames are allowed, frame by frame."""
    progress = np.round(np.clip(np.cumsum(RNG.normal(0.02, 0.1, (rows, 64)), axis=1), 0, 1), 2).astype(np.float32)
    length = RNG.integers(3, 65, rows)
    progress[np.arange(64) >= length[:, None]] = np.nan
    allowed = (RNG.random((rows, 64)) < 0.5) & (np.arange(64) < length[:, None])
    allowed[:, 1] = True
    return Rungs.sort(np.tile(np.arange(64, dtype=np.int32), (rows, 1)), progress), allowed


def by_frame(rungs: Rungs) -> np.ndarray:
    out = np.empty_like(rungs.progress)
    np.put_along_axis(out, rungs.frames.astype(np.int64), rungs.progress, axis=1)
    return out


def as_rungs(rungs: Rungs, allowed: np.ndarray) -> np.ndarray:
    """The words of a choice that is made frame by frame."""
    return packed(np.take_along_axis(allowed, rungs.frames.astype(np.int64), axis=1))


def test_ends_are_the_allowed_frames_nearest_to_evenly_spread_progress() -> None:
    rungs, allowed = some()
    random = RowRandom(0, np.arange(200, dtype=np.uint64))
    end = draw_end(random, "s", rungs, as_rungs(rungs, allowed))
    progress = np.where(allowed, by_frame(rungs), np.nan)
    low, high = np.nanmin(progress, axis=1), np.nanmax(progress, axis=1)
    wanted = low + random.uniform("s/progress").astype(np.float32) * (high - low)
    miss = np.abs(progress - wanted[:, None])
    rows = np.arange(200)
    assert allowed[rows, end].all()
    assert np.abs(miss[rows, end] - np.nanmin(miss, axis=1)).max() < 1e-6


def test_frames_of_equal_progress_and_those_of_unknown_progress_share_draws_evenly() -> None:
    frames = np.tile(np.arange(64, dtype=np.int32), (6000, 1))
    for progress in (np.float32(0.5), np.float32(np.nan)):
        rungs = Rungs.sort(frames, np.full((6000, 64), progress))
        end = draw_end(RowRandom(0, np.arange(6000, dtype=np.uint64)), "s", rungs, rungs.since(61))
        assert set(end) == {61, 62, 63}
        assert np.bincount(end)[61:].min() > 1800


def test_bounds_are_compared_exactly() -> None:
    rungs = Rungs.sort(
        np.arange(64, dtype=np.int32)[None], np.float32(0.1) * np.arange(64, dtype=np.float32)[None] / 64
    )
    value = float(rungs.progress[0, 40])
    for bound, least, most in ((value, 24, 41), (value + 1e-12, 23, 41), (value - 1e-12, 24, 40)):
        assert int(rungs.at_least(np.array([bound]))[0]).bit_count() == least
        assert int(rungs.at_most(np.array([bound]))[0]).bit_count() == most


def test_marks_are_those_of_the_frames() -> None:
    rungs, _ = some()
    progress = by_frame(rungs)
    for words, chosen in (
        (rungs.known, ~np.isnan(progress)),
        (rungs.bottom, progress < 0.005),
        (rungs.top, progress >= 0.995),
        (rungs.odd, np.broadcast_to(np.arange(64) % 2 == 1, progress.shape)),
        (rungs.since(7), np.broadcast_to(np.arange(64) >= 7, progress.shape)),
        (rungs.until(7), np.broadcast_to(np.arange(64) <= 7, progress.shape)),
    ):
        assert (words == as_rungs(rungs, chosen)).all()
