"""Lists of videos, `manifest.csv` and `manifest.jsonl`: what they say, and every fault that they may have."""

import csv
import json
import os
from pathlib import Path

import pytest
from robot_datasets import SHARED
from video_folders import files, make_folder

from rfm.errors import ConfigError, DataError
from rfm.ingest.listing.manifest import find_manifest, read_manifest
from rfm.ingest.sources.videos import ingest_videos
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.store import read_columns


def test_csv_says_the_same_as_jsonl(tmp_path: Path) -> None:
    row: dict[str, object] = {
        "path": "a.mp4",
        "task": 'say "hi", then stop',
        "id": "x/1",
        "task_id": "hi",
        "is_robot": False,
        "quality_label": "suboptimal",
        "progress": [0.0] * 8 + [1.0],
        "progress_by_task": {"bye, then": [0.25] * 9},
        "scene_id": "hall",
    }
    folder = make_folder(tmp_path / "in", [row])
    with (tmp_path / "list.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        writer.writeheader()
        writer.writerow(row | {name: json.dumps(row[name]) for name in ("progress", "progress_by_task")})
    ingest_videos(folder, tmp_path / "one")
    ingest_videos(folder, tmp_path / "two", manifest=tmp_path / "list.csv")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert load_catalog(tmp_path / "one", ["in"]).ids.to_pylist() == ["x/1"]
    (held,) = read_columns(tmp_path / "one" / "in", ("scene_id", "progress_by_task")).to_pylist()
    assert held == {"scene_id": "hall", "progress_by_task": [{"task_id": "bye, then", "progress": [0.25] * 9}]}


def test_all_faults_of_a_manifest_are_found_before_any_work(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", [{"path": "a.mp4", "task": "t"}])
    rows = [
        {"path": "a.mp4", "task": "t", "id": "same"},
        {"path": "a.mp4", "id": "same"},
        {"path": "gone.mp4", "task": "t", "quality_label": "superb"},
        {"path": "a.mp4", "task": "t", "progress": [0, 2], "partial_success": "half", "is_robot": "maybe"},
    ]
    (folder / "manifest.jsonl").write_text("\n".join([*map(json.dumps, rows), "{broken", "[1]"]))
    with pytest.raises(DataError) as caught:
        ingest_videos(folder, tmp_path / "out")
    assert str(caught.value).splitlines() == [
        f"{folder}/manifest.jsonl has 9 faults:",
        "  line 5 must be JSON, but is not: Expecting property name enclosed in double quotes: line 1 column "
        "2 (char 1)",
        "  line 6 must be a JSON object, but is a list",
        "  line 2: `task` must be set, but is not",
        "  line 3: `quality_label` in the manifest must be one of `successful` (or optimal, success, succeeded, pass, "
        "passed, true, yes, 1, 1.0), `suboptimal` (or sub-optimal, partial), `failure` (or failed, fail, unsuccessful, "
        "false, no, 0, 0.0) or empty (unknown), but is `superb`",
        f"  line 3: `path` must name a file in {folder}, but `gone.mp4` is not there",
        "  line 4: `is_robot` must be true or false, but is `maybe`",
        "  line 4: `partial_success` must be a number in [0, 1], but is `half`",
        "  line 4: `progress` must be a list of numbers in [0, 1], but is `[0, 2]`",
        "  line 2: `id` must differ in every line, but `same` is in line 1 too",
    ]
    assert not (tmp_path / "out").exists()


def test_missing_manifest_or_columns(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the folder of videos must exist, but .*none is not a folder"):
        ingest_videos(tmp_path / "none", tmp_path / "out")
    with pytest.raises(
        ConfigError,
        match=r"but there is no .*manifest.jsonl or .*manifest.csv: `rfm manifest .*` writes one to",
    ):
        ingest_videos(tmp_path, tmp_path / "out")
    (tmp_path / "manifest.csv").write_text("path,label\na.mp4,x\n")
    with pytest.raises(
        DataError, match=r"path and task in its first line, separated by commas, but lacks task: it is `path,l"
    ):
        ingest_videos(tmp_path, tmp_path / "out")
    (tmp_path / "manifest.jsonl").write_text("\n")
    with pytest.raises(DataError, match="it must list at least one video, but is empty"):
        ingest_videos(tmp_path, tmp_path / "out")


def test_unknown_columns_are_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = {"task": "t", "colour": "red", "seed": 1, "camera": "side", "quality_label": "1"}
    rows: list[dict[str, object]] = [{"path": f"{at}.mp4", **row} for at in range(2)]
    ingest_videos(make_folder(tmp_path / "in", rows), tmp_path / "out")
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"{tmp_path}/in/manifest.jsonl: unknown columns are left out: colour"
    ]


def test_many_rows_of_one_video_are_numbered_in_one_pass(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    text = "path,task,id\n" + "a.mp4,open,a_7\n" + "a.mp4,open,\n" * 20_000
    (tmp_path / "manifest.csv").write_text(text)
    rows = read_manifest(tmp_path / "manifest.csv", tmp_path)
    names = [row.id for row in rows]
    assert names[:3] == ["a_7", "a", "a_2"]
    assert names[7:9] == ["a_8", "a_9"]
    assert names[-1] == "a_20001"
    assert len(set(names)) == 20_001


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('path,task\na.mp4,"open\na.mp4,close\n', "line 2 must be CSV, but is not (unexpected end of data)"),
        ('path,task\na.mp4,"open\na.mp4,close"\n', "line 2 must be CSV, but one of its fields goes on to line 3"),
        ("path,task,task\na.mp4,open,close\n", "must name each column once, but has task twice; remove one of them"),
        ("path,task\na.mp4\n", "line 2 must have 2 fields as the first line has, but has 1"),
        ("path,task\na.mp4,pick, then place\n", "line 2 must have 2 fields as the first line has, but has 3"),
        ("path,task,progress\na.mp4,open,[0;1]\n", "line 2: `progress` must be JSON, but is not: Expecting ',' delimi"),
        ('path,task,progress\na.mp4,open,"[0,NaN]"\n', "line 2: `progress` must have finite numbers, but has NaN"),
        (
            'path,task,progress_by_task\na.mp4,open,"{""b"": [0.5, NaN]}"\n',
            "line 2: `progress_by_task` must have finite numbers, but has NaN",
        ),
        (
            "path,task,progress_by_task\na.mp4,open,b\n",
            "line 2: `progress_by_task` must be JSON, but is not: Expecting",
        ),
        (
            "path,task,partial_success\na.mp4,open,1e400\n",
            "line 2: `partial_success` must be a number in [0, 1], but i",
        ),
    ],
)
def test_faults_of_a_csv_hide_nothing(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path / "manifest.csv", tmp_path)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"path": "a.mp4", "task": ["a", "b"]}', "line 1: `task` must be text, but is `['a', 'b']`"),
        (
            '{"path": "a.mp4", "task": "\\ud800"}',
            "line 1 must be Unicode text, but has half a pair of UTF-16, '\\ud800'",
        ),
        ('{"path": "a\\u0000.mp4", "task": "a"}', "line 1: `path` must name a file in"),
        (
            '{"path": "a.mp4", "task": "a", "partial_success": Infinity}',
            "line 1 must have finite numbers, but has Infi",
        ),
        (
            '{"path": "a.mp4", "task": "a", "task": "b"}',
            "line 1 must name each key of an object once, but has `task` tw",
        ),
        ('{"path": "%s.mp4", "task": "a"}' % ("x" * 5000), "line 1: `path` must name a file in"),
        (
            '{"path": "a.mp4", "task": "a", "progress_by_task": [0.5]}',
            "line 1: `progress_by_task` must be an object of",
        ),
        (
            '{"path": "a.mp4", "task": "a", "progress_by_task": {"b": [], "b": []}}',
            "line 1 must name each key of an object once, but has `b` tw",
        ),
        (
            '{"path": "a.mp4", "task": "a", "progress_by_task": {"A.": [0.5], "b": "0.5", "c": [0, 1.5]}}',
            "line 1: `progress_by_task` must name other tasks than the row's own, but names `A.`\n"
            "  line 1: `progress_by_task[b]` must be a list of numbers, but is '0.5'\n"
            "  line 1: `progress_by_task[c][1]` must be in [0, 1], but is 1.5",
        ),
        (
            '{"path": "a.mp4", "task": "x", "task_id": "a", "progress_by_task": {"a": [0.5], "b": ["1"], "b ": [0.5]}}',
            "line 1: `progress_by_task` must name other tasks than the row's own, but names `a`\n"
            "  line 1: `progress_by_task[b]` must be a list of numbers, but is ('1',)\n"
            "  line 1: `progress_by_task` must name each task once, but names `b ` twice",
        ),
        ("[" * 100_000, "line 1 must be nested at most 64 deep, but is deeper"),
    ],
    ids=lambda value: value[:40],
)
def test_faults_of_a_json_line(tmp_path: Path, line: str, fault: str) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "manifest.jsonl").write_text(line)
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path / "manifest.jsonl", tmp_path)
    assert fault in str(caught.value)


def test_a_manifest_that_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").mkdir()
    with pytest.raises(DataError, match=r"manifest\.csv must be a file, but is a folder"):
        read_manifest(find_manifest(tmp_path, None), tmp_path)
    os.mkfifo(tmp_path / "manifest.jsonl")
    with pytest.raises(DataError, match=r"manifest\.jsonl must be a file, but is a named pipe"):
        read_manifest(find_manifest(tmp_path, None), tmp_path)


@pytest.mark.skipif(not (SHARED / "found").is_dir(), reason="the inputs found by attack are not here")
def test_csv_files_found_by_attack(tmp_path: Path) -> None:
    hostile = SHARED / "found" / "hostile" / "csv"
    with pytest.raises(DataError, match=r"unclosed_quote\.csv has 1 fault:\n  line 2 must be CSV, but is not"):
        read_manifest(hostile / "unclosed_quote.csv", hostile)
    given = SHARED / "found" / "videos" / "long_progress"
    (row,) = read_manifest(find_manifest(given, None), given)
    assert len(row.progress or ()) == 9000
    with pytest.raises(DataError) as caught:
        read_manifest(hostile / "long_progress.csv", hostile)
    assert "`path` must name a file" in str(caught.value), "its video is not there, but it was read"
    assert "`progress`" not in str(caught.value)
