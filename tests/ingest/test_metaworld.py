"""The simulated videos: every label follows from the stored states, the states from the seeds, the frames from both."""

import json
import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import made_up_episodes
import numpy as np
import pytest

from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.ingest.metaworld.bundle import Row, claim, read_manifest
from rfm.ingest.metaworld.labels import distance, progress_labels, quality_label, share_done
from rfm.ingest.metaworld.others import progress_by_task
from rfm.ingest.metaworld.sides import exchange_sides, keep_lookalikes_together
from rfm.ingest.metaworld.slots import plan_slots
from rfm.ingest.metaworld.task import Task
from rfm.ingest.metaworld.tasks import BUNDLED, TASKS, select_tasks
from rfm.ingest.metaworld.video import read_video, write_video
from rfm.ingest.sources.videos import ingest_videos
from rfm.trajectories.store import read_columns

BUNDLE = Path(__file__).parents[2] / "data" / "metaworld_mini"
ALL_QUALITIES = {"successful", "suboptimal", "failure"}
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return read_manifest(BUNDLE)


@pytest.fixture(scope="module")
def states() -> Arrays:
    with np.load(BUNDLE / "states.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def simulator():
    """The module that simulates, where the libraries for it are installed."""
    for name in ("metaworld", "OpenGL"):  # not imported here: MuJoCo picks its renderer once, and the engine says which
        if find_spec(name) is None:
            pytest.skip(f"re-simulating needs {name}, of the extra `sim`")
    from rfm.errors import MissingExtraError

    try:
        from rfm.ingest.metaworld import simulate
    except MissingExtraError as error:
        pytest.skip(f"re-simulating is not possible here: {error}")
    return simulate


# ---- the bundle, with numpy alone


def test_progress_of_every_episode_follows_from_its_stored_positions(rows: list[Row], states: Arrays):
    difference = np.where(states["axes"][:, None], states["object"].astype(float) - states["goal"][:, None], 0.0)
    d = np.sqrt((difference**2).sum(-1))
    start, threshold = d[:, :1], states["threshold"][:, None]
    expected = np.where(states["success"], 1.0, np.clip((start - d) / (start - threshold), 0.0, 0.99))
    np.testing.assert_allclose([row["progress"] for row in rows], expected, atol=1e-4)


SLIDES = {"window": (1, 0, 0), "drawer": (0, 1, 0), "handle": (0, 0, 1)}
HINGES = {"door": (-0.185, -0.1), "faucet": (0.0, 0.0)}
"""How the part of a fixture moves with its joint; hinges are upright, at x and y from the fixture's origin."""


def point_at(task: Task, joint: np.ndarray, goal: np.ndarray, owner: Task) -> np.ndarray:
    """Where `task` measures, [t, 3], when the joint stands so in an episode of `owner` with this goal."""
    fixture, site = goal - owner.place.goal, np.array(task.place.site)
    if task.scene in SLIDES:
        moved = site + joint[:, None] * SLIDES[task.scene]
    else:
        x, y = site[:2] - HINGES[task.scene]
        turned = x * np.cos(joint) - y * np.sin(joint), x * np.sin(joint) + y * np.cos(joint)
        moved = np.stack([turned[0], turned[1], np.full(len(joint), site[2])], -1) + np.array(
            (*HINGES[task.scene], 0.0)
        )
    return fixture + moved + task.offset


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


# ---- labels and plan, without a simulator


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


# ---- against the simulator


def test_restored_states_have_the_simulators_own_success_and_the_stored_positions(
    simulator, rows: list[Row], states: Arrays
):
    from rfm.ingest.metaworld.engine import goal_of, make_env, object_of, place, success_of

    for i in range(0, len(rows), 9):
        task = TASKS[rows[i]["task_id"]]
        env = make_env(task, rows[i]["seed"])
        np.testing.assert_allclose(goal_of(task, env), states["goal"][i], atol=1e-5)
        for frame in (0, 15, 24, 31):
            place(env, states["qpos"][i, frame, : states["num_qpos"][i]], states["mocap_pos"][i, frame])
            position = object_of(task, env)
            np.testing.assert_allclose(position, states["object"][i, frame], atol=1e-5)
            margin = distance(position, states["goal"][i], states["axes"][i]) - states["threshold"][i]
            if abs(margin) > 1e-4:
                assert success_of(env) == states["success"][i, frame], (rows[i]["id"], frame)


def test_other_tasks_measure_the_same_point_in_the_simulator(simulator, rows: list[Row], states: Arrays):
    from rfm.ingest.metaworld.engine import ALL_V3_ENVIRONMENTS, make_env, place

    for i in range(0, len(rows), 9):
        task = TASKS[rows[i]["task_id"]]
        if task.scene not in SLIDES | HINGES:
            continue
        env = make_env(task, rows[i]["seed"])
        (other,) = [one for one in BUNDLED.values() if one.scene == task.scene and one is not task]
        for frame in (0, 31):
            qpos = states["qpos"][i, frame, : states["num_qpos"][i]]
            place(env, qpos, states["mocap_pos"][i, frame])
            seen = ALL_V3_ENVIRONMENTS[other.env_name]._get_pos_objects(env) + np.array(other.offset)
            goal = states["goal"][i].astype(float)
            expected = point_at(other, qpos[9:10].astype(float), goal, task)[0]
            np.testing.assert_allclose(seen, expected, atol=2e-4)


@pytest.mark.parametrize("place_in_bundle", [0.1, 0.45, 0.8])
def test_an_episode_comes_out_the_same_from_its_seed(
    simulator, rows: list[Row], states: Arrays, place_in_bundle: float
):
    i = int(place_in_bundle * len(rows))
    row = rows[i]
    episode = simulator.simulate(TASKS[row["task_id"]], row["quality_label"], row["policy"], row["seed"])
    assert episode.progress.tolist() == row["progress"]
    by_task = {name: labels.tolist() for name, labels in episode.progress_by_task.items()}
    assert by_task == row["progress_by_task"]
    np.testing.assert_array_equal(episode.qpos, states["qpos"][i, :, : states["num_qpos"][i]])
    np.testing.assert_array_equal(episode.object_pos, states["object"][i])
    np.testing.assert_array_equal(episode.steps, states["step"][i])


def test_what_was_seen_and_done_leads_through_the_stored_states(simulator, rows: list[Row], states: Arrays):
    """Observations hold the states, and the actions bring a simulator from each to the next."""
    from rfm.ingest.metaworld import engine

    i = len(rows) // 3
    row = rows[i]
    task = TASKS[row["task_id"]]
    done = simulator.demonstrated(task, row["quality_label"], row["policy"], row["seed"])
    assert len(done.observations) == len(done.actions) == states["step"][i, -1]
    start = np.random.default_rng(row["seed"]).integers(simulator.MAX_HEAD_START + 1)
    env = engine.make_env(task, row["seed"])
    simulator._approach(task, env, int(start))
    shown = dict(zip(states["step"][i].tolist(), states["qpos"][i, :, : states["num_qpos"][i]], strict=True))
    seen = env._get_obs()
    for step, (observation, action) in enumerate(zip(done.observations, done.actions, strict=True)):
        np.testing.assert_array_equal(seen, observation)
        if step in shown:
            np.testing.assert_array_equal(env.data.qpos.astype(np.float32), shown[step])
        seen = env.step(action)[0]
    np.testing.assert_array_equal(env.data.qpos.astype(np.float32), shown[len(done.actions)])


def test_a_used_environment_reset_from_a_seed_is_a_fresh_one(simulator):
    from rfm.ingest.metaworld import engine

    task = TASKS["door-close"]
    engine._built.cache_clear()
    fresh = simulator.simulate(task, "successful", "expert", 7)
    simulator.simulate(task, "failure", "wandering", 8)
    used = simulator.simulate(task, "successful", "expert", 7)
    np.testing.assert_array_equal(fresh.qpos, used.qpos)


def test_a_rendered_episode_is_the_stored_video(simulator, rows: list[Row], states: Arrays):
    if os.environ.get("MUJOCO_GL") != "osmesa":
        pytest.skip("the videos were drawn with MUJOCO_GL=osmesa; another backend draws edges differently")
    from rfm.ingest.metaworld.render import render

    for i in (5, len(rows) // 2):  # two scenes: the second must not be drawn with what is left of the first
        row = rows[i]
        episode = _stored_episode(simulator, row, states, i)
        frames = render(
            replace(episode, qpos=episode.qpos[[0, 20]], mocap_pos=episode.mocap_pos[[0, 20]]), "right", 224
        )
        stored = read_video(BUNDLE / row["path"])[[0, 20]]
        assert np.abs(frames.astype(int) - stored).mean() < 5.0


def _stored_episode(simulator, row: Row, states: Arrays, i: int):
    return simulator.Episode(
        task=TASKS[row["task_id"]],
        seed=row["seed"],
        variant=row["policy"],
        finished=True,
        steps=states["step"][i],
        qpos=states["qpos"][i, :, : states["num_qpos"][i]],
        mocap_pos=states["mocap_pos"][i],
        object_pos=states["object"][i],
        goal=states["goal"][i],
        success=states["success"][i],
    )


# ---- generating, with the simulator replaced by a fake


@pytest.fixture
def generate(simulator, monkeypatch: pytest.MonkeyPatch):
    """`generate` with episodes made up from the slot instead of simulated, and grey frames."""
    return made_up_episodes.make_up(monkeypatch)


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_interrupted_generation_goes_on_and_ends_with_the_same_bytes(
    generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = {"seed": 3, "episodes_per_task": 12, "tasks": ["door-open", "plate-slide"], "num_workers": 1}
    whole = generate.generate_metaworld(tmp_path / "whole", **settings)
    assert (whole.tasks, whole.episodes, whole.made) == (2, 24, 24)
    assert whole.by_quality == dict.fromkeys(ALL_QUALITIES, 8)
    assert whole.by_source == {"metaworld_train": 18, "metaworld_eval": 6}

    write_part, done = generate.write_part, []

    def failing(output: Path, row: Row, arrays: Arrays) -> None:
        if len(done) == 7:
            (output / "videos" / "left.1.partial").touch()
            raise KeyboardInterrupt
        done.append(row["id"])
        write_part(output, row, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(generate, "write_part", failing)
        with pytest.raises(KeyboardInterrupt):
            generate.generate_metaworld(tmp_path / "cut", **settings)
    assert not (tmp_path / "cut" / "manifest.jsonl").exists()
    assert generate.generate_metaworld(tmp_path / "cut", **settings).made == 17
    assert _bytes_of(tmp_path / "cut") == _bytes_of(tmp_path / "whole")
    assert generate.generate_metaworld(tmp_path / "cut", **settings).made == 0


def test_a_killed_worker_is_one_error_and_the_same_command_goes_on(generate, tmp_path: Path, monkeypatch, capfd):
    settings = {"seed": 3, "episodes_per_task": 12, "tasks": ["door-open"]}
    generate.generate_metaworld(tmp_path / "whole", **settings)
    *_, last = plan_slots(select_tasks(["door-open"]), 12, 3)
    monkeypatch.setattr(generate, "make_episode", made_up_episodes.make_episode)  # which a worker can import
    command = ["--output", str(tmp_path / "cut"), "--seed", "3", "--episodes_per_task", "12", "--tasks", "door-open"]
    with monkeypatch.context() as patch:
        patch.setenv(made_up_episodes.DIES_AT, last.id)
        assert run_command(("ingest", "metaworld"), [*command, "--num_workers", "2"], "rfm ingest metaworld") == 1
    seen = capfd.readouterr().err
    assert seen.count("error: workers must live until their work is done, but one was killed, maybe for lack of m") == 1
    assert "Traceback" not in seen
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut" / "videos").glob("*.mp4")}
    parts = len(list((tmp_path / "cut" / "parts").glob("*.npz")))
    assert 3 <= parts < 12
    summary = generate.generate_metaworld(tmp_path / "cut", **settings, num_workers=2)
    assert summary.made == 12 - parts
    assert sum(path.stat().st_mtime_ns == time for path, time in kept.items()) >= parts
    assert _bytes_of(tmp_path / "cut") == _bytes_of(tmp_path / "whole")


def test_a_folder_with_other_settings_is_refused(generate, tmp_path: Path):
    generate.generate_metaworld(tmp_path, seed=0, episodes_per_task=12, tasks=["door-open"])
    with pytest.raises(DataError, match=r"`output` must be a new folder .*\"seed\": 0.* instead of .*\"seed\": 1"):
        generate.generate_metaworld(tmp_path, seed=1, episodes_per_task=12, tasks=["door-open"])


def test_settings_of_the_bundle_are_the_defaults(simulator):
    from inspect import signature

    from rfm.ingest.metaworld.generate import generate_metaworld

    settings = json.loads((BUNDLE / "generation.json").read_text())
    defaults = {name: parameter.default for name, parameter in signature(generate_metaworld).parameters.items()}
    assert settings["episodes_per_task"] == defaults["episodes_per_task"]
    assert settings["seed"] == defaults["seed"]
    assert settings["tasks"] == list(BUNDLED)


@pytest.mark.parametrize("name", ["manifest.jsonl", "states.npz", "videos/mine.mp4", "parts/mine.npz"])
def test_a_folder_of_somebody_else_is_not_written_into(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(DataError, match="is there and was not written by it; choose another folder"):
        claim(tmp_path, {"seed": 0})
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["mine"]
