"""`rfm split`: the file that says who is where."""

from __future__ import annotations

import functools
import json
import shutil

import pytest
from films import episode, write_episodes
from splitting import PER_TASK, SHARES, TASKS, near, options, sides_of

from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.splits.command import split
from rfm.splits.file import read_split
from rfm.trajectories.catalog import load_catalog


def test_the_file_says_who_is_where_and_why(four_tasks, by_trajectory):
    content = json.loads(by_trajectory.read_text())
    assert content["settings"] == {
        "shares": {"train": 0.8, "val": 0.1, "test": 0.1},
        "by": "trajectory",
        "seed": 42,
        "near_duplicates": "ignore",
        "max_distance": None,
    }
    assert list(content["source_hashes"]) == ["toy_train"]
    assert [one["trajectories"] for one in content["sides"].values()] == [77, 10, 9]
    assert [one["wanted"] for one in content["sides"].values()] == [76.8, 9.6, 9.6]
    for side in content["sides"].values():
        assert sum(side["counts"]["quality"].values()) == side["trajectories"] == len(side["ids"]["toy_train"])
    sides = sides_of(by_trajectory).values()
    assert set.union(*sides) == set(load_catalog(four_tasks, ["toy_train"]).ids.to_pylist())
    assert sum(map(len, sides)) == TASKS * PER_TASK


def test_by_trajectory_every_side_has_every_task_and_quality(by_trajectory):
    for name, side in json.loads(by_trajectory.read_text())["sides"].items():
        tasks, qualities = side["counts"]["task"].values(), side["counts"]["quality"].values()
        assert (len(tasks), len(qualities)) == (TASKS, 3), name
        assert max(tasks) - min(tasks) <= 2, name
        assert max(qualities) - min(qualities) <= 2, name


def test_the_same_command_gives_the_same_bytes_and_another_seed_others(four_tasks, tmp_path, by_trajectory):
    assert split(options(four_tasks, tmp_path / "a.json")).read_bytes() == by_trajectory.read_bytes()
    assert sides_of(split(options(four_tasks, tmp_path / "b.json", seed=43))) != sides_of(by_trajectory)


def test_ids_are_kept_by_dataset_and_the_order_of_datasets_does_not_matter(four_tasks, tmp_path):
    one, other = (
        read_split(split(options(four_tasks, tmp_path / f"{keys[0]}.json", datasets=keys)))
        for keys in (("toy_train", "toy_eval"), ("toy_eval", "toy_train"))
    )
    assert one.sides == other.sides
    assert all(set(ids) == {"toy_train", "toy_eval"} for ids in one.sides.values())
    assert all(name.startswith(key) for ids in one.sides.values() for key in ids for name in ids[key])
    assert one.content["assignment_hash"] == other.content["assignment_hash"]


@pytest.mark.parametrize(("by", "column"), [("task", "task"), ("source", "source")])
def test_by_task_or_source_none_is_on_two_sides(four_tasks, tmp_path, by, column):
    made = options(four_tasks, tmp_path / "s.json", datasets=("toy_train", "toy_eval"), by=by, split="a=0.6,b=0.4")
    content = json.loads(split(made).read_text())
    counts = [set(side["counts"][column]) for side in content["sides"].values()]
    assert all(counts)
    assert not set.intersection(*counts)


def test_by_scene_a_scene_is_one_over_all_datasets(tmp_path):
    for key in ("one", "two"):
        rows = [episode(tmp_path, key, f"{key}{at}", scene_id=f"scene {at % 5}") for at in range(20)]
        write_episodes(tmp_path, key, rows)
    split(options(tmp_path, tmp_path / "s.json", datasets=("one", "two"), by="scene", split="a=0.6,b=0.4"))
    sides = sides_of(tmp_path / "s.json")
    scenes = [{int(name.lstrip("onetw")) % 5 for name in names} for names in sides.values()]
    assert [len(one) for one in scenes] == [3, 2]
    assert not set.intersection(*scenes)


def test_by_scene_needs_scenes(tmp_path):
    rows = [episode(tmp_path, "k", f"e{at}", scene_id=None if at == 2 else "hall") for at in range(4)]
    write_episodes(tmp_path, "k", rows)
    with pytest.raises(ConfigError) as caught:
        split(options(tmp_path, tmp_path / "s.json", datasets=("k",), by="scene", split="a=0.5,b=0.5"))
    assert str(caught.value) == (
        "`by` may be scene where every trajectory has a `scene_id`, but 1 of 4 have none (the first: `e2`); ingest "
        "with `scene_id` in the manifest, or split by trajectory, task or source"
    )


def test_judged_pairs_stay_together(tmp_path):
    rows = [
        episode(tmp_path, "k", f"e{at}", preference_group_id=f"pair {at // 2}" if at < 30 else None) for at in range(40)
    ]
    write_episodes(tmp_path, "k", rows)
    file = split(options(tmp_path, tmp_path / "s.json", datasets=("k",)))
    for names in sides_of(file).values():
        paired = {int(name[1:]) for name in names if int(name[1:]) < 30}
        assert {at ^ 1 for at in paired} == paired
    assert json.loads(file.read_text())["preference_groups"] == 15


def test_rows_about_one_video_stay_together_whatever_is_looked_for(tmp_path):
    rows = [episode(tmp_path, "k", f"e{at}") for at in range(0, 40, 2)]
    rows += [one.__class__(**{**vars(one), "id": f"e{int(one.id[1:]) + 1}", "task": "do that"}) for one in rows]
    write_episodes(tmp_path, "k", rows)
    for near_duplicates in ("ignore", "report"):
        file = tmp_path / f"{near_duplicates}.json"
        split(options(tmp_path, file, datasets=("k",), split="a=0.5,b=0.5", near_duplicates=near_duplicates))
        for names in sides_of(file).values():
            assert {int(name[1:]) ^ 1 for name in names} == {int(name[1:]) for name in names}


def test_near_duplicates_stay_together(copies, tmp_path, caplog):
    file = near(copies, tmp_path / "s.json", "together")
    for names in sides_of(file).values():
        assert {name[1:] for name in names if name[0] == "c"} == {
            name[1:] for name in names if name[0] == "f" and int(name[1:]) < 10
        }
    found = json.loads(file.read_text())["near_duplicates"]
    assert found["groups"] == sorted([f"copies/c{at}", f"films/f{at}"] for at in range(10))
    assert (found["divided"], found["not_compared"]) == (0, {})
    assert "20 episodes in 10 groups show the same" in caplog.text
    assert "0 of the groups are on more than one side" in caplog.text


def test_near_duplicates_are_reported(copies, tmp_path, caplog):
    file = near(copies, tmp_path / "s.json", "report")
    sides = sides_of(file)
    on_a = [(f"c{at}" in sides["a"], f"f{at}" in sides["a"]) for at in range(10)]
    divided = sum(copy != original for copy, original in on_a)
    found = json.loads(file.read_text())["near_duplicates"]
    assert (len(found["groups"]), found["divided"]) == (10, divided)
    assert divided > 0
    assert f"{divided} of the groups are on more than one side" in caplog.text
    assert sides == sides_of(near(copies, tmp_path / "t.json", "ignore"))


def test_a_smaller_distance_finds_fewer(copies, tmp_path):
    file = near(copies, tmp_path / "s.json", "report", max_distance=0)
    assert len(json.loads(file.read_text())["near_duplicates"]["groups"]) < 10


def test_ignoring_them_reads_no_frame(copies, tmp_path):
    shutil.copytree(copies, tmp_path / "root")
    for key in ("films", "copies"):
        shutil.rmtree(tmp_path / "root" / key / "frames")
    assert sides_of(near(tmp_path / "root", tmp_path / "s.json", "ignore"))


def test_frames_that_cannot_be_read_are_named(copies, tmp_path, caplog):
    shutil.copytree(copies, tmp_path / "root")
    (tmp_path / "root" / "films" / "frames" / "trajectory_f3.npz").unlink()
    content = json.loads(near(tmp_path / "root", tmp_path / "s.json", "together").read_text())
    assert list(content["near_duplicates"]["not_compared"]) == ["films/f3"]
    assert len(content["near_duplicates"]["groups"]) == 9
    assert "1 episodes could not be compared with the others; the first, films/f3:" in caplog.text


def test_the_counts_are_shown(four_tasks, tmp_path, capsys):
    arguments = f"--datasets toy_train --split {SHARES} --datasets_root {four_tasks} --near_duplicates ignore --output"
    assert run_command(("split",), [*arguments.split(), str(tmp_path / "s.json")], "rfm split") == 0
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["all", "77", "10", "9"] in lines
    assert [line[:2] for line in lines if line[:1] == ["quality"]] == [
        ["quality", name] for name in ("failure", "suboptimal", "successful")
    ]
    assert len([line for line in lines if line[:1] == ["task"]]) == TASKS


def test_shares_that_do_not_come_out_are_reported(four_tasks, tmp_path, caplog):
    split(options(four_tasks, tmp_path / "s.json", by="task", split="train=0.6,val=0.2,test=0.2"))
    assert (
        "side train has 48 trajectories instead of 57.6: groups are never divided, and the largest of the 4 has 24"
    ) in caplog.text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"split": "train=0.8,val=0.3"}, "`split` must have shares that sum to 1, but they sum to 1.1"),
        (
            {"by": "colour", "seed": -1},
            "`by` must be one of trajectory, task, source, scene, but is colour\n`seed` must",
        ),
        ({"near_duplicates": "maybe"}, "`near_duplicates` must be together, report, ignore, but is maybe"),
        ({"max_distance": 3}, "`max_distance` must not be given with near_duplicates=ignore, which compares nothing"),
        ({"near_duplicates": "report", "max_distance": 99}, "`max_distance` must be between 0 and 32 bits, but is 99"),
        ({"datasets": ()}, "`datasets` must name one dataset or more, but names none"),
        ({"datasets": ("no",)}, "dataset key `no` must name a dataset under"),
        (
            {"datasets": ("toy_eval",), "by": "task"},
            "must have no more sides than there are groups, but has 3 for 2 gr",
        ),
    ],
)
def test_what_cannot_be_done_is_named(four_tasks, tmp_path, changes, text):
    with pytest.raises(ConfigError) as caught:
        split(options(four_tasks, tmp_path / "s.json", **changes))
    assert text in str(caught.value)
    assert not (tmp_path / "s.json").exists()


def test_no_trajectories_are_no_split(tmp_path):
    write_episodes(tmp_path, "k", [])
    with pytest.raises(ConfigError, match="the datasets k must hold trajectories to split, but none is usable"):
        split(options(tmp_path, tmp_path / "s.json", datasets=("k",)))


def test_a_file_is_replaced_only_if_asked(four_tasks, tmp_path):
    (tmp_path / "s.json").write_text("mine")
    with pytest.raises(
        DataError, match=r"`output` .*s.json exists; add --overwrite to replace it, or name another file"
    ):
        split(options(four_tasks, tmp_path / "s.json"))
    assert (tmp_path / "s.json").read_text() == "mine"
    assert sides_of(split(options(four_tasks, tmp_path / "s.json", overwrite=True)))
    with pytest.raises(ConfigError, match="`output` must be a file in a folder that exists, but is"):
        split(options(four_tasks, tmp_path / "nowhere" / "s.json"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda text: text[:-100], "must be a split, but is none"),
        (lambda text: "{}", "must be a split, but is none"),
        (lambda text: text.replace("toy_train_007", "toy_train_00x"), "must be as `rfm split` wrote it"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "must be as `rfm split` wrote it"),
        (lambda text: with_value(text, ["toy_train"], "source_hashes"), r"`source_hashes` must be an object"),
        (lambda text: with_value(text, "abc", "sides", "val", "ids", "toy_train"), "`sides.val.ids.toy_train` must"),
        (lambda text: with_value(text, 0.8, "settings", "shares"), "`settings.shares` must be an object, but is 0.8"),
    ],
)
def test_a_file_that_was_changed_is_refused(tmp_path, by_trajectory, change, text):
    file = tmp_path / "s.json"
    file.write_text(change(by_trajectory.read_text()))
    with pytest.raises(DataError, match=text):
        read_split(file)


def with_value(text, value, *path):
    content = json.loads(text)
    functools.reduce(dict.__getitem__, path[:-1], content)[path[-1]] = value
    return json.dumps(content)
