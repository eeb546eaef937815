"""What recordings and models are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from rfm.scoring.videos.naming import file_stems, numbered, tails


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["V/a.mp4", "V/sub/a.mp4", "V/a_2.mp4"], ["a", "a_3", "a_2"]),
        (["V/a_2.mp4", "V/a.mp4", "V/sub/a.mp4", "W/a_2.mkv"], ["a_2", "a", "a_3", "a_2_2"]),
        (["my.robot_000003", "my.robot_000004"], ["my.robot_000003", "my.robot_000004"]),
        (["s1/robot_000000", "s2/robot_000000"], ["robot_000000", "robot_000000_2"]),
        (["run.1", "run.2/clip.NPZ", "run.2/Clip.webm"], ["run.1", "clip", "Clip_2"]),
        ([".", "x/.."], [Path().resolve().name, f"{Path().resolve().name}_2"]),
    ],
)
def test_every_recording_has_a_file_of_its_own(names: list[str], stems: list[str]) -> None:
    assert file_stems(names) == stems


def test_paths_are_called_by_the_last_parts_that_tell_them_apart() -> None:
    assert tails(["out/run/final"]) == ["run/final"]
    assert tails(["final", "/final"]) == ["final", "/final"]
    assert tails(["x/a/run/final", "x/b/run/final", "c"]) == ["a/run/final", "b/run/final", "c"]


def test_numbers_tell_names_apart_that_are_alike() -> None:
    assert numbered(["a", "A", "a", "a (2)"], "{} ({})") == ["a", "A", "a (3)", "a (2)"]
