from pathlib import Path

import pytest

from rfm.errors import ConfigError
from rfm.files.ownership import check_new_file
from rfm.files.writable import check_writable


def test_folders_that_can_be_made_are_not_and_nothing_is_left(tmp_path: Path) -> None:
    check_writable("output", tmp_path / "o.csv")
    check_writable("output", tmp_path / "new" / "deep" / "o.csv")
    assert not any(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match=r"`plot` must lie in a folder .*, but .*file is none \(Not a directory\): name"
    ):
        check_writable("plot", tmp_path / "file" / "p.png")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_a_folder_that_takes_no_file_from_anyone_is_said_before_the_work() -> None:
    with pytest.raises(ConfigError, match="`output` must lie in a folder that can be written to, but /proc is none"):
        check_new_file("output", Path("/proc/x.jsonl"), overwrite=False)
