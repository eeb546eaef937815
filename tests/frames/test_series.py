from pathlib import Path

import numpy as np
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
        (
            ["1.2.png", "1.10.png"],
            "`1.2.png` comes before `1.10.png` by whole numbers and after it by decimals: ",
        ),
        (["12.5.png", "12.25.png"], "`12.5.png` comes before `12.25.png` .*: write as many digits after the point in"),
        (["1.1.png", "1.02.png", "1.10.png"], "must have one order, but `1.1.png` comes before `1.02.png`"),
        (["a.heic", "b.gif"], r"must hold pictures \(.png, .jpg, .jpeg, .bmp, .webp, .tif, .tiff\), one a frame, but"),
    ],
)
def test_what_has_no_clear_order_is_refused(tmp_path: Path, given: list[str], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        names(tmp_path, *given)


@pytest.mark.parametrize(
    "given",
    [
        ["12.9.png", "12.95.png", "13.0.png", "13.05.png", "13.1.png"],
        ["1764452581.98.png", "1764452582.0312345.png", "1764452582.1.png", "1764452582.12.png"],
        ["cam0_t2.05s.jpg", "cam0_t2.1s.jpg", "cam0_t2.15s.jpg", "cam0_t10.0s.jpg"],
        ["9,95.png", "10,0.png", "10,05.png", "10,1.png"],
        ["0.0.png", "0.05.png", "1.0.png", "1.05.png"],
    ],
)
def test_names_that_are_decimals_for_certain_are_in_their_order(tmp_path: Path, given: list[str]) -> None:
    assert names(tmp_path, *reversed(given)) == given
    assert numbered_pictures(tmp_path).note == ""


@pytest.mark.parametrize(
    "given",
    [
        ["ep1.1.png", "ep1.2.png", "ep1.3.png", "ep1.10.png"],
        ["1.098.png", "1.099.png", "1.100.png", "2.050.png"],
        ["1700000000.000000123.png", "1700000000.100000000.png", "1700000001.000000099.png"],
        ["12.9.png", "13.05.png", "13.10.png"],
    ],
)
def test_names_that_are_counts_for_certain_or_in_one_order_either_way_are_too(tmp_path: Path, given: list[str]) -> None:
    assert names(tmp_path, *reversed(given)) == given


def test_times_as_python_writes_them_are_never_in_another_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for trial in range(100):
        digits = int(rng.integers(1, 8))
        times = sorted({float(time) for time in np.round(12 + 3 * rng.random(int(rng.integers(2, 30))), digits)})
        folder = tmp_path / str(trial)
        folder.mkdir()
        try:
            assert names(folder, *(f"{time}.png" for time in times)) == [f"{time}.png" for time in times]
        except DataError as error:
            assert "must " in str(error)  # noqa: PT017 - either is right, an order that never was is not


def test_gaps_in_the_numbers_are_said(tmp_path: Path) -> None:
    names(tmp_path, *(f"{at}.png" for at in (0, 5, 10, 20, 30)))
    assert numbered_pictures(tmp_path).note == (
        "pictures are numbered from 0 to 30 with gaps (5 of 7 are there): they are taken as evenly spaced in time"
    )
    (tmp_path / "15.png").touch()
    (tmp_path / "25.png").touch()
    assert numbered_pictures(tmp_path).note == ""
