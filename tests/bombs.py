"""Small files that declare much, and a program that reads them under a limit of memory.

`python bombs.py MEGABYTES COMMAND...` runs an `rfm` command that may take so much address space beyond what Python and
the command's libraries have taken; whoever takes more gets a MemoryError, whatever machine this is.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import av
import h5py  # noqa: F401 - counted among the libraries, as av is
import numpy as np
import pyarrow as pa
from patience import PATIENCE

from rfm.cli import main
from rfm.command_table import COMMANDS
from rfm.commands import function_of, options_of


def npy_header(shape: tuple[int, ...], dtype: str = "|u1", fortran: bool = False) -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text + b"\n"


def write_zeros_npz(path: Path, shape: tuple[int, ...], fortran: bool = False) -> None:
    """A compressed .npz of that many zeros, a thousandth of their size, written without holding them."""
    left = int(np.prod(shape))
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("frames.npy", "w", force_zip64=True) as stream,
    ):
        stream.write(npy_header(shape, fortran=fortran))
        while left > 0:
            stream.write(bytes(min(left, 2**22)))
            left -= 2**22


def write_declared_jpeg_npz(path: Path, shape: tuple[int, ...], image: bytes = b"\xff\xd8\xff") -> None:
    """A .npz of one JPEG, whose `shape` says anything."""
    np.savez(
        path, jpeg=np.frombuffer(image, np.uint8), offsets=np.array([0, len(image)]), shape=np.array(shape, np.int64)
    )


def large_png(side: int) -> bytes:
    """A black picture of that side, written without holding it: a thousandth of its pixels' size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(1 + 3 * side)) for _ in range(side)) + packer.flush()
    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def write_black_video(path: Path, count: int, height: int, width: int) -> None:
    """A black H.264 video: some kB, whatever its size."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        frame = av.VideoFrame(width, height, "yuv420p")
        for at, plane in enumerate(frame.planes):
            plane.update(bytes([16 if at == 0 else 128]) * plane.buffer_size)
        for at in range(count):
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def swell(file: Path, column: str, times: int = 64, size: int = 2**26, codec: str = "zstd") -> None:
    """Write an Arrow stream anew: its first row so many times, with a text of that size, packed to almost nothing."""
    first = pa.ipc.open_stream(file.read_bytes()).read_all().slice(0, 1)
    place = first.column_names.index(column)
    large = first.set_column(place, first.schema.field(column), [pa.array(["a" * size], first.schema.types[place])])
    with pa.OSFile(str(file), "wb") as sink:
        options = pa.ipc.IpcWriteOptions(compression=codec)
        with pa.ipc.new_stream(sink, first.schema, options=options) as writer:
            for _ in range(times):
                writer.write_table(large)


def run_within(megabytes: int, *words: object) -> tuple[int, str]:
    """Run an `rfm` command in a process of its own under a limit of memory: its status, and what it wrote."""
    command = [sys.executable, __file__, str(megabytes), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    return done.returncode, done.stdout + done.stderr


def _main(megabytes: int, words: list[str]) -> None:
    for name in COMMANDS:
        if tuple(words[: len(name)]) == name:
            options_of(name), function_of(name)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 2**20,) * 2)
    main(words)


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
