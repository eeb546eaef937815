"""The sets of metaworld-small: what is unseen is unseen, and each side is a dataset that one call makes."""

import re
from importlib.util import find_spec
from pathlib import Path

import made_up_episodes
import pytest

from rfm.ingest.metaworld.bundle import read_manifest
from rfm.ingest.metaworld.tasks import TASKS
from rfm.ingest.metaworld.wordings import wordings_of
from rfm.metaworld_small import sides
from rfm.metaworld_small.sides import COMPOSITIONS, MORE, OBJECTS, SEEN, SETS, SIDES, TRAINING, make_sets
from rfm.trajectories.store import read_columns


def _words(names, which: str) -> set[str]:
    texts = (text for name in names for text in wordings_of(TASKS[name], which))
    return {word for text in texts for word in re.findall(r"[a-z]+", text)}


def test_every_task_is_seen_or_one_of_at_least_six_unseen():
    assert sorted((*SEEN, *COMPOSITIONS, *OBJECTS)) == sorted(TASKS)
    assert len(COMPOSITIONS) + len(OBJECTS) >= 6
    assert sum(len(one.tasks) * one.episodes_per_task for one in SETS) >= 2000
    assert len({name for one in SETS for name in one.tasks}) >= 40


def test_compositions_are_of_words_that_training_has_and_none_of_their_instructions_is():
    heard = _words(SEEN, "many")
    assert _words(COMPOSITIONS, "many") <= heard
    assert not _words(OBJECTS, "many") <= heard


def test_held_out_wordings_of_seen_tasks_hardly_need_a_word_that_training_lacks():
    assert len(_words(SEEN, "held_out") - _words(SEEN, "many")) <= 2


def test_nothing_but_the_training_sets_is_trained_on_and_each_set_has_a_seed_of_its_own():
    (train,) = [one for one in SETS if one.data_source is None]
    assert train.tasks == SEEN
    assert train.seed not in [one.seed for one in SETS if one is not train]
    assert {one.tasks for one in SETS if one.data_source == MORE} == {SEEN}
    assert MORE not in SIDES.values()
    assert set(SIDES.values()) >= {one.data_source for one in SETS if one is not train and one.data_source != MORE}
    camera = next(one for one in SETS if one.name == "camera")
    assert not set(camera.filming.cameras) & set(train.filming.cameras)
    assert not set(camera.filming.sizes) & set(train.filming.sizes)


def test_each_side_is_a_dataset_and_held_out_wordings_are_asked_of_the_held_out_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("metaworld", "OpenGL"):
        if find_spec(name) is None:
            pytest.skip(f"simulating needs {name}, of the extra `sim`")
    generate = made_up_episodes.make_up(monkeypatch)
    monkeypatch.setattr(generate, "keep_lookalikes_together", lambda output, rows: rows)  # grey frames all look alike
    few = {"train": ("door-open", "push"), "compositions": ("push-wall",), "camera": ("door-open",)}
    made = [one for one in SETS if one.name in few]
    small = tuple(sides.Set(one.name, few[one.name], 12, one.seed, one.filming, one.data_source) for one in made)
    monkeypatch.setattr(sides, "SETS", small)
    root = make_sets(tmp_path)
    assert {path.name for path in root.iterdir() if path.is_dir()} == {
        TRAINING, "metaworld_eval", "metaworld_wordings", "metaworld_compositions", "metaworld_camera",
    }  # fmt: skip
    columns = ("task", "task_id", "quality_label", "progress")
    held_out, reworded = (
        read_columns(root / key, columns).to_pylist() for key in ("metaworld_eval", "metaworld_wordings")
    )
    assert len(held_out) == len(reworded) == 6
    for before, after in zip(held_out, reworded, strict=True):
        assert {**before, "task": ""} == {**after, "task": ""}
        assert before["task"] in wordings_of(TASKS[before["task_id"]], "many")
        assert after["task"] in wordings_of(TASKS[after["task_id"]], "held_out")
    assert {row["camera"] for row in read_manifest(tmp_path / "camera")} == {"side"}
    assert make_sets(tmp_path, ["camera"]) == root
