"""Frames whose number and orientation can be read back from the pixels, even after lossy coding, and videos of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CORNERS = {"tl": (200, 30, 30), "tr": (30, 200, 30), "bl": (30, 30, 200), "br": (220, 220, 30)}
UPRIGHT = "tl tr bl br"
HEIGHT, WIDTH = 48, 64


def frame(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Coloured corners, and 8 bits of the number as grey blocks in the middle."""
    pixels = np.full((height, width, 3), 110, np.uint8)
    pixels[:12, :16], pixels[:12, -16:] = CORNERS["tl"], CORNERS["tr"]
    pixels[-12:, :16], pixels[-12:, -16:] = CORNERS["bl"], CORNERS["br"]
    top, left = height // 2 - 4, width // 2 - 32
    for bit in range(8):
        pixels[top : top + 8, left + bit * 8 : left + bit * 8 + 8] = 235 if number >> bit & 1 else 20
    return pixels


def orientation(pixels: np.ndarray) -> str:
    """The corners found at the top left, top right, bottom left and bottom right."""
    at = (pixels[5, 7], pixels[5, -8], pixels[-6, 7], pixels[-6, -8])
    return " ".join(min(CORNERS, key=lambda name: ((one.astype(int) - CORNERS[name]) ** 2).sum()) for one in at)


def number(pixels: np.ndarray) -> int:
    """The number of a frame, which must be upright."""
    assert orientation(pixels) == UPRIGHT
    middle, left = pixels.shape[0] // 2, pixels.shape[1] // 2 - 32
    block = pixels[middle - 2 : middle + 2]
    return sum(1 << bit for bit in range(8) if block[:, left + bit * 8 + 2 : left + bit * 8 + 6].mean() > 127)


def numbers(frames: np.ndarray) -> list[int]:
    return [number(pixels) for pixels in frames]


def write_marked(
    path: Path,
    count: int = 12,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    milliseconds: Sequence[int] | None = None,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Path:
    """A video of marked frames, one each 100 ms or at the times given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = *size, pixels, 2_000_000
        stream.time_base = stream.codec_context.time_base = Fraction(1, 100 if codec == "gif" else 1000)
        stamps = [100 * at for at in range(count)] if milliseconds is None else milliseconds
        for at, stamp in enumerate(stamps):
            picture = av.VideoFrame.from_ndarray(frame(at, *size), format="rgb24").reformat(format=pixels)
            picture.pts, picture.time_base = round(stamp / 1000 / stream.time_base), stream.time_base
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def set_matrix(path: Path, a: float, b: float, c: float, d: float) -> None:
    """Give an mp4's first track a display matrix: stored (x, y) is shown at (a x + c y, b x + d y)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    fixed = [round(value * (1 << 16)) for value in (a, b, 0, c, d)]
    data[at : at + 20] = struct.pack(">5i", *fixed)
    path.write_bytes(data)
