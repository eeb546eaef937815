"""`rfm browse --rerun` and `rfm score --rerun`: Rerun's own reader finds in the recording what was put in."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from checkpoints import random_checkpoint
from marked_frames import number, set_matrix, write_marked
from worlds import make_world

from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.frames.npz.file import read_npz_frames
from rfm.frames.video.stored import plays_as_stored
from rfm.pages.browsing.options import BrowseOptions
from rfm.scoring.videos.options import ScoreOptions
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset

TASK = "pick <b>up</b> #1"


def run(command: str, *words: object) -> int:
    return run_command((command,), [str(word) for word in words], f"rfm {command}")


def needs_rerun() -> Any:
    return pytest.importorskip("rerun.chunk", reason="rerun-sdk, of the extra `rerun`, is not installed")


def read(file: Path) -> dict[str, dict[str, list[Any]]]:
    """The values of each entity by column, as Rerun's reader gives them, once its verifier has no complaint."""
    chunk = needs_rerun()
    check = subprocess.run([sys.executable, "-m", "rerun", "rrd", "verify", str(file)], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
    found: dict[str, dict[str, list[Any]]] = {}
    for one in chunk.RrdReader(str(file)).stream():
        batch = one.to_record_batch()
        entity = found.setdefault(one.entity_path.replace("\\", ""), {})
        for field, column in zip(batch.schema, batch.columns, strict=True):
            values = column.cast("int64").to_pylist() if str(field.type).startswith("duration") else column.to_pylist()
            entity[field.name] = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in values]
    return found


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return random_checkpoint(tmp_path / "run" / "final", max_frames=4)


def test_episodes_with_their_progress_and_their_frames_as_pictures(tmp_path: Path) -> None:
    needs_rerun()
    root = make_world(tmp_path / "world", episodes=3, frames=5)
    assert run("browse", root / "toy_train", "--output_path", tmp_path / "b.html", "--rerun", tmp_path / "b.rrd") == 0
    found, catalog = read(tmp_path / "b.rrd"), load_catalog(root, ("toy_train",))
    for row in range(3):
        name = f"/toy_train/{row} toy_train_{row:03d}"
        curve, video, about = (found[f"{name}/{part}"] for part in ("curves/progress", "video", "about"))
        recorded = catalog.progress_values[catalog.progress_offsets[row] : catalog.progress_offsets[row + 1]]
        assert curve["frame"] == video["frame"] == [0, 1, 2, 3, 4]
        np.testing.assert_allclose(curve["Scalars:scalars"], recorded, atol=1e-6)
        frames = read_npz_frames(root / catalog.frames_path[row].as_py(), range(5)).astype(int)
        shown = np.stack([simplejpeg.decode_jpeg(bytes(blob)) for blob in video["EncodedImage:blob"]])
        assert np.abs(shown - frames).mean() < 3
        assert about["TextDocument:text"][0].startswith(catalog.texts[int(catalog.text_code[row])].as_py())
        assert "Quality: " in about["TextDocument:text"][0]


def test_a_video_goes_in_whole_and_a_faulty_one_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    needs_rerun()
    rows = []
    for name, count in (("whole", 6), ("shorter", 4)):
        write_marked(tmp_path / "key" / f"{name}.mp4", count)
        rows.append(Trajectory(name, TASK, "s", f"key/{name}.mp4", (6, 48, 64, 3), 6, "successful"))
    write_processed_dataset(tmp_path / "key", rows)
    assert run("browse", tmp_path / "key", "--output_path", tmp_path / "b.html", "--rerun", tmp_path / "b.rrd") == 0
    found = read(tmp_path / "b.rrd")
    video = found["/key/0 whole/video"]
    assert bytes(video["AssetVideo:blob"][0]) == (tmp_path / "key" / "whole.mp4").read_bytes()
    assert video["VideoFrameReference:timestamp"] == [100_000_000 * at for at in range(6)]
    np.testing.assert_allclose(found["/key/0 whole/curves/progress"]["Scalars:scalars"], np.arange(1, 7) / 6)
    assert "/key/1 shorter/video" not in found
    [about] = found["/key/1 shorter/about"]["TextDocument:text"]
    assert "its frames can't be read: `frame_indices[4]` must be < 4" in about
    assert "row 1 of key has no film" in caplog.text


def test_scores_over_the_video_are_those_of_the_lines(tmp_path: Path, checkpoint: Path) -> None:
    needs_rerun()
    stored = write_marked(tmp_path / "a b.mp4", 6)
    other = write_marked(tmp_path / "c.mkv", 6, milliseconds=[0, 100, 250, 300, 400, 900])
    words = ["--task", TASK, "--task", "place", "--model", checkpoint, "--output", tmp_path / "o.jsonl"]
    assert run("score", stored, other, *words, "--rerun", tmp_path / "o.rrd") == 0
    found, said = read(tmp_path / "o.rrd"), [json.loads(line) for line in (tmp_path / "o.jsonl").open()]
    for path in (stored, other):
        for task in (TASK, "place"):
            rows = [one for one in said if (one["video"], one["task"]) == (str(path), task)]
            assert rows
            for name in ("progress", "low", "high", "success"):
                curve = found[f"/{path}/curves/{task}/{name}"]
                assert curve["Scalars:scalars"] == [one[name] for one in rows]
                assert curve["frame"] == [one["frame"] for one in rows]
                np.testing.assert_allclose(
                    np.array(curve["seconds"]) / 1e9, [one["seconds"] for one in rows], atol=1e-6
                )
    assert bytes(found[f"/{stored}/video"]["AssetVideo:blob"][0]) == stored.read_bytes()
    pictures = found[f"/{other}/video"]
    shown = [number(simplejpeg.decode_jpeg(bytes(blob))) for blob in pictures["EncodedImage:blob"]]
    assert shown == pictures["frame"]
    assert pictures["seconds"][-1] == 900_000_000


def test_only_what_every_player_shows_rightly_goes_in_as_it_is_stored(tmp_path: Path) -> None:
    upright = write_marked(tmp_path / "a.mp4", 3)
    assert plays_as_stored(upright)
    turned = Path(shutil.copy(upright, tmp_path / "turned.mp4"))
    set_matrix(turned, 0, 1, -1, 0)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(upright.read_bytes()[:900])
    others = (turned, cut, write_marked(tmp_path / "b.mkv", 3), write_marked(tmp_path / "c.mp4", 3, codec="mpeg4"))
    assert not any(plays_as_stored(path) for path in (*others, tmp_path / "none.mp4"))


def test_a_full_disk_leaves_no_half_recording(tmp_path: Path) -> None:
    needs_rerun()
    from rfm.pages.rerun_file import Episode, Pictures, write_rerun

    noise = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), np.uint8)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"b\.rrd must be written whole, but Rerun says: "):
            write_rerun(tmp_path / "b.rrd", [Episode(("a",), Pictures(noise, range(8)), [], "a")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [*tmp_path.iterdir()]


def test_a_missing_package_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    monkeypatch.delitem(sys.modules, "rfm.pages.rerun_file", raising=False)
    root = make_world(tmp_path / "world", episodes=1, frames=2)
    assert run("browse", root / "toy_train", "--output_path", tmp_path / "b.html", "--rerun", tmp_path / "b.rrd") == 1
    assert "`--rerun` needs `rerun-sdk`" in (said := " ".join(capsys.readouterr().err.split()))
    assert "pip install 'rfm-vqa[rerun]'" in said
    assert not (tmp_path / "b.html").exists()
    video = write_marked(tmp_path / "a.mp4", 2)
    assert run("score", video, "--task", "pick", "--model", tmp_path / "none", "--rerun", tmp_path / "b.rrd") == 1
    assert "`--rerun` needs `rerun-sdk`" in " ".join(capsys.readouterr().err.split())


def test_what_can_be_recorded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`rerun` must end in .rrd, but is b.mcap"):
        ScoreOptions(videos=("a.mp4",), rerun="b.mcap")
    with pytest.raises(ConfigError, match=r"`rerun` must go with trajectory datasets, as ROOT/KEY, but .* is none"):
        BrowseOptions(datasets=(str(tmp_path),), rerun="b.rrd")
