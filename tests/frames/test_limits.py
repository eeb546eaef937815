"""What a frames file declares is held against the bounds before memory is taken, whatever its form."""

import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from bombs import npy_header, write_black_video, write_declared_jpeg_npz, write_zeros_npz

from rfm.errors import DataError
from rfm.files import limits
from rfm.frames.kept import gathered
from rfm.frames.npz.file import check_checksums, npz_frames_shape, read_npz_frames, write_npz
from rfm.frames.reader import read_frames
from rfm.frames.video.decoding import decode_video, read_video_frames


def peak_of(read):
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_frame_of_too_many_pixels(tmp_path):
    write_zeros_npz(tmp_path / "a.npz", (1, 9_000, 8_000, 3))
    assert (tmp_path / "a.npz").stat().st_size < 2_000_000
    for read in (npz_frames_shape, lambda path: read_npz_frames(path, [0])):
        with pytest.raises(
            DataError, match=r"a.npz must have at most 67108864 pixels a frame, but declares 8000 x 9000"
        ):
            read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 65500, 65500, 3), "must have at most 67108864 pixels a frame, but declares 65500 x 65500"),
        ((1, 2**62, 2**62, 3), "must have at most 67108864 pixels a frame, but declares 4611686018427387904 x 4611686"),
        ((2**62, 8, 8, 3), "must have at most 4194304 frames, but declares 4611686018427387904"),
        ((2**40, 8, 8, 3), "must have at most 4194304 frames, but declares 1099511627776"),
        ((2, 8, 8, 3), "`offsets` in .* must be 3 integers, but is int64 of shape"),
        ((1, 8, 8, 4), r"must have shape \(T, H, W, 3\)"),
        ((1, 8, -8, 3), r"must have shape \(T, H, W, 3\), each at least 1"),
    ],
)
def test_a_jpeg_whose_shape_says_anything(tmp_path, shape, said):
    write_declared_jpeg_npz(tmp_path / "a.npz", shape)
    for read in (npz_frames_shape, lambda path: read_npz_frames(path, [0])):
        if read is npz_frames_shape and shape == (2, 8, 8, 3):
            continue  # the shape is one; that the pictures are others is found where they are looked for
        with pytest.raises(DataError, match=said):
            read(tmp_path / "a.npz")


def test_one_picture_of_a_jpeg_file_that_is_a_gigabyte(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_PICTURE_BYTES", 1000)
    write_declared_jpeg_npz(tmp_path / "a.npz", (1, 8, 8, 3), bytes(2000))
    with pytest.raises(DataError, match=r"a picture in .*a.npz must take at most 1000 bytes, but takes 2000"):
        read_npz_frames(tmp_path / "a.npz", [0])


@pytest.mark.parametrize("form", ["stored", "compressed", "jpeg"])
def test_too_many_frames_are_refused_before_they_are_read(tmp_path, form):
    write_npz(tmp_path / "a.npz", np.zeros((2, 64, 64, 3), np.uint8), form)
    most = limits.MOST_KEPT // (64 * 64 * 3)
    with pytest.raises(
        DataError,
        match=rf"the frames read of .*a.npz must take at most 1073741824 bytes, but {most + 1} of 64 x 64 take "
        r"1073750016: ingest the recordings with --shortest_side, or show fewer frames",
    ):
        read_frames(tmp_path, "a.npz", [0, 1] * ((most + 1) // 2) + [0] * ((most + 1) % 2))


def test_a_million_indices_of_a_video(tmp_path):
    write_black_video(tmp_path / "a.mp4", 3, 64, 64)
    with pytest.raises(DataError, match=r"a.mp4 must take at most 1073741824 bytes, but 1000000 of 64 x 64 take"):
        read_frames(tmp_path, "a.mp4", [0, 2] * 500_000)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_frames_in_fortran_order_are_read_by_columns(tmp_path, save):
    frames = np.random.default_rng(0).integers(0, 9, (300, 60, 80, 3), np.uint8)
    save(tmp_path / "a.npz", frames=np.asfortranarray(frames))
    np.testing.assert_array_equal(read_npz_frames(tmp_path / "a.npz", [7, 299, 0, 7]), frames[[7, 299, 0, 7]])
    np.testing.assert_array_equal(read_npz_frames(tmp_path / "a.npz", [1], lambda h, w: (h, w))[0], frames[1])
    assert peak_of(lambda: read_npz_frames(tmp_path / "a.npz", [7, 299])) < frames.nbytes / 10


def test_fortran_order_of_frames_too_large_together(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_PICTURE_BYTES", 1000)
    write_zeros_npz(tmp_path / "a.npz", (20, 80, 1, 3), fortran=True)
    with pytest.raises(DataError, match=r"a column of pixels of all frames in .* must take at most 1000 bytes, but ta"):
        read_npz_frames(tmp_path / "a.npz", [0])


@pytest.mark.parametrize("form", ["stored", "compressed", "jpeg"])
def test_frames_are_brought_to_their_size_one_by_one(tmp_path, form):
    frames = np.random.default_rng(0).integers(0, 255, (40, 240, 320, 3), np.uint8)
    write_npz(tmp_path / "a.npz", frames, form)
    small = read_npz_frames(tmp_path / "a.npz", range(40), lambda h, w: (h // 10, w // 10))
    assert small.shape == (40, 24, 32, 3)
    if form != "jpeg":
        np.testing.assert_allclose(small, frames.reshape(40, 24, 10, 32, 10, 3).mean(axis=(2, 4)), atol=1)
    read = peak_of(lambda: read_npz_frames(tmp_path / "a.npz", range(40), lambda h, w: (h // 10, w // 10)))
    assert read < small.nbytes + 8 * frames[0].nbytes


def test_no_frame_is_held_twice(tmp_path):
    frames = np.zeros((30, 200, 200, 3), np.uint8)
    assert peak_of(lambda: gathered(iter(frames), 30, "it")) < 1.2 * frames.nbytes
    write_npz(tmp_path / "a.npz", frames)
    assert peak_of(lambda: read_npz_frames(tmp_path / "a.npz", range(30))) < 1.2 * frames.nbytes
    write_black_video(tmp_path / "a.mp4", 30, 200, 200)
    assert peak_of(lambda: read_video_frames(tmp_path / "a.mp4", range(30))) < 1.3 * frames.nbytes
    assert peak_of(lambda: decode_video(tmp_path / "a.mp4", 30, lambda h, w: (h // 2, w // 2))) < 0.5 * frames.nbytes


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_arrays_packed_by_other_methods(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("frames.npy", npy_header((1, 8, 8, 3)) + bytes(192))
    with pytest.raises(DataError, match=r"`frames` in .*a.npz must be stored or deflated, but is packed by method 1"):
        npz_frames_shape(tmp_path / "a.npz")


def test_a_header_of_gigabytes(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("frames.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b" " * 100_000)
    with pytest.raises(DataError, match=r"`frames` in .* must have a header of at most 10000 bytes, but has a longer"):
        npz_frames_shape(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("dtype", "said"),
    [("<f4", "must be uint8, but is float32"), ("|b1", "must be uint8, but is bool"), ("|i1", "but is int8")],
)
def test_what_no_reader_takes_has_no_shape_either(tmp_path, dtype, said):
    size = np.dtype(dtype).itemsize
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("frames.npy", npy_header((1, 8, 8, 3), dtype) + bytes(192 * size))
    with pytest.raises(DataError, match=said):
        npz_frames_shape(tmp_path / "a.npz")


def test_a_machine_without_the_memory(tmp_path, monkeypatch):
    """Within the bounds, and yet too large here: an error of this file, which the others go on after."""
    write_npz(tmp_path / "a.npz", np.zeros((2, 8, 8, 3), np.uint8))

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(np, "empty", full)
    with pytest.raises(DataError, match=r"the frames of .*a.npz must fit in this machine's memory, but there is"):
        read_frames(tmp_path, "a.npz", [0])


@pytest.mark.parametrize("form", ["stored", "compressed", "jpeg"])
def test_a_flipped_byte_does_not_fit_the_checksum(tmp_path, form):
    path = tmp_path / "a.npz"
    write_npz(path, np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8), form)
    check_checksums(path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(
        DataError, match=r"`(frames|jpeg)` in .*a.npz must fit its checksum|must be a readable .npz, but"
    ):
        check_checksums(path)
