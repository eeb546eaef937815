from pathlib import Path

import numpy as np
import pytest

from rfm.errors import DataError
from rfm.frames.npz.file import write_npz
from rfm.frames.reader import read_frames

FRAMES = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)


def test_reads_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_npz(tmp_path / "a" / "b.npz", FRAMES)
    np.testing.assert_array_equal(read_frames(tmp_path, "a/b.npz", [3, 1]), FRAMES[[3, 1]])
    np.testing.assert_array_equal(read_frames(tmp_path, str(tmp_path / "a" / "b.npz"), [0]), FRAMES[:1])


@pytest.mark.parametrize("path", ["../secret.npz", "{outside}/secret.npz", "link.npz", "folder/secret.npz"])
def test_nothing_outside_the_root_is_read(tmp_path: Path, path: str) -> None:
    root, outside = tmp_path / "root", tmp_path
    root.mkdir()
    write_npz(outside / "secret.npz", FRAMES)
    (root / "link.npz").symlink_to(outside / "secret.npz")
    (root / "folder").symlink_to(outside, target_is_directory=True)
    with pytest.raises(DataError, match=r"must lie under the datasets root .*: name the root that holds it"):
        read_frames(root, path.format(outside=outside), [0])


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    write_npz(tmp_path / "real" / "a.npz", FRAMES)
    (tmp_path / "root").symlink_to(tmp_path / "real", target_is_directory=True)
    assert read_frames(tmp_path / "root", "a.npz", [0]).shape == (1, 2, 2, 3)


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"frames file `a.txt` must end in one of .npz, .mp4, .*, but ends in `.txt`"):
        read_frames(tmp_path, "a.txt", [0])
