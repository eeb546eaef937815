"""`rfm score` and `rfm prefer`: what is looked at, what is written, what is refused."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from checkpoints import random_checkpoint
from marked_frames import frame, number, write_marked
from PIL import Image
from relabelled import films
from robot_datasets import SHARED, write_lerobot

import rfm
from rfm.cli import run_command
from rfm.errors import ConfigError
from rfm.frames.npz.file import write_npz
from rfm.scoring.videos.recordings import recordings_of


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("model") / "run" / "final", max_frames=4)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_marked(tmp_path_factory.mktemp("videos") / "attempt.mp4", 12)


def run(command: str, *words: object) -> int:
    return run_command((command,), [str(word) for word in words], f"rfm {command}")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_video_becomes_a_table_and_lines(
    checkpoint: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for form in ("jsonl", "csv", "parquet"):
        words = [video, "--task", "pick", "--task", "place", "--model", checkpoint, "--output", tmp_path / f"o.{form}"]
        assert run("score", *words) == 0
    shown = capsys.readouterr().out
    assert "attempt.mp4" in shown
    assert "▁" in shown
    rows = lines(tmp_path / "o.jsonl")
    assert [(row["task"], row["frame"]) for row in rows] == [
        (task, at) for task in ("pick", "place") for at in range(12)
    ]
    assert rows == pq.read_table(tmp_path / "o.parquet").to_pylist()
    with (tmp_path / "o.csv").open(encoding="utf-8") as stream:
        assert [float(row["progress"]) for row in csv.DictReader(stream)] == [row["progress"] for row in rows]
    curve = rfm.RewardModel.from_pretrained(checkpoint, "cpu").curve(video, "pick")
    assert [row["progress"] for row in rows[:12]] == pytest.approx(curve.expected, abs=1e-5)
    assert [row["seconds"] for row in rows[:12]] == pytest.approx(curve.seconds)
    assert all(row["low"] <= row["median"] <= row["high"] for row in rows)


def test_a_model_that_gives_no_scores_is_said_to(
    checkpoint: Path, video: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run("score", video, "--task", "pick", "--model", checkpoint) == 0
    assert "run/final gives 100% of its probability to what is no score" in caplog.text


def test_models_are_laid_side_by_side(
    checkpoint: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = random_checkpoint(tmp_path / "other" / "final", max_frames=8, seed=3)
    words = ["--model", checkpoint, "--model", other, "--task", "a", "--task", "b", "--points", 3]
    assert run("score", video, *words, "--output", tmp_path / "o.jsonl", "--plot", tmp_path / "p.svg") == 0
    rows = lines(tmp_path / "o.jsonl")
    order = [("a", "run/final"), ("a", "other/final"), ("b", "run/final"), ("b", "other/final")]
    assert [(row["task"], row["model"]) for row in rows[::3]] == order
    assert "other/final" in capsys.readouterr().out
    assert "other/final: b" in (tmp_path / "p.svg").read_text().replace("<!-- ", "")


def test_plots_are_pictures_and_the_same_bytes(checkpoint: Path, video: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        for form in ("png", "svg"):
            words = ["--plot", tmp_path / f"{name}.{form}", "--points", 4]
            assert run("score", video, "--task", "pick $x_1$", "--model", checkpoint, *words) == 0
    assert Image.open(tmp_path / "a.png").size[0] > 600
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [one.to_ndarray(format="rgb24") for one in container.decode(video=0)]


def test_an_overlay_shows_every_frame_at_its_time_with_the_curve_growing(checkpoint: Path, tmp_path: Path) -> None:
    pause = write_marked(tmp_path / "pause.mkv", 4, milliseconds=[0, 100, 500, 600])
    overlay = tmp_path / "new" / "o.mp4"
    assert run("score", pause, "--task", "pick", "--model", checkpoint, "--overlay", overlay) == 0
    with av.open(str(overlay)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        rate = float(stream.average_rate)
    assert overlay.read_bytes().index(b"moov") < overlay.read_bytes().index(b"mdat")
    shown = frames_of(overlay)
    assert len(shown) == round(0.6 * rate) + 1
    small = [np.asarray(Image.fromarray(one[:320]).resize((64, 48), Image.Resampling.BOX)) for one in shown]
    assert [number(one) for one in small] == [
        int(np.searchsorted([0.1, 0.5, 0.6], at / rate + 1e-6, "right")) for at in range(len(shown))
    ]
    inked = [int((one[340:] < 200).any(axis=2).sum()) for one in shown]
    assert inked[-1] > inked[0]


def test_overlays_of_several_go_into_a_folder(checkpoint: Path, tmp_path: Path) -> None:
    for folder in ("x", "y"):
        write_marked(tmp_path / folder / "same.mp4", 3)
    np_clip = np.stack([frame(at) for at in range(3)])
    write_npz(tmp_path / "stored.npz", np_clip)
    words = ["--task", "pick", "--model", checkpoint, "--overlay"]
    videos = [tmp_path / "x" / "same.mp4", tmp_path / "y" / "same.mp4", tmp_path / "stored.npz"]
    assert run("score", *videos, *words, tmp_path / "overlays") == 0
    made = sorted(path.name for path in (tmp_path / "overlays").iterdir())
    assert made == ["same.mp4", "same_2.mp4", "stored.mp4"]
    assert len(frames_of(tmp_path / "overlays" / "stored.mp4")) == 3


def test_overlays_never_take_the_place_of_each_other(checkpoint: Path, tmp_path: Path) -> None:
    videos = [write_marked(tmp_path / name, at) for at, name in enumerate(("a.mp4", "sub/a.mp4", "a_2.mp4"), start=2)]
    words = ["--task", "pick", "--model", checkpoint, "--points", 1, "--overlay", tmp_path / "overlays"]
    assert run("score", *videos, *words) == 0
    shown = {path.name: len(frames_of(path)) for path in (tmp_path / "overlays").iterdir()}
    assert shown == {"a.mp4": 2, "a_3.mp4": 3, "a_2.mp4": 4}


def test_one_unreadable_video_does_not_cost_the_others(
    checkpoint: Path, video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    words = ["--task", "pick", "--model", checkpoint, "--output", tmp_path / "o.jsonl", "--plot", tmp_path / "p.png"]
    assert run("score", tmp_path / "broken.mp4", video, *words) == 1
    assert {row["video"] for row in lines(tmp_path / "o.jsonl")} == {str(video)}
    assert f"{tmp_path / 'broken.mp4'}: video" in caplog.text
    assert "1 of 2 videos could not be read" in caplog.text


def test_an_episode_that_cannot_be_listed_does_not_cost_the_others(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    robot = write_lerobot(tmp_path / "robot", films(), "v2.1")
    next((robot / "data").rglob("episode_000001.parquet")).unlink()
    words = ["--points", 2, "--output", tmp_path / "o.jsonl", "--overlay", tmp_path / "overlays"]
    assert run("score", robot, "--model", checkpoint, *words) == 1
    assert "robot_000001: " in caplog.text
    assert "1 of 3 videos could not be read" in caplog.text
    assert {row["video"] for row in lines(tmp_path / "o.jsonl")} == {"robot_000000", "robot_000002"}
    shown = {path.name: len(frames_of(path)) for path in (tmp_path / "overlays").iterdir()}
    assert shown == {"robot_000000.mp4": 7, "robot_000002.mp4": 9}


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_name_that_is_no_utf8_is_spelt_out(
    checkpoint: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "videos"
    made = write_marked(folder / "made.mp4", 2)
    try:
        made.rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mp4"))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    words = ["--task", "pick", "--model", checkpoint, "--overlay", tmp_path / "overlays"]
    output = tmp_path / f"o.{form}"
    assert run("score", folder, *words, "--plot", tmp_path / "p.svg", "--output", output) == 0
    assert r"caf\xe9.mp4" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "overlays").iterdir()] == [r"caf\xe9.mp4"]
    held = pq.read_table(output)["video"].to_pylist() if form == "parquet" else [output.read_text(encoding="utf-8")]
    assert all(r"caf\xe9.mp4" in text.replace(r"\\", "\\") for text in held)


@pytest.mark.parametrize("command", ["score", "prefer"])
def test_what_was_found_is_shown_where_it_cannot_be_written(
    command: str, checkpoint: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    folder = tmp_path / "gone"

    class Vanishing(rfm.RewardModel):
        @classmethod
        def from_pretrained(cls, *words, **named):
            folder.symlink_to(tmp_path / "nowhere" / "at" / "all")  # while the model is asked
            return rfm.RewardModel.from_pretrained(*words, **named)

    monkeypatch.setattr("rfm.scoring.reward_model.RewardModel", Vanishing)
    videos = [video] if command == "score" else [video, video]
    assert run(command, *videos, "--task", "pick", "--model", checkpoint, "--output", folder / "o.jsonl") == 1
    said = capsys.readouterr()
    assert "attempt.mp4" in said.out or "which made more progress?" in said.out
    assert "gone" in said.err


def names(*paths: object, tasks: Sequence[str] = ("pick",), **options: object) -> list[str]:
    found = recordings_of([str(path) for path in paths], tuple(tasks), **options)  # type: ignore[arg-type]
    return [Path(one.name).name for one in found]


def test_what_is_looked_at(tmp_path: Path) -> None:
    for name in ("b/2.mp4", "b/10.mp4", "a.mp4"):
        write_marked(tmp_path / name, 2)
    (tmp_path / "pictures").mkdir()
    for at in range(2):
        Image.fromarray(frame(at)).save(tmp_path / "pictures" / f"{at}.png")
    assert names(tmp_path / "a.mp4") == ["a.mp4"]
    assert names(tmp_path / "b") == ["2.mp4", "10.mp4"]
    assert names(tmp_path / "b" / "*.mp4") == ["2.mp4", "10.mp4"]
    assert names(tmp_path / "**" / "*.mp4", tmp_path / "a.mp4") == ["a.mp4", "2.mp4", "10.mp4"]
    assert names(tmp_path / "pictures") == ["pictures"]
    assert sorted(names(tmp_path)) == ["10.mp4", "2.mp4", "a.mp4", "pictures"]
    (tmp_path / "list.csv").write_text("path,task\na.mp4,open it\nb/2.mp4,close it\n", encoding="utf-8")
    listed = recordings_of([], (), manifest=str(tmp_path / "list.csv"))
    assert [(Path(one.name).name, one.tasks) for one in listed] == [("a.mp4", ("open it",)), ("2.mp4", ("close it",))]


@pytest.mark.parametrize(
    ("paths", "options", "text"),
    [
        (["gone.mp4"], {}, "video gone.mp4 must exist, but does not"),
        (["gone*.mp4"], {}, "video gone*.mp4 must match a file, but does not"),
        (["empty"], {}, "must hold videos or numbered pictures, but holds none"),
        (["a.mp4"], {"tasks": []}, "`task` must be given for a.mp4: say what the robot is to do by --task"),
        (["a.mp4"], {"camera": "top"}, "`camera` must go with a LeRobot dataset, but none is named; leave it out"),
        ([], {"manifest": "a.csv"}, "`task` must be left out with --manifest, which says what to ask of each video"),
        ([], {"manifest": "gone.csv", "tasks": []}, "`manifest` must be a file, but gone.csv is none"),
    ],
)
def test_what_names_nothing(
    paths: list[str], options: dict, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_marked(tmp_path / "a.mp4", 1)
    (tmp_path / "a.csv").write_text("path,task\na.mp4,open it\n", encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        names(*paths, **options)
    assert text in str(raised.value)


@pytest.mark.skipif(not (SHARED / "lerobot_v3").is_dir(), reason="the LeRobot dataset is not here")
def test_episodes_of_a_lerobot_dataset_are_asked_about_their_own_tasks(checkpoint: Path, tmp_path: Path) -> None:
    words = ["--model", checkpoint, "--points", 2, "--output", tmp_path / "o.jsonl"]
    assert run("score", SHARED / "lerobot_v3", *words) == 0
    rows = lines(tmp_path / "o.jsonl")
    assert len({row["video"] for row in rows}) == 6
    assert len({row["task"] for row in rows}) == 3


def test_datasets_that_are_called_alike_are_all_scored_and_told_apart(checkpoint: Path, tmp_path: Path) -> None:
    for site in ("s1", "s2"):
        write_lerobot(tmp_path / site / "robot", films(), "v2.1")
    both = [tmp_path / "s1" / "robot", tmp_path / "s2" / "robot"]
    assert run("score", *both, "--model", checkpoint, "--points", 1, "--output", tmp_path / "o.jsonl") == 0
    called = [row["video"] for row in lines(tmp_path / "o.jsonl")]
    assert called == [f"{site}/robot_{at:06d}" for site in ("s1", "s2") for at in range(3)]
    assert names(both[0]) == ["robot_000000", "robot_000001", "robot_000002"]


def test_a_recording_that_is_named_twice_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_lerobot(tmp_path / "robot", films(), "v2.1")
    (tmp_path / "link").symlink_to("robot")
    write_marked(tmp_path / "a.mp4", 1)
    assert len(names("robot", tmp_path / "robot", "link")) == 3
    assert names("a.mp4", "./a.mp4", tmp_path / "a.mp4") == ["a.mp4"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--output", "o.txt"], "`output` must end in .jsonl or .csv or .parquet, but is o.txt"),
        (["--plot", "p.pdf"], "`plot` must end in .png or .svg, but is p.pdf"),
        (["--points", "0"], "`points` must be at least 1, but is 0"),
        (["--batch_size", "0"], "`batch_size` must be at least 1, but is 0"),
        (["--max_frames", "0"], "`max_frames` must be at least 1, but is 0"),
        (["--task", " "], "`task` must not be empty"),
        (["--task", "pick"], "`task` must name each one once, but repeats one"),
        (["--model", "a", "--model", "a"], "`model` must name each one once, but repeats one"),
        (["--overlay", "o.mp4"], "`overlay` must name a folder for 2 videos, but is o.mp4"),
        (["--output", "a.mp4/o.csv"], "must not be what is read, but a.mp4/o.csv is a part of a.mp4; name another"),
        (["--output", "a.csv/o.csv"], "a.csv is none (Not a directory): name another file"),
        (["--output", "a.csv"], "`output` a.csv exists; add --overwrite to replace it, or name another file"),
    ],
)
def test_flags_that_do_not_fit(
    words: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4"):
        write_marked(tmp_path / name, 1)
    (tmp_path / "a.csv").touch()
    videos = ["a.mp4", "b.mp4"] if "--overlay" in words else ["a.mp4"]
    assert run("score", *videos, "--task", "pick", *words) == 1
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "words", "text"),
    [
        ("score", ["a.mp4", "--overlay", "./a.mp4"], "`overlay` must not be what is read, but a.mp4 is a.mp4 itself"),
        ("score", [".", "--overlay", "."], "`overlay` must not be what is read, but a.mp4 is a.mp4 itself"),
        ("score", ["a.mp4", "--overlay", "linked.mp4"], "but linked.mp4 is a.mp4 itself; name another"),
        ("score", ["pictures", "--plot", "pictures/02.png"], "but pictures/02.png is a part of pictures; name another"),
        ("prefer", ["a.mp4", "pictures", "--output", "pictures/x.jsonl"], "but pictures/x.jsonl is a part of pictures"),
    ],
)
def test_what_is_read_is_never_written_over(
    command: str, words: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4"):
        write_marked(tmp_path / name, 1)
    (tmp_path / "linked.mp4").symlink_to("a.mp4")
    (tmp_path / "pictures").mkdir()
    for at in range(3):
        Image.fromarray(frame(at)).save(tmp_path / "pictures" / f"0{at}.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert run(command, *words, "--task", "pick", "--overwrite") == 1
    assert text in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


@pytest.mark.skipif(not (SHARED / "lerobot_v3").is_dir(), reason="the LeRobot dataset is not here")
def test_nothing_is_written_into_a_dataset_that_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(SHARED / "lerobot_v3", dataset)
    assert run("score", dataset, "--overlay", dataset / "videos", "--overwrite") == 1
    assert f"is a part of {dataset}; name another" in capsys.readouterr().err


def test_a_pair_says_which_got_further_and_where_the_order_decides(
    checkpoint: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = write_marked(tmp_path / "another.mp4", 5)
    words = ["--task", "pick", "--task", "place", "--model", checkpoint, "--output", tmp_path / "o.jsonl"]
    assert run("prefer", video, other, *words) == 0
    rows = lines(tmp_path / "o.jsonl")
    pair = rfm.RewardModel.from_pretrained(checkpoint, "cpu").prefer(video, other, "pick")
    assert rows[0]["a"] == pytest.approx(pair.a, abs=1e-5)
    assert (rows[0]["first"], rows[0]["second"]) == (str(video), str(other))
    assert [row["task"] for row in rows] == ["pick", "place"]
    shown = capsys.readouterr().out
    assert ("attempt.mp4" if pair.better == "a" else "another.mp4") in shown
    assert run("prefer", video, video, "--task", "pick", "--model", checkpoint) == 0
    assert "the model names the video that is shown" in capsys.readouterr().out
    assert run("prefer", video.parent, other, "--task", "pick", "--model", checkpoint) == 0
    write_marked(video.parent / "second.mp4", 2)
    assert run("prefer", video.parent, other, "--task", "pick", "--model", checkpoint) == 1
    assert "a pair must be of single videos, but" in capsys.readouterr().err
