"""Curves are kept once for episodes that have the same."""

from __future__ import annotations

import numpy as np
import pytest
from catalogs import make_catalog, random_catalog

from rfm.errors import ConfigError
from rfm.sampling import progress as module
from rfm.sampling.block import score
from rfm.sampling.clips.table import Clips
from rfm.sampling.progress import Progress, read_cutoffs


def test_episodes_whose_progress_is_time_share_a_curve_by_length_and_cutoff() -> None:
    catalog = make_catalog(
        frames=[8, 8, 8, 9, 8, 8], sources=[0, 0, 1, 0, 0, 0], quality=[2, 2, 2, 2, 0, 2],
        progress=[[], [], [], [], [], np.linspace(0, 1, 8).tolist()],
    )  # fmt: skip
    same = Progress(catalog).kinds.of
    assert [(same == kind).nonzero()[0].tolist() for kind in same[[0, 3, 4, 5]]] == [[0, 1, 2], [3], [4], [5]]
    of = Progress(catalog, cutoffs={"source1": 0.5}).kinds.of
    assert of[0] == of[1] != of[2]


def clip_of(shown: list[int]) -> Clips:
    """One clip of the first trajectory."""
    return Clips(np.array([0]), np.array([shown], np.int32), np.array([len(shown)]))


def test_recorded_times_take_the_place_of_frame_numbers() -> None:
    times = [0.0, 0.1, 0.15, 0.9, 1.0]  # slow, fast, slow: a variable frame rate
    catalog = make_catalog(frames=[5, 5, 5], times=[times, [], times], quality=[2, 2, 0])
    progress = Progress(catalog)
    curves = progress.curves(np.arange(3)).progress[:, :5]
    assert curves[0] == pytest.approx([(t * 4 + 1) / 5 for t in times])
    assert curves[1] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert np.isnan(curves[2]).all(), "time says nothing of a failure"
    assert progress.of_clips(clip_of([1, 3, 2]))[0] == pytest.approx([1.4 / 5, 4.6 / 5, 1.6 / 5])
    assert progress.at_ends(clip_of([0, 3])) == pytest.approx([4.6 / 5])
    kinds = Progress(make_catalog(frames=[5] * 4, times=[times, times, [], []])).kinds.of
    assert len(set(kinds.tolist())) == 3, "recorded times make a curve of its own"


def test_recorded_times_with_a_cut_off_and_as_differences() -> None:
    times = [0.0, 0.1, 0.15, 0.9, 1.0]
    catalog = make_catalog(frames=[5], times=[times])
    progress = Progress(catalog, cutoffs={"source0": 0.8})
    assert progress.of_clips(clip_of([0, 1, 2, 3]))[0] == pytest.approx([1 / 4, 1.4 / 4, 1.6 / 4, 1.0])
    relative = Progress(catalog, "relative_first_frame")
    shown = relative.of_clips(clip_of([0, 1, 3]), from_first=True)
    assert relative.targets(shown)[0] == pytest.approx([0, 0.4 / 5, 3.2 / 5], abs=1e-6)
    first = Progress(catalog, "absolute_first_frame")
    assert first.of_clips(clip_of([1, 2, 3, 4]), from_first=True)[0] == pytest.approx([0, 0.2 / 3.6, 3.2 / 3.6, 1.0])


def test_evenly_spaced_times_change_no_score() -> None:
    for frames in (5, 17, 64, 90):
        even = np.linspace(0, 1, frames).tolist()
        with_times, without = (
            Progress(make_catalog(frames=[frames], times=times)).curves(np.array([0])) for times in ([even], None)
        )
        shown = slice(min(frames, 64))
        assert score(with_times.progress[0, shown]).tolist() == score(without.progress[0, shown]).tolist()


def test_kept_frames_of_episodes_of_many_lengths_have_all_scores() -> None:
    """Frame numbers alone are a comb that misses 37; 0 and 1 lie below the first frame's 1 / 64."""
    lengths = np.arange(65, 165)
    kept = [np.round(np.linspace(0, length - 1, 64)) / (length - 1) for length in lengths]
    found, comb = (
        set(score(Progress(make_catalog(frames=[64] * 100, times=times)).curves(np.arange(100)).progress.ravel()))
        for times in ([one.tolist() for one in kept], None)
    )
    assert found == set(range(2, 101))
    assert len(set(range(101)) - comb) == 37


@pytest.mark.parametrize("times", [False, True])
def test_time_from_the_first_frame_ends_at_the_cut_off(times: bool) -> None:
    even = np.linspace(0, 1, 10).tolist()
    catalog = make_catalog(frames=[10], times=[even] if times else None)
    progress = Progress(catalog, "absolute_first_frame", {"source0": 0.7})
    values = [progress.of_clips(clip_of(shown), from_first=True)[0].tolist() for shown in ([2, 4, 6, 8], [5, 4, 3])]
    assert values[0] == pytest.approx([0, 0.5, 1, 1], abs=1e-6)
    assert values[1] == pytest.approx([2 / 3, 1 / 3, 0], abs=1e-6)
    for shown in ([6, 7], [6, 9], [8, 7, 6], [8, 9], [9, 8]):
        assert progress.of_clips(clip_of(shown), from_first=True)[0].tolist() == [1.0] * len(shown), shown


@pytest.mark.parametrize("kept", [0, 10**6])
def test_curves_are_those_of_each_trajectory_by_itself(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(module, "LARGEST_TABLE", kept)
    monkeypatch.setattr(module, "_BLOCK", 7)
    catalog = random_catalog(3, 60)
    progress = Progress(catalog, cutoffs={"source0": 0.7})
    curves, rungs = progress.curves(np.arange(60)), progress.rungs(np.arange(60))
    assert np.array_equal(rungs.progress, np.sort(curves.progress, axis=1), equal_nan=True)
    for at in range(60):
        n = int(catalog.num_frames[at])
        frames = [f for f in curves.frames[at].tolist() if f < n]
        assert (frames[0], frames[-1]) == (0, n - 1)
        inside = curves.progress[at, : len(frames)]
        assert np.isnan(curves.progress[at, len(frames) :]).all()
        low, high = catalog.progress_offsets[at : at + 2]
        if high > low:
            assert inside.tolist() == catalog.progress_values[low:high][frames].tolist()
        elif catalog.quality[at] == 2:
            share = 0.7 if catalog.source_code[at] == 0 else 1.0
            assert inside == pytest.approx(np.minimum((np.array(frames) + 1) / (n * share), 1))
        else:
            assert np.isnan(inside).all()
    lengths = progress.measured(lambda trajectory: catalog.num_frames[trajectory])
    assert lengths.tolist() == catalog.num_frames.tolist()


def test_cut_offs_of_a_file(tmp_path):
    file = tmp_path / "cutoffs.csv"
    file.write_bytes(b"\xef\xbb\xbf# source, share\r\na,0.5\r\n\r\nb , 75\r\na,0.5\r\n")
    assert read_cutoffs(str(file)) == {"a": 0.5, "b": 0.75}
    assert read_cutoffs(None) == {}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a,half", "{file} line 1 must be data_source,share, but is 'a,half'"),
        (b"a,0.5\na,0.6", "{file} line 2 must give a source of its own, but 'a' has another share"),
        (b"a,0.5\nb;0.6", "{file} line 2 must be data_source,share, but is 'b;0.6'"),
        (b"a,1e400", "{file} line 1: the share of 'a' must lie in (0, 1] or (0, 100], but is '1e400'"),
        (b"a,nan", "{file} line 1: the share of 'a' must lie in (0, 1] or (0, 100], but is 'nan'"),
        (b'"a,0.5\nb,0.6', "{file} line 1 must be CSV, but is not (unexpected end of data): a quote that opens"),
        ("a,0.5".encode("utf-16"), "{file} must be UTF-8 text, but is UTF-16; save it as UTF-8"),
    ],
)
def test_cut_offs_that_cannot_be_read_are_named(tmp_path, content, fault):
    file = tmp_path / "cutoffs.csv"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_cutoffs(str(file))
    rule = "`data.dataset_success_cutoff_file` must list shares by source, but "
    assert str(caught.value).startswith(rule + fault.format(file=file))


@pytest.mark.parametrize("file", ["/dev/zero", "none.csv", ".", "a\0b"])
def test_cut_offs_come_from_files(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"must list shares by source, but .* must (be|exist)"):
        read_cutoffs(file)
