"""What an .npz says about its arrays, read without inflating any: name, shape, type, and where the bytes lie.

Costs two small reads (the zip's directory at the end, the .npy header at the member's start), whatever the size of the
frames. Everything the file declares is checked against what it holds before anyone reserves memory for it: the shape
against the member's size, the member's size against its compressed size (deflate shrinks at most 1032 times) and
against the file; frames' counts and sizes against `rfm.files.limits` too. Pickled arrays are refused by their type
alone.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from jaxtyping import Int64

from rfm.errors import DataError
from rfm.files.lfs import check_fetched
from rfm.files.limits import check_count, check_pixels

_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, KeyError, RuntimeError)
_BROKEN_NPY = (OSError, EOFError, ValueError, struct.error)

_DEFLATE_LIMIT = 1032
_LONGEST_HEADER = 10_000
"""Bytes; numpy reads no longer one either."""
_LOCAL_HEADER = 30
RGB = (3,)
"""Channels of the frames of a dataset."""
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class NpzMember:
    """One array of an .npz: `offset` is the place of its first value in the file if stored, None if compressed."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran_order: bool
    header_size: int
    offset: int | None

    @property
    def num_bytes(self) -> int:
        """Size of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def npz_member_shape(path: Path, name: str) -> tuple[int, ...]:
    """The shape of array `name`, from its header; DataError where it can't be read."""
    return reading(path, lambda archive: npz_member(archive, path, name)).shape


def npz_frames_shape(path: Path, channels: Collection[int] = RGB) -> tuple[int, int, int, int]:
    """(T, H, W, 3) of the frames in any of the three forms, without inflating or decoding one.

    `channels` are what the last of them may be of an array `frames`.
    """
    return reading(path, lambda archive: frames_shape(archive, path, channels))


def reading(path: Path, read: Callable[[zipfile.ZipFile], _Result]) -> _Result:
    """`read(archive)` on the open .npz, with anything that is broken in it raised as a DataError naming the file."""
    with broken_is_data_error(path), zipfile.ZipFile(path) as archive:
        return read(archive)


@contextmanager
def broken_is_data_error(path: Path) -> Iterator[None]:
    """Raise what reading a broken .npz gives as a DataError that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"frames file {path} must exist, but does not") from error
    except (*_BROKEN_ZIP, *_BROKEN_NPY) as error:
        check_fetched(path)
        reason = str(error) or type(error).__name__
        raise DataError(f"{path} must be a readable .npz, but reading it gives: {reason}") from error


def npz_member(archive: zipfile.ZipFile, path: Path, name: str) -> NpzMember:
    """The description of array `name`, checked against the sizes in the archive."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        held = ", ".join(Path(entry).stem for entry in archive.namelist()[:8]) or "nothing"
        raise DataError(f"{path} must hold an array `{name}`, but holds {held}") from None
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"`{name}` in {path} must be stored or deflated, but is packed by method {info.compress_type}")
    with archive.open(info) as stream:
        shape, fortran_order, dtype = npy_header(stream, f"`{name}` in {path}")
        header_size = stream.tell()
    member = NpzMember(name, shape, dtype, fortran_order, header_size, _offset(archive, info, header_size))
    _check_sizes(member, info, path)
    return member


def frames_shape(archive: zipfile.ZipFile, path: Path, channels: Collection[int] = RGB) -> tuple[int, int, int, int]:
    """(T, H, W, 3): the header's for an array `frames`, the values of `shape` for JPEG."""
    names = archive.namelist()
    if "frames.npy" not in names and "jpeg.npy" in names:
        shape, channels = tuple(int(size) for size in small_array(archive, path, "shape", 4)), RGB
    else:
        member = npz_member(archive, path, "frames")
        shape = member.shape
        if member.dtype != np.uint8:
            raise DataError(f"`frames` in {path} must be uint8, but is {member.dtype}")
    if len(shape) != 4 or min(shape) < 1 or shape[3] not in channels:
        raise DataError(f"frames in {path} must have shape (T, H, W, 3), each at least 1, but have {shape}")
    check_count(shape[0], str(path))
    check_pixels(shape[1], shape[2], str(path))
    return shape[0], shape[1], shape[2], shape[3]


def small_array(archive: zipfile.ZipFile, path: Path, name: str, length: int) -> Int64[np.ndarray, "k"]:
    """The integers of a short one-dimensional array (`shape`, `offsets`), which must have `length` of them."""
    member = npz_member(archive, path, name)
    if member.shape != (length,) or member.dtype.kind not in "iu":
        raise DataError(f"`{name}` in {path} must be {length} integers, but is {member.dtype} of shape {member.shape}")
    with archive.open(f"{name}.npy") as stream:
        stream.read(member.header_size)
        data = stream.read(member.num_bytes)
    return np.frombuffer(data, dtype=member.dtype, count=length).astype(np.int64)


def npy_header(stream: IO[bytes], place: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, whether in Fortran order, and type of a .npy; DataError, calling it `place`, where it is a pickle.

    Whatever numpy says of a broken header comes as it is (`broken_is_data_error`).
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{place} must be in .npy format 1.0 or 2.0, but is in {version}")
    size = stream.read(2 if version == (1, 0) else 4)
    if int.from_bytes(size, "little") > _LONGEST_HEADER:
        raise DataError(f"{place} must have a header of at most {_LONGEST_HEADER} bytes, but has a longer one")
    header = io.BytesIO(size + stream.read(int.from_bytes(size, "little")))
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(header)
    if dtype.hasobject:
        raise DataError(f"{place} must hold numbers, but is a pickled array, which is never loaded")
    return shape, fortran_order, dtype


def _offset(archive: zipfile.ZipFile, info: zipfile.ZipInfo, header_size: int) -> int | None:
    if info.compress_type != zipfile.ZIP_STORED:
        return None
    stream = archive.fp
    if stream is None:
        raise ValueError("the archive is closed")
    stream.seek(info.header_offset)
    # The local header repeats name and extra field with lengths of its own; only they tell where the data starts.
    name_size, extra_size = struct.unpack("<HH", stream.read(_LOCAL_HEADER)[26:30])
    return int(info.header_offset) + _LOCAL_HEADER + int(name_size) + int(extra_size) + header_size


def _check_sizes(member: NpzMember, info: zipfile.ZipInfo, path: Path) -> None:
    declared = member.header_size + member.num_bytes
    if declared != info.file_size:
        raise DataError(
            f"`{member.name}` in {path} must fill its {info.file_size} bytes, but {member.dtype} of shape "
            f"{member.shape} takes {declared}"
        )
    on_disk = path.stat().st_size
    most = info.compress_size if member.offset is not None else info.compress_size * _DEFLATE_LIMIT + 64
    if info.compress_size > on_disk or info.file_size > most:
        raise DataError(
            f"`{member.name}` in {path} must fit in the file ({on_disk} bytes), but declares {info.file_size} bytes "
            f"in {info.compress_size}"
        )
