"""Whatever people hand over as a clip is shown rightly, or refused with what to do about it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from marked_frames import frame, number, numbers, set_matrix, write_marked
from PIL import Image
from robot_datasets import SHARED
from serving.served import npy, npy_that_declares

from rfm.errors import DataError
from rfm.frames.npz.file import write_npz
from rfm.frames.resize import resize_frames
from rfm.ingest.episode import IngestOptions
from rfm.scoring.given_frames import is_clip, read_clip

FRAMES = np.stack([frame(at) for at in range(5)])


def as_jpeg(picture: np.ndarray, orientation: int) -> Image.Image:
    data, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(data, format="PNG", exif=exif)
    return Image.open(data)


@pytest.mark.parametrize(
    "given",
    [
        FRAMES,
        list(FRAMES),
        tuple(FRAMES),
        torch.from_numpy(FRAMES),
        [torch.from_numpy(one) for one in FRAMES],
        [Image.fromarray(one) for one in FRAMES],
        np.concatenate([FRAMES, np.full((*FRAMES.shape[:3], 1), 7, np.uint8)], axis=3),
        [Image.fromarray(one).convert("RGBA") for one in FRAMES],
        [as_jpeg(np.rot90(one), 6) for one in FRAMES],
        FRAMES[::-1][::-1],
    ],
    ids=["array", "list", "tuple", "tensor", "tensors", "pictures", "rgba", "rgba pictures", "turned", "view"],
)
def test_what_can_be_meant_in_one_way_is_taken_so(given: Any) -> None:
    assert is_clip(given)
    clip = read_clip(given)
    assert np.asarray(clip.frames).dtype == np.uint8
    assert np.array_equal(clip.frames, FRAMES)


def test_grey_with_an_axis_and_single_frames() -> None:
    grey = FRAMES.mean(axis=3, keepdims=True).astype(np.uint8)
    assert np.array_equal(read_clip(grey).frames, np.repeat(grey, 3, axis=3))
    assert np.array_equal(read_clip([Image.fromarray(one[..., 0]) for one in grey]).frames, np.repeat(grey, 3, axis=3))
    assert np.array_equal(read_clip(FRAMES[3]).frames, FRAMES[3:4])
    assert np.array_equal(read_clip(Image.fromarray(FRAMES[3])).frames, FRAMES[3:4])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (FRAMES.transpose(0, 3, 1, 2), "shape (5, 3, 48, 64); channels come first: give frames.transpose(0, 2, 3, 1)"),
        (torch.from_numpy(FRAMES).permute(0, 3, 1, 2), "channels come first"),
        (FRAMES[..., 0], "has shape (5, 48, 64); give grey frames as (t, h, w, 1)"),
        (FRAMES[0].transpose(2, 0, 1), "has shape (3, 48, 64); give grey frames as (t, h, w, 1)"),
        (FRAMES[..., :2], "has shape (5, 48, 64, 2); give RGB frames"),
        (FRAMES / np.float32(255), "must be uint8, from 0 to 255, but is float32; its values lie from 0.0784 to 0.922"),
        (FRAMES.astype(float), "is float64; its values lie from 20 to 235: bring them to whole numbers from 0 to 255"),
        (FRAMES.astype(np.int64), "is int64; its values lie from 20 to 235: bring them to whole numbers"),
        (FRAMES > 100, "is bool; give numbers"),
        (FRAMES[:0], "must hold at least one frame, but has shape (0, 48, 64, 3)"),
        (FRAMES[None], "has shape (1, 5, 48, 64, 3)"),
        ([], "must hold at least one frame, but is empty"),
        ([FRAMES[0], FRAMES[0, :40]], "must be of one size, but [0] has 64 x 48 pixels and [1] 64 x 40"),
        ([Image.fromarray(FRAMES[0, ..., 0].astype(np.int32))], "`frames`[0] must have colours of 8 bits, but is I"),
        (None, "must be an array of frames, a path or a list of pictures, but is NoneType"),
        ([FRAMES[0], None], "`frames`[1] must be an array of frames"),
        ("nowhere.mp4", "video nowhere.mp4 must exist, but does not"),
        ("nowhere.npz", "nowhere.npz"),
    ],
)  # fmt: skip
def test_what_could_be_meant_in_several_ways_is_refused(given: Any, text: str) -> None:
    with pytest.raises(DataError) as raised:
        read_clip(given)
    assert text in str(raised.value)


def test_lists_of_clips_are_told_from_lists_of_frames() -> None:
    assert not is_clip([FRAMES, FRAMES])
    assert not is_clip(["a.mp4", Path("b.mp4")])
    assert not is_clip([list(FRAMES), list(FRAMES)])
    assert not is_clip(FRAMES[None])
    assert not is_clip([])
    assert is_clip("a.mp4")


def test_files_are_read_as_ingest_reads_them(tmp_path: Path) -> None:
    video = read_clip(write_marked(tmp_path / "long.mp4", 100))
    assert len(video) == 64
    assert (number(video.frames[0]), number(video.frames[-1])) == (0, 99)
    assert video.seconds is not None
    assert video.seconds[[0, -1]] == pytest.approx([0, 9.9])
    few = read_clip(str(tmp_path / "long.mp4"), IngestOptions(max_frames=4))
    assert numbers(np.asarray(few.frames)) == [0, 33, 66, 99]
    write_npz(tmp_path / "stored.npz", FRAMES)
    assert np.array_equal(read_clip(tmp_path / "stored.npz").frames, FRAMES)
    for at, one in enumerate(FRAMES):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(one).save(tmp_path / "pictures" / f"{at}.png")
    assert np.array_equal(read_clip(tmp_path / "pictures").frames, FRAMES)


GREY = FRAMES[..., :1]
CLEAR = np.concatenate([FRAMES, GREY], axis=3)


@pytest.mark.parametrize("array", [FRAMES, GREY, CLEAR, FRAMES[3]], ids=["rgb", "grey", "transparent", "one"])
@pytest.mark.parametrize("order", [np.ascontiguousarray, np.asfortranarray])
def test_a_file_of_an_array_is_that_array(tmp_path: Path, array: np.ndarray, order: Any) -> None:
    wanted = read_clip(array)
    np.save(tmp_path / "a.npy", order(array))
    read = read_clip(tmp_path / "a.npy")
    assert np.array_equal(read.frames, wanted.frames)
    assert read.numbered(range(len(read))) == wanted.numbered(range(len(wanted)))
    for save in (np.savez, np.savez_compressed) if array.ndim == 4 else ():
        save(tmp_path / "a.npz", frames=order(array))
        assert np.array_equal(read_clip(tmp_path / "a.npz").frames, wanted.frames)


def test_of_an_npz_some_frames_are_read_in_the_size_that_is_asked_for_and_of_an_npy_all(tmp_path: Path) -> None:
    many = np.repeat(GREY, 20, axis=0)
    np.savez(tmp_path / "a.npz", frames=many)
    read = read_clip(tmp_path / "a.npz", IngestOptions(max_frames=4, height=24, width=32))
    assert read.numbered(range(4)) == (0, 33, 66, 99)
    shown = np.repeat(many[[0, 33, 66, 99]], 3, axis=3)
    assert np.array_equal(read.frames, resize_frames(shown, 24, 32))
    np.save(tmp_path / "a.npy", many)
    assert len(read_clip(tmp_path / "a.npy")) == 100


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (npy(FRAMES / 255.0), "a.npy must be uint8, from 0 to 255, but is float64"),
        (npy(np.array([FRAMES, None], object)), "a.npy must hold numbers, but is a pickled array, which is never"),
        (npy(FRAMES.transpose(0, 3, 1, 2)), "channels come first: give frames.transpose(0, 2, 3, 1)"),
        (npy(FRAMES[..., 0]), "give grey frames as (t, h, w, 1)"),
        (npy(FRAMES[None]), "a.npy must be uint8 of shape (t, h, w, 3), but has shape (1, 5, 48, 64, 3)"),
        (npy(FRAMES)[:-1], "a.npy must fill its 46079 bytes, but declares an array of shape (5, 48, 64, 3), which"),
        (npy_that_declares((10**6, 10**4, 10**4, 3)), "a.npy must fill its 0 bytes, but declares an array of shape"),
        (npy_that_declares((-1, 8, 8, 3)), "a.npy must"),
        (b"\x93NUMPY\x09\x00", "a.npy must be in .npy format 1.0 or 2.0, but is in (9, 0)"),
        (b"no array", "a.npy must be a readable .npy, but reading it gives"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a.npy must hold the data itself, but is a Git LFS pointer"),
        (None, "a.npy must exist, but does not"),
    ],
)  # fmt: skip
def test_an_npy_that_is_no_clip(tmp_path: Path, data: bytes | None, text: str) -> None:
    if data is not None:
        (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(DataError) as raised:
        read_clip(tmp_path / "a.npy")
    assert text in str(raised.value)


def test_an_array_that_takes_too_much_is_never_read(tmp_path: Path) -> None:
    path, count = tmp_path / "a.npy", 2**30 // (64 * 64 * 3) + 1
    path.write_bytes(npy_that_declares((count, 64, 64, 3)))
    os.truncate(path, path.stat().st_size + count * 64 * 64 * 3)  # a hole, which takes no place on the disk
    with pytest.raises(
        DataError, match=r"a\.npy must take at most 1073741824 bytes, but take 1073750016: save smaller"
    ):
        read_clip(path)


def test_a_recording_that_pauses_is_sampled_by_time_and_says_its_seconds(tmp_path: Path) -> None:
    stamps = [0, 100, 200, 300, 400, 500, 8500, 8600, 8700, 8800, 8900, 9000]
    clip = read_clip(write_marked(tmp_path / "pause.mkv", 12, milliseconds=stamps), IngestOptions(max_frames=10))
    assert numbers(np.asarray(clip.frames)) == [0, 5, 5, 5, 5, 5, 5, 5, 5, 11]
    assert clip.seconds is not None
    assert clip.seconds == pytest.approx(np.arange(10.0))


TURNS = {"90": (0, 1, -1, 0), "180": (-1, 0, 0, -1), "270": (0, -1, 1, 0), "mirrored": (-1, 0, 0, 1)}


@pytest.mark.parametrize("turn", TURNS)
def test_phone_videos_stand_upright(tmp_path: Path, turn: str) -> None:
    """The stored picture is the upright one turned back, so that the display matrix makes it upright."""
    a, b, c, d = TURNS[turn]
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stored = {"90": np.rot90(FRAMES, 1, (1, 2)), "180": FRAMES[:, ::-1, ::-1]}.get(turn)
        stored = {"270": np.rot90(FRAMES, -1, (1, 2)), "mirrored": FRAMES[:, :, ::-1]}.get(turn, stored)
        stream = container.add_stream("libx264", rate=10, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = *stored.shape[1:3], "yuv420p"
        for one in [*stored, None]:
            picture = None if one is None else av.VideoFrame.from_ndarray(np.ascontiguousarray(one), format="rgb24")
            container.mux(stream.encode(picture))
    set_matrix(path, a, b, c, d)
    assert numbers(np.asarray(read_clip(path).frames)) == list(range(5))


def test_videos_that_are_none_or_are_cut_off(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        for packet in [*stream.encode(sound), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(DataError, match=r"sound.mp4 must have a video stream, but has none"):
        read_clip(tmp_path / "sound.mp4")
    for name in ("cut.mp4", "cut.mkv"):
        path = write_marked(tmp_path / name, 12)
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(DataError, match=rf"{name} must be"):
            read_clip(path)
    one = write_marked(tmp_path / "one.mp4", 1)
    assert numbers(np.asarray(read_clip(one).frames)) == [0]


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p"])
def test_ten_bits_and_full_colour(tmp_path: Path, pixels: str) -> None:
    assert numbers(np.asarray(read_clip(write_marked(tmp_path / "fine.mp4", 3, pixels=pixels)).frames)) == [0, 1, 2]


@pytest.mark.skipif(not (SHARED / "real_clips").is_dir(), reason="recordings of others are not here")
def test_recordings_of_others() -> None:
    for path in sorted((SHARED / "real_clips").glob("*.mp4")):
        clip = read_clip(path)
        assert 30 <= len(clip) <= 64
        assert clip.seconds is not None
        assert 3 < clip.seconds[-1] < 10
