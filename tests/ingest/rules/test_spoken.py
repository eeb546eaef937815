import csv
from pathlib import Path

import pytest
from marked_frames import write_marked
from PIL import Image

from rfm.cli import run_command
from rfm.trajectories.store import read_columns


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "demos"
    for name in ("open_the_door/success/1.mp4", "open_the_door/fail/2.mp4", "close it/success/1.mp4"):
        write_marked(folder / name, 3)
    (folder / "close it" / "fail" / "pictures").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "close it" / "fail" / "pictures" / "0.png")
    return folder


def ingest(folder: Path, *flags: str) -> int:
    return run_command(("ingest", "videos"), [str(folder), "--output", str(folder.parent / "out"), *flags], None)


def said(folder: Path, key: str = "demos") -> list[tuple[str, str, str | None]]:
    rows = read_columns(folder.parent / "out" / key, ["id", "task", "quality_label"]).to_pylist()
    return [(row["id"], row["task"], row["quality_label"]) for row in rows]


def test_one_task_and_one_label_for_all(folder: Path) -> None:
    assert ingest(folder, "--task", "do it", "--label", "Success", "--data_source", "mine") == 0
    names = ["close_it_fail_pictures", "close_it_success_1", "open_the_door_fail_2", "open_the_door_success_1"]
    assert said(folder, "mine") == [(name, "do it", "successful") for name in names]


def test_folders_that_name_task_and_outcome(folder: Path) -> None:
    flags = ("--task_from", "folder", "--success_pattern", "/success/", "--failure_pattern", "/fail/")
    assert ingest(folder, *flags) == 0
    assert said(folder) == [
        ("close_it_fail_pictures", "close it", "failure"),
        ("close_it_success_1", "close it", "successful"),
        ("open_the_door_fail_2", "open the door", "failure"),
        ("open_the_door_success_1", "open the door", "successful"),
    ]


def test_a_folder_that_says_how_it_ended_is_no_task(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_marked(folder / "failed" / "open" / "1.mp4", 1)
    assert ingest(folder, "--task_from", "folder") == 1
    assert (
        "but that of `failed/open/1.mp4` says how it ended: give --task, or --task_pattern" in capsys.readouterr().err
    )


def test_recordings_without_a_task_are_rejected(folder: Path) -> None:
    write_marked(folder / "loose.mp4", 1)
    assert ingest(folder, "--task_pattern", "^(open[^/]*)/") == 1
    assert [task for _, task, _ in said(folder)] == ["open the door"] * 2
    assert "loose.mp4" in (folder.parent / "out" / "demos" / "rejected.jsonl").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "`rfm manifest "),
        (["--label_column", "reward", "--task", "t"], "`label_column` must be left out: videos record no columns"),
        (
            ["--task_from", "folder", "--task", "t"],
            "at most one rule for texts must be given, but --task_from and --task",
        ),
        (["--task", "t", "--label", "great"], "`quality_label` in --label must be one of `successful` (or optimal, "),
    ],
)
def test_what_cannot_be_said_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert ingest(folder, *flags) == 1
    assert message in " ".join(capsys.readouterr().err.split())


def test_flags_do_not_go_with_a_manifest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "manifest.csv").write_text("path,task\nopen_the_door/fail/2.mp4,t\n")
    assert ingest(folder, "--label", "successful") == 1
    assert "--label must be left out where a manifest says what recordings show, but there" in capsys.readouterr().err


def test_without_a_label_it_is_said_what_episodes_cannot_serve_for(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "manifest.csv").write_text(
        "path,task,quality_label\nopen_the_door/fail/2.mp4,t,\nclose it/success/1.mp4,t,1\n"
    )
    assert ingest(folder) == 0
    assert caplog.messages[0] == (
        "1 of 2 recordings are not known to have succeeded or failed: they serve neither as successes nor as failures, "
        f"and no progress is known of them; the column `quality_label` of {folder}/manifest.csv says what they are"
    )


def test_a_manifest_to_fill_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(("manifest",), [str(folder), "--task_from", "folder"], None) == 0
    with (folder / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["path"], row["task"], row["quality_label"]) for row in rows] == [
        ("close it/fail/pictures", "close it", ""),
        ("close it/success/1.mp4", "close it", ""),
        ("open_the_door/fail/2.mp4", "open the door", ""),
        ("open_the_door/success/1.mp4", "open the door", ""),
    ]
    assert ingest(folder) == 0
    before = (folder / "manifest.csv").read_bytes()
    assert run_command(("manifest",), [str(folder), "--task", "other"], None) == 1
    assert "manifest.csv must be the first manifest there, but there is" in capsys.readouterr().err
    assert (folder / "manifest.csv").read_bytes() == before


def test_a_manifest_not_filled_in_says_what_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(("manifest",), [str(folder)], None) == 0
    assert ingest(folder) == 1
    assert "line 2: `task` must be set, but is not" in capsys.readouterr().err
    assert run_command(("manifest",), [str(folder / "open_the_door" / "none")], None) == 1
    (folder.parent / "empty").mkdir()
    assert run_command(("manifest",), [str(folder.parent / "empty")], None) == 1
    assert "must hold videos, or folders of pictures, but holds none" in capsys.readouterr().err
