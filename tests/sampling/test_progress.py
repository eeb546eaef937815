"""Curves are kept once for episodes that have the same."""

from __future__ import annotations

import numpy as np
import pytest
from catalogs import make_catalog, random_catalog

from rfm.errors import ConfigError
from rfm.sampling import progress as module
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


@pytest.mark.parametrize("kept", [0, 10**6])
def test_curves_are_those_of_each_trajectory_by_itself(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(module, "LARGEST_TABLE", kept)
    monkeypatch.setattr(module, "_BLOCK", 7)
    catalog = random_catalog(3, 60)
    progress = Progress(catalog, cutoffs={"source0": 0.7})
    curves = progress.curves(np.arange(60))
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
