from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
from datasets import load_from_disk
from films import as_jpeg, episode, film, write_episodes
from worlds import make_world

from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.trajectories.catalog import load_catalog
from rfm.vqa.generate import GenerateOptions, generate
from rfm.vqa.split_command import SplitOptions, split
from rfm.vqa.split_file import read_split
from rfm.vqa.verify import verify

SHARES = "train=0.8,val=0.1,test=0.1"
TASKS, PER_TASK = 4, 24


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Four tasks of 24 episodes, and another dataset of two of them."""
    root = make_world(tmp_path_factory.mktemp("world"), "toy_train", episodes=TASKS * PER_TASK, tasks=TASKS)
    return make_world(root, "toy_eval", episodes=12, tasks=2, seed=1)


@pytest.fixture(scope="module")
def by_trajectory(world, tmp_path_factory):
    return split(options(world, tmp_path_factory.mktemp("split") / "splits.json"))


def options(root, output, **changes) -> SplitOptions:
    settings = {"datasets": ("toy_train",), "split": SHARES, "near_duplicates": "ignore", **changes}
    return SplitOptions(output=str(output), datasets_root=str(root), **settings)


def sides_of(file) -> dict[str, set[str]]:
    return {name: {one for ids in side.values() for one in ids} for name, side in read_split(file).sides.items()}


def draw(root, output, *overrides, **changes) -> GenerateOptions:
    overrides = (f"data.datasets_root={root}", "data.train_datasets=[toy_train]", *overrides)
    return GenerateOptions(output_path=str(output), **{"num_samples": 200, "config_overrides": overrides, **changes})


def shown_in(path) -> set[str]:
    """The ids of all trajectories in a VQA dataset."""
    rows = load_from_disk(str(path))
    names = ("trajectory_id", "first_trajectory_id", "second_trajectory_id", "reference_trajectory_id")
    return {one for name in names for one in rows[name] if one is not None}


def config_of(path):
    return json.loads((path / "generation_config.json").read_text())


# --- the file


def test_the_file_says_who_is_where_and_why(world, by_trajectory):
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
    assert set.union(*sides) == set(load_catalog(world, ["toy_train"]).ids.to_pylist())
    assert sum(map(len, sides)) == TASKS * PER_TASK


def test_by_trajectory_every_side_has_every_task_and_quality(by_trajectory):
    for name, side in json.loads(by_trajectory.read_text())["sides"].items():
        tasks, qualities = side["counts"]["task"].values(), side["counts"]["quality"].values()
        assert (len(tasks), len(qualities)) == (TASKS, 3), name
        assert max(tasks) - min(tasks) <= 2, name
        assert max(qualities) - min(qualities) <= 2, name


def test_the_same_command_gives_the_same_bytes_and_another_seed_others(world, tmp_path, by_trajectory):
    assert split(options(world, tmp_path / "a.json")).read_bytes() == by_trajectory.read_bytes()
    assert sides_of(split(options(world, tmp_path / "b.json", seed=43))) != sides_of(by_trajectory)


def test_ids_are_kept_by_dataset_and_the_order_of_datasets_does_not_matter(world, tmp_path):
    one, other = (
        read_split(split(options(world, tmp_path / f"{keys[0]}.json", datasets=keys)))
        for keys in (("toy_train", "toy_eval"), ("toy_eval", "toy_train"))
    )
    assert one.sides == other.sides
    assert all(set(ids) == {"toy_train", "toy_eval"} for ids in one.sides.values())
    assert all(name.startswith(key) for ids in one.sides.values() for key in ids for name in ids[key])
    assert one.content["assignment_hash"] == other.content["assignment_hash"]


@pytest.mark.parametrize(("by", "column"), [("task", "task"), ("source", "source")])
def test_by_task_or_source_none_is_on_two_sides(world, tmp_path, by, column):
    made = options(world, tmp_path / "s.json", datasets=("toy_train", "toy_eval"), by=by, split="a=0.6,b=0.4")
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


# --- near-duplicates


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Thirty films, and of the first ten a copy with the noise of a JPEG, under another name and in another dataset."""
    root = tmp_path_factory.mktemp("copies")
    films = [film(at) for at in range(30)]
    write_episodes(root, "films", [episode(root, "films", f"f{at}", one) for at, one in enumerate(films)])
    write_episodes(root, "copies", [episode(root, "copies", f"c{at}", as_jpeg(films[at], 60)) for at in range(10)])
    return root


def near(copies, output, what, **changes):
    made = options(copies, output, datasets=("films", "copies"), split="a=0.5,b=0.5", near_duplicates=what, **changes)
    return split(made)


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


# --- the command


def test_the_counts_are_shown(world, tmp_path, capsys):
    arguments = f"--datasets toy_train --split {SHARES} --datasets_root {world} --near_duplicates ignore --output"
    assert run_command(("split",), [*arguments.split(), str(tmp_path / "s.json")], "rfm split") == 0
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().err.splitlines()]
    assert ["all", "77", "10", "9"] in lines
    assert [line[:2] for line in lines if line[:1] == ["quality"]] == [
        ["quality", name] for name in ("failure", "suboptimal", "successful")
    ]
    assert len([line for line in lines if line[:1] == ["task"]]) == TASKS


def test_shares_that_do_not_come_out_are_reported(world, tmp_path, caplog):
    split(options(world, tmp_path / "s.json", by="task", split="train=0.6,val=0.2,test=0.2"))
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
def test_what_cannot_be_done_is_named(world, tmp_path, changes, text):
    with pytest.raises(ConfigError) as caught:
        split(options(world, tmp_path / "s.json", **changes))
    assert text in str(caught.value)
    assert not (tmp_path / "s.json").exists()


def test_no_trajectories_are_no_split(tmp_path):
    write_episodes(tmp_path, "k", [])
    with pytest.raises(ConfigError, match="the datasets k must hold trajectories to split, but none is usable"):
        split(options(tmp_path, tmp_path / "s.json", datasets=("k",)))


def test_a_file_is_replaced_only_if_asked(world, tmp_path):
    (tmp_path / "s.json").write_text("mine")
    with pytest.raises(
        DataError, match=r"`output` .*s.json exists; add --overwrite to replace it, or name another file"
    ):
        split(options(world, tmp_path / "s.json"))
    assert (tmp_path / "s.json").read_text() == "mine"
    assert sides_of(split(options(world, tmp_path / "s.json", overwrite=True)))
    with pytest.raises(ConfigError, match="`output` must be a file in a folder that exists, but is"):
        split(options(world, tmp_path / "nowhere" / "s.json"))


# --- questions from one side


@pytest.mark.parametrize("side", ["train", "val", "test"])
def test_questions_of_a_side_show_its_trajectories_only(world, tmp_path, by_trajectory, side):
    made = draw(world, tmp_path / "vqa", f"data.split_file={by_trajectory}", partition=side)
    path = generate(made)
    assert shown_in(path) <= sides_of(by_trajectory)[side]
    assert len(shown_in(path)) > len(sides_of(by_trajectory)[side]) / 2
    record = config_of(path)
    assert (record["partition"], record["split"]["side"], record["split"]["by"]) == (side, side, "trajectory")
    assert record["split"]["assignment_hash"] == read_split(by_trajectory).content["assignment_hash"]
    assert record["trajectories"]["used"] == len(sides_of(by_trajectory)[side])
    assert verify(path, None) == path


def test_an_evaluation_set_of_a_side(world, tmp_path, by_trajectory):
    path = generate(
        draw(world, tmp_path / "vqa", f"data.split_file={by_trajectory}", partition="test", eval_set="prefixes")
    )
    assert shown_in(path) <= sides_of(by_trajectory)["test"]


def test_a_side_that_is_none_is_named_with_those_there_are(world, tmp_path, by_trajectory):
    with pytest.raises(ConfigError) as caught:
        generate(draw(world, tmp_path / "vqa", f"data.split_file={by_trajectory}", partition="dev"))
    assert str(caught.value) == "`partition` must be a side of the split (train, val, test), but is dev"
    with pytest.raises(
        ConfigError, match=r"must be train or eval, but is val; the sides of a split need `data.split_f"
    ):
        generate(draw(world, tmp_path / "vqa", partition="val"))


def test_trajectories_that_were_not_split_are_counted(world, tmp_path, by_trajectory):
    both = ("data.train_datasets=[toy_train,toy_eval]", f"data.split_file={by_trajectory}")
    with pytest.raises(ConfigError) as caught:
        generate(draw(world, tmp_path / "vqa", *both))
    assert str(caught.value) == (
        "`data.split_file` must name every trajectory that is drawn from, but lacks 12 of 12 of `toy_eval` (the first: "
        "`toy_eval_000`); split again with `rfm split --datasets toy_train toy_eval`, or name in data.train_datasets "
        "only datasets that were split"
    )


def test_datasets_that_changed_are_reported(tmp_path, caplog):
    rows = [episode(tmp_path, "k", f"e{at}") for at in range(20)]
    write_episodes(tmp_path, "k", rows)
    file = split(options(tmp_path, tmp_path / "s.json", datasets=("k",), split="a=0.5,b=0.5"))
    gone = sorted(sides_of(file)["a"])[0]
    changed = [dataclasses.replace(row, quality_label="failure") for row in rows[::2]] + rows[1::2]
    write_episodes(tmp_path, "k", [row for row in changed if row.id != gone])
    overrides = (f"data.split_file={file}", "data.train_datasets=[k]")
    generate(draw(tmp_path, tmp_path / "vqa", *overrides, partition="a", num_samples=10))
    assert "k changed since the split was made; their trajectories are all in it" in caplog.text
    assert "1 trajectories of side a are not there any more or can't be used" in caplog.text


def test_datasets_that_are_left_out_are_reported(world, tmp_path, caplog):
    file = split(options(world, tmp_path / "s.json", datasets=("toy_train", "toy_eval")))
    generate(draw(world, tmp_path / "vqa", f"data.split_file={file}", partition="train"))
    left_out = len(read_split(file).sides["train"]["toy_eval"])
    assert (
        f"side train also has {left_out} of toy_eval, which data.train_datasets does not name: left out" in caplog.text
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda text: text[:-100], "must be a split, but is none"),
        (lambda text: "{}", "must be a split, but is none"),
        (lambda text: text.replace("toy_train_007", "toy_train_00x"), "must be as `rfm split` wrote it"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "must be as `rfm split` wrote it"),
    ],
)
def test_a_file_that_was_changed_is_refused(tmp_path, by_trajectory, change, text):
    file = tmp_path / "s.json"
    file.write_text(change(by_trajectory.read_text()))
    with pytest.raises(DataError, match=text):
        read_split(file)


def test_a_file_that_is_none_is_named(world, tmp_path):
    with pytest.raises(
        ConfigError, match=r"`data.split_file` must be a file that `rfm split` wrote, but nowhere is no fi"
    ):
        generate(draw(world, tmp_path / "vqa", "data.split_file=nowhere"))


# --- all sides in one go


@pytest.fixture(scope="module")
def all_sides(world, tmp_path_factory):
    output = tmp_path_factory.mktemp("all") / "vqa"
    assert generate(draw(world, output, split=SHARES)) == output
    return output


def test_every_side_gets_a_dataset_of_its_own(all_sides):
    assert sorted(one.name for one in all_sides.iterdir()) == ["splits.json", "test", "train", "val"]
    assert [len(load_from_disk(str(all_sides / side))) for side in ("train", "val", "test")] == [160, 20, 20]
    sides = sides_of(all_sides / "splits.json")
    shown = {side: shown_in(all_sides / side) for side in sides}
    assert all(shown[side] and shown[side] <= sides[side] for side in sides)
    assert sum(map(len, shown.values())) == len(set.union(*shown.values()))
    assert verify(all_sides / "val", None) == all_sides / "val"


def test_by_task_the_tasks_differ_too(world, tmp_path):
    path = generate(draw(world, tmp_path / "vqa", split="train=0.5,test=0.5", split_by="task"))
    tasks = [set(load_from_disk(str(path / side))["task"]) for side in ("train", "test")]
    assert [len(one) for one in tasks] == [2, 2]
    assert not set.intersection(*tasks)


def test_near_duplicates_are_looked_for_unless_told_otherwise(copies, tmp_path):
    overrides = ("data.train_datasets=[films,copies]",)
    path = generate(draw(copies, tmp_path / "vqa", *overrides, split="a=0.5,b=0.5"))
    assert json.loads((path / "splits.json").read_text())["near_duplicates"]["divided"] == 0
    shutil.copytree(copies, tmp_path / "root")
    shutil.rmtree(tmp_path / "root" / "films" / "frames")
    blind = draw(tmp_path / "root", tmp_path / "b", *overrides, split="a=0.5,b=0.5", split_near_duplicates="ignore")
    assert json.loads((generate(blind) / "splits.json").read_text())["near_duplicates"]["groups"] == []


def test_the_same_command_goes_on_where_it_stopped(world, tmp_path, caplog):
    made = draw(world, tmp_path / "vqa", split=SHARES)
    path = generate(made)
    before = {side: (config_of(path / side), (path / side).stat().st_mtime_ns) for side in ("train", "val", "test")}
    shutil.rmtree(path / "val")
    with caplog.at_level("INFO", "rfm"):
        generate(made)
    assert f"160 samples in {path / 'train'}, complete before" in caplog.text
    after = {side: (config_of(path / side), (path / side).stat().st_mtime_ns) for side in ("train", "val", "test")}
    assert before["train"] == after["train"]
    assert before["val"][0] == after["val"][0]


def test_shards_make_the_same_sides(world, tmp_path, all_sides):
    for shard in ("2/2", "1/2"):
        path = generate(draw(world, tmp_path / "vqa", split=SHARES, shard=shard, save_batch_size=10))
    for side in ("train", "val", "test"):
        assert config_of(path / side)["content_hash"] == config_of(all_sides / side)["content_hash"]


def test_epochs_are_of_each_side(world, tmp_path):
    path = generate(draw(world, tmp_path / "vqa", split=SHARES, num_samples=10000, num_epochs=None))
    assert len(load_from_disk(str(path / "train"))) == 8000
    epochs = dataclasses.replace(GenerateOptions("x"), output_path=str(tmp_path / "epochs"), num_epochs=2, split=SHARES,
                                 config_overrides=draw(world, "x").config_overrides)  # fmt: skip
    path = generate(epochs)
    assert [len(load_from_disk(str(path / side))) for side in ("train", "val", "test")] == [154, 20, 18]


def test_another_split_or_dataset_in_the_folder_is_not_mixed_in(world, all_sides, tmp_path):
    path = tmp_path / "vqa"
    shutil.copytree(all_sides, path)
    with pytest.raises(
        DataError, match=r"has another split in splits.json; add --overwrite to replace it and its sides"
    ):
        generate(draw(world, path, split="train=0.8,val=0.1,test=0.1", seed=7))
    with pytest.raises(
        DataError, match=r"must hold no datasets but the sides of --split \(train, val\), but .* has test"
    ):
        generate(draw(world, path, split="train=0.9,val=0.1", overwrite=True))
    with pytest.raises(DataError, match="train is a dataset itself; name another"):
        generate(draw(world, path / "train", split=SHARES))
    (tmp_path / "file").write_text("…")
    with pytest.raises(DataError, match=r"but .*file is a file"):
        generate(draw(world, tmp_path / "file", split=SHARES))
    (path / "splits.json").unlink()
    with pytest.raises(DataError, match="train exists; add --overwrite"):
        generate(draw(world, path, split=SHARES))
    generate(draw(world, path, split=SHARES, seed=7, overwrite=True))
    assert config_of(path / "val")["seed"] == 7
    assert sides_of(path / "splits.json") != sides_of(all_sides / "splits.json")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"split": SHARES, "partition": "val"},
            "`split` and `partition` must not be given together; all sides are writ",
        ),
        (
            {"split": SHARES, "eval_set": "ranking"},
            "`split` and `eval_set` must not be given together; draw an evaluat",
        ),
        ({"split_by": "task"}, "`split_by` must come with `split`, but is given alone"),
        ({"split_near_duplicates": "report"}, "`split_near_duplicates` must come with `split`, but is given alone"),
        ({"split": "train=1,test=0"}, "`split` must have shares above 0 and below 1, but `train` has '1'"),
    ],
)
def test_options_that_contradict_each_other_are_named(changes, text):
    with pytest.raises(ConfigError) as caught:
        GenerateOptions(output_path="x", **changes)
    assert text in str(caught.value)


def test_a_side_needs_rows_and_the_file_and_the_flag_exclude_each_other(world, tmp_path, by_trajectory):
    with pytest.raises(ConfigError) as caught:
        generate(draw(world, tmp_path / "vqa", split=SHARES, num_samples=4))
    assert str(caught.value) == (
        "`num_samples` must give every side of the split a row, but 4 give `val` (0.1) none; ask for more"
    )
    with pytest.raises(
        ConfigError, match=r"`split` and `data.split_file` must not be given together; draw a side of th"
    ):
        generate(draw(world, tmp_path / "vqa", f"data.split_file={by_trajectory}", split=SHARES))
    assert not (tmp_path / "vqa").exists()
