"""Labels of simulated episodes: each follows from the stored states, with numpy alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from simulated import BUNDLE, HINGES, SLIDES, Arrays, point_at

from rfm.ingest.metaworld.bundle import Row
from rfm.ingest.metaworld.labels import distance, progress_labels, quality_label, share_done
from rfm.ingest.metaworld.others import progress_by_task
from rfm.ingest.metaworld.tasks import BUNDLED, TASKS
from rfm.ingest.sources.videos import ingest_videos
from rfm.trajectories.store import read_columns


def test_progress_of_every_episode_follows_from_its_stored_positions(rows: list[Row], states: Arrays):
    difference = np.where(states["axes"][:, None], states["object"].astype(float) - states["goal"][:, None], 0.0)
    d = np.sqrt((difference**2).sum(-1))
    start, threshold = d[:, :1], states["threshold"][:, None]
    expected = np.where(states["success"], 1.0, np.clip((start - d) / (start - threshold), 0.0, 0.99))
    np.testing.assert_allclose([row["progress"] for row in rows], expected, atol=1e-4)


def test_places_of_tasks_are_where_the_simulator_had_them(states: Arrays):
    for i, name in enumerate(states["task"]):
        task = TASKS[str(name)]
        if task.scene in SLIDES | HINGES:
            position = point_at(task, states["qpos"][i, :, 9].astype(float), states["goal"][i].astype(float), task)
            np.testing.assert_allclose(position, states["object"][i], atol=2e-4)


def test_usual_starts_are_those_of_the_bundle(states: Arrays):
    for task in BUNDLED.values():
        own = states["task"] == task.name
        if task.place is not None and task.scene != "plate":
            starts = states["object"][own, 0].astype(float) - states["goal"][own]
            np.testing.assert_allclose(np.median(starts, axis=0), task.place.start, atol=5e-4, err_msg=task.name)


def test_progress_towards_other_tasks_follows_from_the_stored_positions(rows: list[Row], states: Arrays):
    for i, row in enumerate(rows):
        task = TASKS[row["task_id"]]
        found = progress_by_task(task, states["object"][i], states["goal"][i])
        assert row["scene_id"] == f"metaworld-{task.scene}"
        assert list(found) == list(row["progress_by_task"])
        for name, labels in found.items():
            np.testing.assert_allclose(row["progress_by_task"][name], labels, atol=1e-4, err_msg=row["id"])


def test_progress_towards_other_tasks_is_their_own_formula_on_the_joint_that_both_move(rows: list[Row], states: Arrays):
    for i, row in enumerate(rows):
        task = TASKS[row["task_id"]]
        for name, labels in row["progress_by_task"].items() if task.scene in SLIDES | HINGES else ():
            other, goal = TASKS[name], states["goal"][i].astype(float)
            point = point_at(other, states["qpos"][i, :, 9].astype(float), goal, task)
            difference = np.where(other.axes, point - (goal - task.place.goal + other.place.goal), 0.0)
            d, start = (
                np.sqrt((difference**2).sum(-1)),
                np.sqrt((np.where(other.axes, other.place.start, 0) ** 2).sum()),
            )
            clear = np.abs(d - other.threshold) > 2e-4
            expected = np.where(d <= other.threshold, 1.0, np.clip((start - d) / (start - other.threshold), 0.0, 0.99))
            np.testing.assert_allclose(np.array(labels)[clear], expected[clear], atol=1e-3, err_msg=row["id"])


def test_what_stands_as_another_task_wants_it_counts_for_that_task(rows: list[Row]):
    first, last = {}, {}
    for row in rows:
        for name, labels in row["progress_by_task"].items():
            first.setdefault((row["task_id"], name), []).append(labels[0])
            last.setdefault((row["task_id"], name, row["quality_label"]), []).append(labels[-1])
    opposites = [("door-open", "door-close"), ("drawer-open", "drawer-close"), ("window-open", "window-close")]
    opposites += [(b, a) for a, b in opposites] + [("handle-press", "handle-pull"), ("handle-pull", "handle-press")]
    for own, other in opposites:
        assert min(first[own, other]) > 0.89, (own, other)
        ends = [np.mean(last[own, other, quality]) for quality in ("successful", "suboptimal", "failure")]
        assert ends == sorted(ends), (own, other)
        assert ends[0] < 0.35
        assert ends[2] > 0.8
    for own, other in (("faucet-open", "faucet-close"), ("faucet-close", "faucet-open")):
        assert first[own, other] == [0.0] * 40, "both begin in the middle"
        assert last[own, other, "successful"] == [0.0] * 14, "and turn to opposite sides"
        assert max(last[own, other, "failure"]) > 0.2, "some were turned to the other side"
    for own, other in (("button-press", "button-press-topdown"), ("button-press-topdown", "button-press")):
        assert {*first[own, other], *last[own, other, "successful"]} == {0.0}, "that button is not in the picture"
    assert last["plate-slide-side", "plate-slide", "successful"] == [1.0] * 14, "there is one net"
    expected = {*opposites, ("faucet-open", "faucet-close"), ("faucet-close", "faucet-open")}
    expected |= {("button-press", "button-press-topdown"), ("button-press-topdown", "button-press")}
    assert set(first) == expected | {("plate-slide-side", "plate-slide")}


def test_episodes_that_overshoot_another_task_say_nothing_of_it(rows: list[Row]):
    silent = [row["id"][-3:] for row in rows if row["task_id"] == "handle-pull" and not row["progress_by_task"]]
    assert silent == ["025", "031", "032", "035"], "pushed down through the stop, 2 cm and more below the goal"


def test_scenes_and_progress_towards_other_tasks_arrive_in_the_dataset(rows: list[Row], tmp_path: Path):
    chosen = [row for row in rows if row["id"].endswith(("window_open_001", "plate_slide_001"))]
    (tmp_path / "videos").symlink_to(BUNDLE / "videos")
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen))
    ingest_videos(tmp_path, tmp_path / "out", max_frames=8)
    plate, window = read_columns(
        tmp_path / "out" / "metaworld_train", ("scene_id", "progress", "progress_by_task")
    ).to_pylist()
    assert (plate["scene_id"], plate["progress_by_task"]) == ("metaworld-plate", None)
    assert window["scene_id"] == "metaworld-window"
    (towards,) = window["progress_by_task"]
    assert towards["task_id"] == "window-close"
    whole = {row["id"]: row for row in rows}["metaworld_window_open_001"]
    at = [whole["progress"].index(pytest.approx(one)) for one in window["progress"]]
    assert towards["progress"] == pytest.approx([whole["progress_by_task"]["window-close"][frame] for frame in at])


def test_success_is_the_distance_within_the_threshold_at_every_frame(states: Arrays):
    d = np.stack([distance(o, g, a) for o, g, a in zip(states["object"], states["goal"], states["axes"], strict=True)])
    margin = d - states["threshold"][:, None]
    clear = np.abs(margin) > 1e-5
    np.testing.assert_array_equal((margin < 0)[clear], states["success"][clear])


def test_quality_is_that_of_the_last_frame(rows: list[Row], states: Arrays):
    for row, success in zip(rows, states["success"], strict=True):
        assert row["quality_label"] == quality_label(bool(success[-1]), row["progress"][-1])
        assert row["partial_success"] == row["progress"][-1]
        assert (row["partial_success"] == 1.0) == (row["quality_label"] == "successful")


def test_progress_reaches_one_at_the_threshold_and_only_where_success_is():
    positions = np.array([[0.0, 0, 9], [0.5, 0, 9], [0.89, 0, 9], [0.9, 0, 9], [0.0, 0, 9], [-1.0, 0, 9]])
    success = np.array([False, False, False, True, False, False])
    labels = progress_labels(positions, np.array([1.0, 0, 0]), np.array([True, True, False]), 0.1, success)
    np.testing.assert_allclose(labels, [0.0, 0.5556, 0.9889, 1.0, 0.0, 0.0])


def test_progress_without_success_stays_below_one():
    positions, never = np.array([[0.0, 0, 0], [1.0, 0, 0]]), np.array([False, False])
    assert progress_labels(positions, np.array([1.0, 0, 0]), np.ones(3, bool), 0.1, never)[-1] == 0.99


def test_another_task_that_is_overshot_is_left_out():
    window, drawn = TASKS["window-close"], np.array([0.21, 0.11, 0.01])
    goal = np.array([0.5, 0.8, 0.2])
    positions = goal + drawn[:, None] * (1.0, 0, 0) + (0.0, -0.095, 0.0)
    (labels,) = progress_by_task(window, positions, goal).values()
    np.testing.assert_allclose(labels, [1.0, 0.5263, 0.0])
    assert progress_by_task(window, positions + np.array([0.1, 0, 0]), goal) == {}


def test_an_episode_that_starts_solved_is_refused():
    with pytest.raises(ValueError, match=r"first frame must be > 0\.1 .* but is 0\.05"):
        share_done(0.0, 0.05, 0.1)


@pytest.mark.parametrize(
    ("success", "progress", "quality"),
    [(True, 1.0, "successful"), (False, 0.99, "suboptimal"), (False, 0.3, "suboptimal"), (False, 0.2999, "failure")],
)
def test_quality_by_success_and_final_progress(success: bool, progress: float, quality: str):
    assert quality_label(success, progress) == quality
