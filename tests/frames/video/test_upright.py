import json
import shutil
import subprocess
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from marked_frames import CORNERS, HEIGHT, UPRIGHT, WIDTH, frame, number, numbers, orientation, set_matrix, write_marked
from robot_datasets import SHARED

from rfm.errors import DataError
from rfm.frames.video.decoding import decode_video, read_frames_at, read_video, read_video_frames
from rfm.frames.video.upright import displayed

FOUND = SHARED / "found" / "videos" / "orient"
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program ffmpeg is not here")
QUARTERS = [(a, 0, 0, d) for a, d in product((1, -1), repeat=2)] + [(0, b, c, 0) for b, c in product((1, -1), repeat=2)]
"""The eight ways to turn and mirror a picture."""


def by_ffmpeg(path: Path) -> np.ndarray:
    """All frames as ffmpeg writes them."""
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_frames", "-of", "json", str(path)]
    stored = json.loads(subprocess.run(probe, check=True, capture_output=True).stdout)["frames"]
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(path),
        "-vsync",
        "0",
        "-pix_fmt",
        "rgb24",
        "-f",
        "image2pipe",
        "-c:v",
        "ppm",
        "-",
    ]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    width, height = map(int, data.split(b"\n", 2)[1].split())
    header = len(f"P6\n{width} {height}\n255\n")
    pictures = np.frombuffer(data, np.uint8).reshape(len(stored), -1)[:, header:]
    return pictures.reshape(-1, height, width, 3)


def placed(matrix: tuple[int, ...]) -> str:
    """Where a display matrix puts the corners, by its definition: pixel by pixel."""
    a, b, c, d = matrix
    corners = {(x, y): name for (x, y), name in zip(product((-1, 1), repeat=2), ("tl", "bl", "tr", "br"), strict=True)}
    shown = {(a * x + c * y, b * x + d * y): name for (x, y), name in corners.items()}
    return " ".join(shown[at] for at in ((-1, -1), (1, -1), (-1, 1), (1, 1)))


@pytest.mark.parametrize("matrix", QUARTERS)
def test_display_matrices_turn_and_mirror(tmp_path: Path, matrix: tuple[int, ...]) -> None:
    path = write_marked(tmp_path / "a.mp4", 3)
    set_matrix(path, *matrix)
    whole = read_video(path)[0]
    assert whole.shape[1:3] == ((HEIGHT, WIDTH) if matrix[0] else (WIDTH, HEIGHT))
    assert {orientation(pixels) for pixels in whole} == {placed(matrix)}
    assert np.array_equal(read_video_frames(path, [2]), whole[2:])
    assert np.array_equal(read_frames_at(path, np.array([0.1]), 0.05), whole[1:2])


@needs_ffmpeg
@pytest.mark.parametrize("matrix", QUARTERS)
def test_orientation_is_ffmpegs(tmp_path: Path, matrix: tuple[int, ...]) -> None:
    path = write_marked(tmp_path / "a.mp4", 3)
    set_matrix(path, *matrix)
    theirs = by_ffmpeg(path)
    if matrix in ((1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)) and orientation(theirs[0]) != placed(matrix):
        pytest.skip("this ffmpeg leaves mirrored matrices of no or a quarter turn half done, as newer ones do not")
    assert orientation(read_video(path)[0][0]) == orientation(theirs[0])


@pytest.mark.parametrize("slant", [0.005, -0.01])
def test_a_slip_of_less_than_a_degree_is_none(tmp_path: Path, slant: float) -> None:
    path = write_marked(tmp_path / "a.mp4", 1)
    set_matrix(path, 1, slant, -slant, 1)
    assert number(read_video(path)[0][0]) == 0


def test_slants_are_refused(tmp_path: Path) -> None:
    path = write_marked(tmp_path / "a.mp4", 1)
    set_matrix(path, 0.866, 0.5, -0.5, 0.866)
    with pytest.raises(DataError, match=r"a.mp4 must be shown straight or turned by quarters, but its display matrix"):
        read_video(path)


def test_a_matrix_without_extent_turns_nothing() -> None:
    assert np.array_equal(displayed(frame(5), bytes(36), "it"), frame(5))


@pytest.mark.parametrize(("suffix", "options"), [("mkv", "rotate=90"), ("ts", "flip=horizontal")])
def test_h264_that_says_its_orientation_itself(tmp_path: Path, suffix: str, options: str) -> None:
    from av.bitstream import BitStreamFilterContext

    write_marked(tmp_path / "plain.mp4", 3)
    path = tmp_path / f"a.{suffix}"
    with av.open(str(tmp_path / "plain.mp4")) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        turn = BitStreamFilterContext(
            f"h264_metadata=display_orientation=insert:{options}", source.streams.video[0], stream
        )
        for packet in source.demux(video=0):
            for turned in turn.filter(packet if packet.size else None):
                turned.stream = stream
                target.mux(turned)
    whole = read_video(path)[0]
    assert {orientation(pixels) for pixels in whole} == {"tr br tl bl" if "rotate" in options else "tr tl br bl"}


@needs_ffmpeg
def test_an_edit_list_shows_what_ffmpeg_shows(tmp_path: Path) -> None:
    whole, path = write_marked(tmp_path / "whole.mp4", 12), tmp_path / "cut.mp4"
    cut = ["ffmpeg", "-v", "error", "-ss", "0.35", "-i", str(whole), "-c", "copy", str(path)]
    subprocess.run(cut, check=True)
    video = decode_video(path, 64)
    assert numbers(video.frames) == numbers(by_ffmpeg(path)) == list(range(4, 12))
    assert video.times is not None
    assert video.times.tolist() == pytest.approx([at / 7 for at in range(8)])


PHONES = {
    "plain": UPRIGHT,
    "rot90": "bl tl br tr",
    "rot180": "br bl tr tl",
    "rot270": "tr br tl bl",
    "hflip": "tr tl br bl",
}


@pytest.mark.skipif(not FOUND.is_dir(), reason="the recordings of phones are not here")
@pytest.mark.parametrize("name", PHONES)
def test_phones(name: str) -> None:
    whole = decode_video(FOUND / f"{name}.mp4", 64).frames
    assert {orientation(pixels) for pixels in whole} == {PHONES[name]}
    undone = {"rot90": np.rot90(whole, 1, (1, 2)), "rot180": whole[:, ::-1, ::-1], "hflip": whole[:, :, ::-1]}
    upright = undone.get(name, np.rot90(whole, -1, (1, 2)) if name == "rot270" else whole)
    assert numbers(upright) == list(range(12))


COLOURS = [
    ("libx264", "yuv420p", 1, 1),
    ("libx264", "yuv420p", 1, 2),
    ("libx264", "yuv420p", 6, 1),
    ("libx264", "yuv420p", 7, 1),
    ("libx264", "yuv420p", 9, 1),
    ("libx264", "yuv420p10le", 1, 1),
    ("libx264", "yuvj420p", 5, 2),
    ("libvpx-vp9", "yuv420p", 1, 2),
    ("ffv1", "yuv444p", 1, 1),
    ("ffv1", "bgra", 0, 2),
    ("mjpeg", "yuvj420p", 5, 2),
    ("png", "rgb24", 0, 2),
    ("png", "rgba", 0, 2),
    ("mpeg4", "yuv420p", 2, 0),
]
LUMA = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 5: (0.299, 0.114), 2: (0.299, 0.114), 7: (0.212, 0.087)}
LUMA[9] = (0.2627, 0.0593)
"""Weights of red and blue in the brightness, by FFmpeg's number of the colour space (ITU-T H.273, table 4)."""


def encoded(space: int, full: bool) -> dict[tuple[int, ...], tuple[int, ...]]:
    """The corner colours as Y, Cb, Cr by the formula of H.273."""
    red, blue = LUMA[space]
    result = {}
    for colour in CORNERS.values():
        r, g, b = (value / 255 for value in colour)
        y = red * r + (1 - red - blue) * g + blue * b
        cb, cr = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
        scale = (255, 0, 255) if full else (219, 16, 224)
        result[colour] = tuple(round(v) for v in (scale[1] + scale[0] * y, 128 + scale[2] * cb, 128 + scale[2] * cr))
    return result


def fields(colours: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Four fields of 32 x 32 pixels."""
    return np.array(colours, np.uint8).reshape(2, 2, 3).repeat(32, axis=0).repeat(32, axis=1)


def coloured(pixels: str, space: int, full: bool) -> av.VideoFrame:
    """The corner colours, converted by the formula and not by the library under test."""
    if not pixels.startswith("yuv"):
        return av.VideoFrame.from_ndarray(fields(list(CORNERS.values())), format="rgb24").reformat(format=pixels)
    planes = np.ascontiguousarray(fields(list(encoded(space, full).values())).transpose(2, 0, 1))
    if pixels == "yuv444p":
        return av.VideoFrame.from_ndarray(planes, format="yuv444p")
    if pixels == "yuv420p10le":
        deep = planes.transpose(1, 2, 0).astype(np.uint16) << 8
        return av.VideoFrame.from_ndarray(deep, format="yuv444p16le").reformat(format=pixels)
    halved = np.concatenate([planes[0].ravel(), planes[1, ::2, ::2].ravel(), planes[2, ::2, ::2].ravel()])
    return av.VideoFrame.from_ndarray(halved.reshape(96, 64), format=pixels)


def write_colours(path: Path, codec: str, pixels: str, space: int, spread: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"crf": "4"} if codec.startswith("lib") else {})
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 64, 64, pixels, 8_000_000
        stream.codec_context.colorspace, stream.codec_context.color_range = space, spread
        picture = coloured(pixels, space, spread == 2)
        picture.colorspace, picture.color_range, picture.pts = space, spread, 0
        for packet in [*stream.encode(picture), *stream.encode()]:
            container.mux(packet)


@pytest.mark.parametrize(("codec", "pixels", "space", "spread"), COLOURS)
def test_colours(tmp_path: Path, codec: str, pixels: str, space: int, spread: int) -> None:
    path = tmp_path / ("a.mov" if codec == "png" else "a.mkv")
    write_colours(path, codec, pixels, space, spread)
    picture = read_video(path)[0][0]
    for at, colour in enumerate(CORNERS.values()):
        seen = picture[at // 2 * 32 + 16, at % 2 * 32 + 16].astype(int)
        assert np.abs(seen - colour).max() <= 6, (colour, seen)
    if shutil.which("ffmpeg"):
        assert np.abs(picture[16::32, 16::32].astype(int) - by_ffmpeg(path)[0][16::32, 16::32]).max() <= 2


def test_depth_is_no_colour(tmp_path: Path) -> None:
    path = write_marked(tmp_path / "a.mkv", 1, codec="ffv1", pixels="gray16le")
    with pytest.raises(DataError, match=r"a.mkv must be in colour or 8 bits of grey, but is gray16le, as depth maps"):
        read_video(path)
    grey = read_video(write_marked(tmp_path / "b.mkv", 1, codec="ffv1", pixels="gray"))[0][0]
    assert np.array_equal(grey, np.repeat(grey[..., :1], 3, axis=2))
    assert grey[HEIGHT // 2, 4, 0] == pytest.approx(20, abs=1)
