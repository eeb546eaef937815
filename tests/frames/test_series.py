from pathlib import Path

import pytest

from rfm.errors import DataError
from rfm.frames.series import numbered_pictures


def names(folder: Path, *given: str) -> list[str]:
    for name in given:
        (folder / name).touch()
    return [path.name for path in numbered_pictures(folder).paths]


@pytest.mark.parametrize(
    "given",
    [
        ["0.png", "1.png", "2.png", "10.png", "11.png"],
        ["frame_9.JPG", "frame_10.jpg", "Frame_11.jpeg"],
        ["ep3_cam_000008.webp", "ep3_cam_000009.webp", "ep3_cam_000010.webp"],
        ["1.bmp", "2.tif", "3.tiff"],
        ["2026-11-28_12-00-59_7.png", "2026-11-28_12-01-00_0.png", "2026-11-28_12-01-00_1.png"],
        ["1699999999_999000.png", "1700000000_000123.png", "1700000000_100123.png"],
        ["only.png"],
    ],
)
def test_the_order_is_that_of_the_numbers(tmp_path: Path, given: list[str]) -> None:
    assert names(tmp_path, *reversed(given), ".DS_Store", "._0.png", "notes.txt", "times.json") == given


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (["rgb_0.png", "rgb_1.png", "depth_0.png", "depth_1.png"], "2 like `depth_#`, 2 like `rgb_#`"),
        (["0.png", "1.png", "cover.jpg"], "2 like `#`, 1 like `cover`"),
        (["cam0_0.png", "cam0_1.png", "cam1_0.png", "cam1_1.png"], "counted anew for each other number: `cam0_0.png`"),
        (["start.png", "end.png"], "1 like `end`, 1 like `start`"),
        (["1.png", "01.png", "2.png"], "different numbers, but `01.png` and `1.png` have the same"),
        (["1.png", "1.jpg"], "different numbers, but `1.jpg` and `1.png` have the same"),
        (["a.heic", "b.gif"], r"must hold pictures \(.png, .jpg, .jpeg, .bmp, .webp, .tif, .tiff\), one a frame, but"),
    ],
)
def test_what_has_no_clear_order_is_refused(tmp_path: Path, given: list[str], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        names(tmp_path, *given)


def test_gaps_in_the_numbers_are_said(tmp_path: Path) -> None:
    names(tmp_path, *(f"{at}.png" for at in (0, 5, 10, 20, 30)))
    assert numbered_pictures(tmp_path).note == (
        "pictures are numbered from 0 to 30 with gaps (5 of 7 are there): they are taken as evenly spaced in time"
    )
    (tmp_path / "15.png").touch()
    (tmp_path / "25.png").touch()
    assert numbered_pictures(tmp_path).note == ""
