import unicodedata
from pathlib import Path

import numpy as np
import pytest
from marked_frames import UPRIGHT, frame, number, numbers, orientation, write_marked
from PIL import Image
from robot_datasets import SHARED

from rfm.cli import run_command
from rfm.errors import DataError
from rfm.frames.reader import read_frames
from rfm.ingest.listing.recordings import located, recordings_below
from rfm.trajectories.store import read_columns

FOUND = SHARED / "found" / "videos"


def write_pictures(folder: Path, names: list[str], **options: object) -> Path:
    folder.mkdir(parents=True)
    for at, name in enumerate(names):
        Image.fromarray(frame(at)).save(folder / name, **options)
    return folder


def ingest(folder: Path, *flags: str) -> int:
    return run_command(("ingest", "videos"), [str(folder), "--output", str(folder.parent / "out"), *flags], None)


def stored(folder: Path) -> dict[str, np.ndarray]:
    """The frames of each episode by its id."""
    root = folder.parent / "out"
    rows = read_columns(root / folder.name, ["id", "frames", "num_frames"]).to_pylist()
    return {row["id"]: read_frames(root, row["frames"], range(row["num_frames"])) for row in rows}


def rejections(folder: Path) -> str:
    return (folder.parent / "out" / folder.name / "rejected.jsonl").read_text()


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "webp", "tif", "PNG"])
def test_a_folder_of_pictures_is_an_episode(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "in"
    lossless = {"quality": 100} if suffix.startswith("jp") else {"lossless": True} if suffix == "webp" else {}
    write_pictures(folder / "ep.1", [f"{at}.{suffix}" for at in range(12)], **lossless)
    (folder / "manifest.csv").write_text("path,task,quality_label\nep.1,t,success\n")
    assert ingest(folder) == 0
    assert {name: numbers(frames) for name, frames in stored(folder).items()} == {"ep.1": list(range(12))}


def test_pictures_are_chosen_evenly_by_number(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in" / "ep", [f"frame_{at}.png" for at in range(30)])
    assert ingest(tmp_path / "in", "--task", "t", "--max_frames", "4") == 0
    assert numbers(stored(tmp_path / "in")["ep"]) == [0, 10, 19, 29]


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_followed(tmp_path: Path, tag: int, suffix: str) -> None:
    stored_as = {
        1: lambda shown: shown,
        2: lambda shown: shown[:, ::-1],
        3: lambda shown: shown[::-1, ::-1],
        4: lambda shown: shown[::-1],
        5: lambda shown: shown.transpose(1, 0, 2),
        6: lambda shown: np.rot90(shown, 1),
        7: lambda shown: shown[::-1, ::-1].transpose(1, 0, 2),
        8: lambda shown: np.rot90(shown, -1),
    }
    """How a picture lies in the file that this tag turns upright (EXIF 2.32, 4.6.4)."""
    exif = Image.Exif()
    exif[0x0112] = tag
    folder = tmp_path / "in"
    (folder / "ep").mkdir(parents=True)
    Image.fromarray(np.ascontiguousarray(stored_as[tag](frame(9)))).save(folder / "ep" / f"0.{suffix}", exif=exif)
    assert ingest(folder, "--task", "t") == 0
    (shown,) = stored(folder)["ep"]
    assert orientation(shown) == UPRIGHT
    assert number(shown) == 9


def test_what_is_odd_about_pictures_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "in"
    write_pictures(folder / "gaps", ["0.png", "1.png", "4.png"])
    write_pictures(folder / "mixed", ["0.png", "1.png"])
    Image.fromarray(frame(1, 60, 80)).save(folder / "mixed" / "1.png")
    write_pictures(folder / "moving", ["0.webp"])
    first, second = (Image.fromarray(frame(at)) for at in range(2))
    first.save(folder / "moving" / "0.webp", save_all=True, append_images=[second])
    write_pictures(folder / "depth", ["0.png"])
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "depth" / "0.png")
    write_pictures(folder / "pointer", ["0.png"])
    (folder / "pointer" / "0.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    write_pictures(folder / "cut", ["0.png"])
    (folder / "cut" / "0.png").write_bytes((folder / "gaps" / "0.png").read_bytes()[:80])
    assert ingest(folder, "--task", "t") == 1
    assert list(stored(folder)) == ["gaps"]
    assert any(
        "gaps: pictures are numbered from 0 to 4 with gaps (3 of 5 are there)" in text for text in caplog.messages
    )
    reasons = rejections(folder)
    assert "one size, but `0.png` has 64 x 48 pixels and `1.png` 80 x 60: give --height and --width" in reasons
    assert "must be one picture, but holds 2" in reasons
    assert "must have colours of 8 bits, but is I;16, as depth maps are" in reasons
    assert "0.png must be a picture, but is a Git LFS pointer to one: run `git lfs pull`" in reasons
    assert "must be a JPEG, PNG, BMP, WEBP or TIFF picture, but decoding it gives" in reasons


def test_the_preview_that_cameras_add_to_a_jpeg_is_no_frame(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in" / "ep", ["0.jpg"])
    first, preview = (Image.fromarray(frame(at)) for at in (5, 6))
    first.save(tmp_path / "in" / "ep" / "0.jpg", format="MPO", save_all=True, append_images=[preview], quality=95)
    assert ingest(tmp_path / "in", "--task", "t") == 0
    assert numbers(stored(tmp_path / "in")["ep"]) == [5]


def test_sizes_that_differ_come_in_at_one_size(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in" / "ep", ["0.png", "1.png"])
    Image.fromarray(frame(1, 96, 128)).save(tmp_path / "in" / "ep" / "1.png")
    assert ingest(tmp_path / "in", "--task", "t", "--height", "48", "--width", "64") == 0
    assert stored(tmp_path / "in")["ep"].shape == (2, 48, 64, 3)


def test_what_lies_in_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_pictures(tmp_path / "ep10", ["0.png"])
    write_pictures(tmp_path / "ep2", ["0.png"])
    write_marked(tmp_path / "a" / "film.MP4".lower(), 1)
    write_pictures(tmp_path / "a" / "poster", ["0.png"])
    Image.fromarray(frame(0)).save(tmp_path / "a" / "cover.png")
    (tmp_path / "a" / "._film.mp4").touch()
    (tmp_path / "a" / "notes.txt").touch()
    assert recordings_below(tmp_path) == ["a/film.mp4", "a/poster", "ep2", "ep10"]
    assert caplog.messages == ["pictures that lie beside videos are left out: those in a"]
    assert recordings_below(tmp_path / "ep2") == ["."]
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    with pytest.raises(DataError, match=r"gone\.mp4"):
        recordings_below(tmp_path)


@pytest.mark.parametrize(("on_disk", "asked"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_are_found_however_they_are_spelt(tmp_path: Path, on_disk: str, asked: str) -> None:
    there, listed = (unicodedata.normalize(form, "grün/é_ö.mp4") for form in (on_disk, asked))
    write_marked(tmp_path / there, 1)
    assert located(tmp_path, listed) == there
    assert located(tmp_path, "grün/e.mp4") is None
    assert located(tmp_path, "x" * 5000) is None
    assert located(tmp_path, "a\0b") is None


@pytest.mark.skipif(not FOUND.is_dir(), reason="the recordings with known faults are not here")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("png_folder", {"ep1": list(range(12)), "ep2": list(range(100, 112))}),
        ("two_streams", {"thumb_first": list(range(12))}),
        ("nfd", {"gru_n_greifer": list(range(12))}),
        ("vfr", {name: [0, *[5] * 8, 11] for name in ("pause", "pause_2", "pause_3")}),
    ],
)
def test_recordings_with_known_faults(tmp_path: Path, name: str, shown: dict[str, list[int]]) -> None:
    output = tmp_path / "out"
    arguments = [str(FOUND / name), "--output", str(output), "--max_frames", "10" if name == "vfr" else "64"]
    assert run_command(("ingest", "videos"), arguments, None) == 0
    assert {key: numbers(frames) for key, frames in stored(tmp_path / name).items()} == shown


@pytest.mark.skipif(not FOUND.is_dir(), reason="the recordings with known faults are not here")
def test_lists_and_pointers_with_known_faults(tmp_path: Path) -> None:
    for name in ("long_progress", "lfs_pointer"):
        status = run_command(("ingest", "videos"), [str(FOUND / name), "--output", str(tmp_path / "out")], None)
        assert status == (name == "lfs_pointer")
    assert "is a Git LFS pointer to it: run `git lfs pull`" in rejections(tmp_path / "lfs_pointer")
    (row,) = read_columns(tmp_path / "out" / "long_progress", ["progress", "num_frames"]).to_pylist()
    assert len(row["progress"]) == row["num_frames"] == 64
    assert row["progress"][0] == 0
