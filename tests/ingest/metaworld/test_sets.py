"""Sets beyond the bundled one: further tasks, wordings, cameras and sizes, and sets that are only judged on."""

import json
from importlib.util import find_spec
from pathlib import Path

import made_up_episodes
import numpy as np
import pytest

from rfm.errors import ConfigError
from rfm.ingest.metaworld.bundle import read_manifest
from rfm.ingest.metaworld.cameras import CAMERAS, Filming
from rfm.ingest.metaworld.labels import distance
from rfm.ingest.metaworld.others import progress_by_task
from rfm.ingest.metaworld.slots import plan_slots
from rfm.ingest.metaworld.tasks import BUNDLED, TASKS, select_tasks
from rfm.ingest.metaworld.wordings import wordings_of
from rfm.ingest.sources.videos import ingest_videos
from rfm.trajectories.record import normalise_task
from rfm.trajectories.store import read_columns


@pytest.fixture(scope="module")
def engine():
    """The simulator, where the libraries for it are installed."""
    for name in ("metaworld", "OpenGL"):
        if find_spec(name) is None:
            pytest.skip(f"simulating needs {name}, of the extra `sim`")
    from rfm.errors import MissingExtraError

    try:
        from rfm.ingest.metaworld import engine
    except MissingExtraError as error:
        pytest.skip(f"simulating is not possible here: {error}")
    return engine


def test_at_least_forty_tasks_and_the_bundle_first():
    assert len(TASKS) >= 40
    assert list(TASKS)[: len(BUNDLED)] == list(BUNDLED)
    assert [task.name for task in select_tasks(["all"])] == list(TASKS)
    assert [task.name for task in select_tasks(None)] == list(BUNDLED)
    with pytest.raises(ConfigError, match=r"`tasks` must be `all` or among door-open, .*, but holds all, fly"):
        select_tasks(["all", "fly"])
    for task in TASKS.values():
        assert set(task.others) <= set(TASKS)
        assert {TASKS[name].scene for name in (*task.absent_in, *task.unknown_in)} <= {task.scene}


@pytest.mark.parametrize("name", list(TASKS))
def test_the_expert_succeeds_exactly_where_the_distance_is_within_the_threshold(engine, name: str):
    task, axes, seen = TASKS[name], np.array(TASKS[name].axes), set()
    for seed in range(3, 11):  # not every expert succeeds from everywhere
        env = engine.make_env(task, seed)
        expert, goal = engine.make_expert(name), engine.goal_of(task, env)
        assert float(distance(engine.object_of(task, env), goal, axes)) > 1.15 * task.threshold
        while True not in seen and env.curr_path_length < 300:
            _, _, _, _, info = env.step(engine.expert_action(expert, env._get_obs()).astype(np.float32))
            d = float(distance(engine.object_of(task, env), goal, axes))
            if abs(d - task.threshold) > 1e-6:
                assert bool(info["success"]) == (d <= task.threshold), (name, seed, d)
            seen.add(bool(info["success"]))
        np.testing.assert_allclose(engine.goal_of(task, env), goal, atol=1e-9)
        if True in seen:
            break
    assert seen == {False, True}


def test_each_task_has_wordings_to_learn_and_others_to_be_asked_of_and_shares_none_with_another_task():
    texts: dict[str, str] = {}
    for task in TASKS.values():
        usual, many, held_out = (wordings_of(task, which) for which in ("usual", "many", "held_out"))
        assert many[: len(usual)] == usual
        assert len(many) >= 5
        assert len(held_out) >= 2
        for text in (*many, *held_out):
            assert texts.setdefault(normalise_task(text), task.name) == task.name
        assert len({normalise_task(text) for text in (*many, *held_out)}) == len(many) + len(held_out)
    with pytest.raises(ConfigError, match="`wordings` must be among usual, many, held_out, but is 'few'"):
        wordings_of(TASKS["door-open"], "few")


def test_a_task_without_a_place_is_not_measured_in_others_pictures_nor_others_in_its():
    still = np.zeros((4, 3), np.float32)
    for name in ("plate-slide-back", "door-lock", "push", "handle-pull-side"):
        assert progress_by_task(TASKS[name], still, still[0]) == {}
    known = progress_by_task(TASKS["button-press-topdown-wall"], still, still[0])
    assert {other: labels.max() for other, labels in known.items()} == {"button-press": 0, "button-press-wall": 0}


def test_cameras_and_sizes_are_drawn_by_episode_whatever_else_is_made():
    filming = Filming(("right", "right_low"), (64, 96), 16)
    tasks = select_tasks(["door-open", "push"])
    slots = {slot.id: slot for slot in plan_slots(tasks, 48, 5, filming=filming)}
    for camera in filming.cameras:
        for size in filming.sizes:
            assert sum((slot.camera, slot.size) == (camera, size) for slot in slots.values()) >= 10
    for slot in plan_slots(tasks[1:], 12, 5, filming=filming):
        assert (slot.camera, slot.size) == (slots[slot.id].camera, slots[slot.id].size)
    plain = {slot.id: slot for slot in plan_slots(tasks, 48, 5)}
    assert all(plain[name].seed(2) == slot.seed(2) for name, slot in slots.items())
    assert {(slot.camera, slot.size) for slot in plain.values()} == {("right", 224)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cameras": ("above",)}, r"`cameras` must name some of right, .* once, but is \['above'\]"),
        ({"cameras": ("right", "right")}, "`cameras` must name some of"),
        ({"cameras": ()}, "`cameras` must name some of"),
        ({"sizes": (97,)}, r"`sizes` must hold even numbers of pixels from 32 to 512, each once, but is \[97\]"),
        ({"sizes": (96, 96)}, "`sizes` must hold even numbers"),
        ({"sizes": (1024,)}, "`sizes` must hold even numbers"),
        ({"num_frames": 1}, "`num_frames` must lie between 2 and 128, but is 1"),
    ],
)
def test_filming_that_can_not_be_is_refused(arguments, message: str):
    with pytest.raises(ConfigError, match=message):
        Filming(**arguments)


@pytest.mark.parametrize("name", ["", "Eval", "a b", "../x", "1st"])
def test_names_of_sets_must_be_names(name: str):
    with pytest.raises(ConfigError, match="`data_source` must be made of a-z, 0-9 and _, a letter first, but is"):
        plan_slots(select_tasks(["push"]), 12, 0, source=name)


def test_a_set_that_is_only_judged_on_says_so_in_every_row(engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    generate = made_up_episodes.make_up(monkeypatch)
    filming = Filming(("right_far",), (64,), 32)
    made = generate.generate_metaworld(
        tmp_path / "set",
        episodes_per_task=12,
        tasks=["push"],
        wordings="held_out",
        filming=filming,
        data_source="judged",
    )
    assert made.by_source == {"judged": 12}
    rows = read_manifest(tmp_path / "set")
    assert {row["task"] for row in rows} == set(wordings_of(TASKS["push"], "held_out"))
    assert {row["camera"] for row in rows} == {"right_far"}
    assert rows[0]["id"] == "judged_push_000"
    settings = json.loads((tmp_path / "set" / "generation.json").read_text())
    assert settings["data_source"] == "judged"
    assert (settings["cameras"], settings["sizes"], settings["wordings"]) == (["right_far"], [64], "held_out")
    ingest_videos(tmp_path / "set", tmp_path / "root")
    assert {row["task_id"] for row in read_columns(tmp_path / "root" / "judged", ("task_id",)).to_pylist()} == {"push"}


def test_a_bundle_has_no_trace_of_what_other_sets_can_have(engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    generate = made_up_episodes.make_up(monkeypatch)
    generate.generate_metaworld(tmp_path, episodes_per_task=12, tasks=["door-open"])
    assert set(json.loads((tmp_path / "generation.json").read_text())) == {
        "seed",
        "episodes_per_task",
        "tasks",
        "metaworld",
        "mujoco",
    }
    assert "camera" not in read_manifest(tmp_path)[0]


@pytest.mark.parametrize(("camera", "size"), [("right_low", 64), ("side", 96)])
def test_an_episode_is_filmed_from_the_asked_camera_in_the_asked_size(engine, camera: str, size: int):
    from rfm.ingest.metaworld.render import render
    from rfm.ingest.metaworld.simulate import simulate

    episode = simulate(TASKS["reach"], "failure", "idle", 1, 4)
    frames = render(episode, camera, size)
    assert frames.shape == (4, size, size, 3)
    other = render(episode, next(name for name in CAMERAS if name != camera), size)
    assert np.abs(frames.astype(int) - other).mean() > 5
    assert frames.std() > 20
