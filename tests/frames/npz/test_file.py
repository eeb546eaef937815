import contextlib
import io
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from rfm.errors import ConfigError, DataError
from rfm.frames.npz.file import FORMS, npz_frames_shape, npz_member_shape, read_npz_frames, write_npz


def clip(count: int = 6, height: int = 16, width: int = 24) -> np.ndarray:
    """Frames with a smooth gradient (JPEG keeps it) and a grey level that tells them apart."""
    rows = np.linspace(0, 40, height)[:, None, None] + np.linspace(0, 40, width)[None, :, None]
    levels = 20 * np.arange(count)[:, None, None, None]
    return np.broadcast_to(rows + levels, (count, height, width, 3)).astype(np.uint8)


def save_zip(path: Path, name: str, data: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, data)


def header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}".encode()
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("form", FORMS)
def test_reads_what_it_wrote(tmp_path: Path, form: str) -> None:
    path, frames = tmp_path / "a.npz", clip()
    write_npz(path, frames, form)
    indices = [5, 0, 3, 3, 0]
    read = read_npz_frames(path, indices)
    assert read.dtype == np.uint8
    assert read.flags.writeable
    assert npz_frames_shape(path) == frames.shape
    difference = np.abs(read.astype(int) - frames[indices])
    assert difference.max() <= (3 if form == "jpeg" else 0)
    assert read_npz_frames(path, []).shape == (0, 16, 24, 3)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(form=st.sampled_from(["stored", "compressed"]), indices=st.lists(st.integers(0, 5), max_size=12))
def test_any_choice_of_frames(tmp_path: Path, form: str, indices: list[int]) -> None:
    path = tmp_path / f"{form}.npz"
    if not path.exists():
        write_npz(path, clip(), form)
    np.testing.assert_array_equal(read_npz_frames(path, indices), clip()[np.array(indices, dtype=int)])


@pytest.mark.parametrize("form", FORMS)
def test_same_frames_same_bytes(tmp_path: Path, form: str) -> None:
    for name in ("one.npz", "two.npz"):
        write_npz(tmp_path / name, clip(), form)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "two.npz"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_numpy_files(tmp_path: Path, save: object, order: str) -> None:
    frames = clip()
    save(tmp_path / "a.npz", frames=np.array(frames, order=order), shape=frames.shape, num_frames=6)  # type: ignore[operator]
    np.testing.assert_array_equal(read_npz_frames(tmp_path / "a.npz", np.array([4, 1])), frames[[4, 1]])
    assert npz_member_shape(tmp_path / "a.npz", "frames") == frames.shape


def test_numpy_reads_ours(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", clip())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as loaded:
        np.testing.assert_array_equal(loaded["frames"], clip())
        assert loaded["shape"].tolist() == [6, 16, 24, 3]
        assert loaded["num_frames"] == 6


@pytest.mark.parametrize("form", FORMS)
def test_index_out_of_range(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.npz"
    write_npz(path, clip(), form)
    with pytest.raises(DataError) as caught:
        read_npz_frames(path, [0, 1, 6])
    assert str(caught.value) == f"`frame_indices[2]` must be < 6 (frames in {path}), but is 6"
    with pytest.raises(DataError, match=r"`frame_indices\[0\]` must be >= 0, but is -1"):
        read_npz_frames(path, [-1])


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"frames file .*a.npz must exist, but does not"):
        read_npz_frames(tmp_path / "a.npz", [0])


@pytest.mark.parametrize("form", FORMS)
def test_truncated_file(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.npz"
    write_npz(path, clip(), form)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"must be a readable .npz, but reading it gives: File is not a zip file"):
        read_npz_frames(path, [0])


def test_pickled_array_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", frames=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"`frames` in .* must hold numbers, but is a pickled array"):
        read_npz_frames(tmp_path / "a.npz", [0])


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), "`frames` in .* must be uint8, but is float32"),
        (np.zeros((4, 4, 3), np.uint8), r"must have shape \(T, H, W, 3\), each at least 1, but have \(4, 4, 3\)"),
        (np.zeros((2, 4, 4, 1), np.uint8), r"must have shape \(T, H, W, 3\)"),
        (np.zeros((0, 4, 4, 3), np.uint8), r"must have shape \(T, H, W, 3\)"),
    ],
)
def test_wrong_type_or_shape(tmp_path: Path, array: np.ndarray, text: str) -> None:
    np.savez(tmp_path / "a.npz", frames=array)
    with pytest.raises(DataError, match=text):
        read_npz_frames(tmp_path / "a.npz", [0])


def test_missing_array_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pixels=np.zeros(3), shape=np.zeros(4))
    with pytest.raises(DataError, match=r"must hold an array `frames`, but holds pixels, shape"):
        read_npz_frames(tmp_path / "a.npz", [0])


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_declared_size_is_checked_before_memory_is_taken(tmp_path: Path, compression: int) -> None:
    save_zip(tmp_path / "a.npz", "frames.npy", header((1000, 1000, 1000, 3)) + bytes(10_000), compression)
    text = r"`frames` in .* must fill its 10128 bytes, but uint8 of shape \(1000, 1000, 1000, 3\) takes 3000000128"
    with pytest.raises(DataError, match=text):
        read_npz_frames(tmp_path / "a.npz", [0])


def test_member_larger_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save_zip(path, "frames.npy", header((1000, 100, 100, 3)) + bytes(3000), zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (30_000_128).to_bytes(4, "little")  # uncompressed size in the directory
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"must fit in the file \(\d+ bytes\), but declares 30000128 bytes"):
        read_npz_frames(path, [0])


def test_jpeg_offsets_and_sizes_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_npz(path, clip(), "jpeg")
    arrays = dict(np.load(path))
    np.savez(path, **(arrays | {"offsets": arrays["offsets"][::-1]}))
    with pytest.raises(DataError, match=r"`offsets` in .* must rise from 0 to \d+ \(bytes in `jpeg`\), but do not"):
        read_npz_frames(path, [0])
    np.savez(path, **(arrays | {"shape": np.array([6, 9000, 24, 3])}))
    with pytest.raises(DataError, match=r"frame 0 in .* must be 9000 x 24 as `shape` says, but is 16 x 24"):
        read_npz_frames(path, [0])
    np.savez(path, **(arrays | {"jpeg": np.zeros_like(arrays["jpeg"])}))
    with pytest.raises(DataError, match=r"frame 2 in .* must be a JPEG image"):
        read_npz_frames(path, [2])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(form=st.sampled_from(sorted(FORMS)), place=st.floats(0, 1), value=st.integers(0, 255), cut=st.booleans())
def test_damage_gives_a_data_error_or_frames(tmp_path: Path, form: str, place: float, value: int, cut: bool) -> None:
    whole = tmp_path / f"{form}-whole.npz"
    if not whole.exists():
        write_npz(whole, clip(3, 4, 4), form)
    data = bytearray(whole.read_bytes())
    at = int(place * (len(data) - 1))
    data[at] = value
    (tmp_path / "damaged.npz").write_bytes(data[:at] if cut else data)
    with contextlib.suppress(DataError):  # any other exception, or a crash, fails
        assert len(read_npz_frames(tmp_path / "damaged.npz", [0, 2])) == 2


def test_writing_refuses_what_are_no_frames(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be uint8 of shape \(T, H, W, 3\), but are float64 of shape \(2, 2\)"):
        write_npz(tmp_path / "a.npz", np.zeros((2, 2)))
    with pytest.raises(ConfigError, match="`form` must be one of stored, compressed, jpeg, but is `zip`"):
        write_npz(tmp_path / "a.npz", clip(), "zip")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_was_written_anew_is_looked_at_again(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.npz"
    write_npz(path, clip(), form)
    assert read_npz_frames(path, [5]).shape == (1, 16, 24, 3)
    write_npz(path, clip(3, 32, 16), form)
    assert read_npz_frames(path, [2]).shape == (1, 32, 16, 3)
    with pytest.raises(DataError, match=r"must be < 3 \(frames in"):
        read_npz_frames(path, [5])


def test_images_in_a_compressed_file(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", clip(), "jpeg")
    np.savez_compressed(tmp_path / "b.npz", **dict(np.load(tmp_path / "a.npz")))
    for indices in ([0, 5], [4, 4, 1]):
        np.testing.assert_array_equal(
            read_npz_frames(tmp_path / "b.npz", indices), read_npz_frames(tmp_path / "a.npz", indices)
        )


def test_images_are_decoded_as_pillow_decodes_them(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)
    write_npz(tmp_path / "a.npz", frames, "jpeg")
    with np.load(tmp_path / "a.npz") as arrays:
        images = [arrays["jpeg"][a:b].tobytes() for a, b in pairwise(arrays["offsets"])]
    expected = np.stack([np.asarray(Image.open(io.BytesIO(image))) for image in images])
    np.testing.assert_array_equal(read_npz_frames(tmp_path / "a.npz", range(3)), expected)
