from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rfm.errors import DataError
from rfm.frames.npz.file import read_npz_frames
from rfm.frames.pictures import decode_picture
from rfm.frames.video.decoding import read_frames_at, read_video
from rfm.ingest.hdf5.file import opened as open_hdf5
from rfm.ingest.reading import opened_parquet
from rfm.ingest.sources.tfrecord import opened as open_tfrecord
from rfm.trajectories.arrow_files import open_table
from rfm.trajectories.npz_header import npz_frames_shape

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n"


def _entered(opening: Callable[[Path], object]) -> Callable[[Path], None]:
    def enter(path: Path) -> None:
        with opening(path):  # type: ignore[attr-defined]
            pass

    return enter


@pytest.mark.parametrize(
    "read",
    [
        read_video,
        lambda path: read_frames_at(path, np.zeros(1), 1.0),
        opened_parquet,
        _entered(open_hdf5),
        _entered(open_tfrecord),
        npz_frames_shape,
        lambda path: read_npz_frames(path, [0]),
        open_table,
        lambda path: decode_picture(path.read_bytes(), str(path)),
    ],
)
def test_a_pointer_says_how_to_fetch_what_it_stands_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(POINTER)
    with pytest.raises(DataError, match=r"data\.bin must .* is a Git LFS pointer to .*: run `git lfs pull`"):
        read(path)
