"""The bundle of simulated videos: how many of what, on which side, and the plan that it was made by."""

from pathlib import Path

import numpy as np
import pytest
from simulated import ALL_QUALITIES, BUNDLE, Arrays

from rfm.errors import ConfigError
from rfm.ingest.metaworld.bundle import Row
from rfm.ingest.metaworld.sides import exchange_sides, keep_lookalikes_together
from rfm.ingest.metaworld.slots import plan_slots
from rfm.ingest.metaworld.tasks import BUNDLED, TASKS, select_tasks
from rfm.ingest.metaworld.video import read_video, write_video


def test_every_task_has_equally_many_episodes_and_at_least_a_fifth_of_each_quality(rows: list[Row]):
    by_task = {name: [row for row in rows if row["task_id"] == name] for name in BUNDLED}
    assert len(by_task) >= 12
    assert {len(group) for group in by_task.values()} == {len(rows) // len(BUNDLED)}
    for group in by_task.values():
        assert len(group) >= 20
        for quality in ALL_QUALITIES:
            assert sum(row["quality_label"] == quality for row in group) >= len(group) / 5
        assert len({row["task"] for row in group}) >= 2


def test_a_quarter_of_each_task_is_held_out_and_shows_every_quality(rows: list[Row]):
    for name in BUNDLED:
        sources = [(row["data_source"], row["quality_label"]) for row in rows if row["task_id"] == name]
        held_out = [quality for source, quality in sources if source == "metaworld_eval"]
        assert len(held_out) * 4 == len(sources)
        assert set(held_out) == ALL_QUALITIES
        assert {source for source, _ in sources} == {"metaworld_train", "metaworld_eval"}


def test_no_held_out_episode_looks_like_a_training_one(rows: list[Row]):
    slides = [row for row in rows if row["task_id"] == "plate-slide-side"]  # 2 of its 10 did, of all others none
    assert keep_lookalikes_together(BUNDLE, slides) == slides


def test_held_out_episodes_that_look_like_training_ones_change_places_with_others():
    def row(at: int, side: str, task: str = "open it", quality: str = "failure") -> Row:
        return {"id": f"e{at}", "data_source": f"metaworld_{side}", "task": task, "quality_label": quality}

    rows = [row(0, "train"), row(1, "train", task="shut it"), row(2, "train", quality="successful"), row(3, "train")]
    rows += [row(4, "eval"), row(5, "eval")]
    alike = np.eye(6, dtype=bool)
    assert exchange_sides(rows, alike) == rows
    alike[0, 4] = alike[4, 0] = True
    changed = exchange_sides(rows, alike)
    assert [one["data_source"][10:] for one in changed] == ["train", "train", "train", "eval", "train", "eval"]
    assert [one["id"] for one in changed] == [one["id"] for one in rows]


def test_a_held_out_episode_that_cannot_change_places_is_named(caplog: pytest.LogCaptureFixture):
    rows = [
        {"id": f"e{at}", "data_source": side, "task": "open it", "quality_label": "failure"}
        for at, side in enumerate(["metaworld_train", "metaworld_eval", "metaworld_eval"])
    ]
    alike = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]], bool)  # e1 looks like e2, which looks like e0
    assert exchange_sides(rows, alike) == rows
    assert "e1 is held out, but looks like a training episode, and none can replace it" in caplog.text
    assert "e2 is held out" in caplog.text


def test_wording_and_source_do_not_tell_the_quality(rows: list[Row]):
    for key in ("task", "data_source"):
        for value in {row[key] for row in rows}:
            group = [row["quality_label"] for row in rows if row[key] == value]
            assert all(group.count(quality) >= len(group) / 5 for quality in ALL_QUALITIES), value


def test_rows_name_existing_videos_and_states_keep_their_order(rows: list[Row], states: Arrays):
    assert [row["id"] for row in rows] == list(states["id"])
    assert len({row["seed"] for row in rows}) == len(rows)
    for row in rows:
        assert (BUNDLE / row["path"]).is_file()
        assert row["is_robot"] is True
        assert row["num_frames"] == len(row["progress"]) == 32
    assert {path.name for path in (BUNDLE / "videos").iterdir()} == {Path(row["path"]).name for row in rows}


def test_frames_are_evenly_spaced_over_the_whole_episode(states: Arrays):
    gaps = np.diff(states["step"], axis=1)
    assert (states["step"][:, 0] == 0).all()
    assert (np.ptp(gaps, axis=1) <= 1).all()


def test_videos_decode_to_32_frames_of_224_pixels(rows: list[Row]):
    for row in rows[::61]:
        assert read_video(BUNDLE / row["path"]).shape == (32, 224, 224, 3)


def test_the_bundle_is_small_enough_for_a_repository():
    assert sum(path.stat().st_size for path in BUNDLE.rglob("*") if path.is_file()) <= 12e6


def test_the_seed_of_an_episode_does_not_depend_on_how_many_there_are():
    few = {slot.id: slot.seed(3) for slot in plan_slots(select_tasks(["drawer-open"]), 12, seed=5)}
    many = {slot.id: slot.seed(3) for slot in plan_slots(select_tasks(None), 40, seed=5)}
    assert all(many[episode_id] == seed for episode_id, seed in few.items())
    assert len(set(many.values())) == len(many)


@pytest.mark.parametrize("count", [0, 8, 13])
def test_counts_that_cannot_be_split_are_refused(count: int):
    with pytest.raises(ConfigError, match=f"`episodes_per_task` must be a multiple of 4 .* but is {count}"):
        plan_slots(select_tasks(None), count, seed=0)


@pytest.mark.parametrize("names", [["fly"], [], ["door-open", "door-open"]])
def test_tasks_must_be_known_and_named_once(names: list[str]):
    with pytest.raises(ConfigError, match="`tasks` must"):
        select_tasks(names)


def test_every_task_names_other_tasks_and_has_two_wordings():
    for task in TASKS.values():
        assert len(set(task.wordings)) >= 2
        assert task.others
        assert set(task.others) <= set(TASKS) - {task.name}


def test_the_same_frames_give_the_same_file(tmp_path: Path):
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (8, 7, 7, 3), np.uint8)
    frames = blocks.repeat(32, axis=1).repeat(32, axis=2)
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, frames)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert np.abs(read_video(tmp_path / "a.mp4").astype(int) - frames).mean() < 12
    assert not list(tmp_path.glob("*.partial"))
