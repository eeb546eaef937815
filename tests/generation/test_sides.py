"""`rfm generate` of the sides of a split."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
from pathlib import Path

import pytest
from datasets import load_from_disk
from films import episode, write_episodes
from power_cuts import killed_at
from splitting import SHARES, config_of, draw, options, shown_in, sides_of

from rfm.errors import ConfigError, DataError
from rfm.files.lock import exclusive
from rfm.files.ownership import partial_of
from rfm.generation.generate import GenerateOptions, generate
from rfm.generation.verify import verify
from rfm.splits.command import split
from rfm.splits.file import read_split
from rfm.vqa.dataset import load_dataset


@pytest.mark.parametrize("side", ["train", "val", "test"])
def test_questions_of_a_side_show_its_trajectories_only(four_tasks, tmp_path, by_trajectory, side):
    made = draw(four_tasks, tmp_path / "vqa", f"data.split_file={by_trajectory}", partition=side)
    path = generate(made)
    assert shown_in(path) <= sides_of(by_trajectory)[side]
    assert len(shown_in(path)) > len(sides_of(by_trajectory)[side]) / 2
    record = config_of(path)
    assert (record["partition"], record["split"]["side"], record["split"]["by"]) == (side, side, "trajectory")
    assert record["split"]["assignment_hash"] == read_split(by_trajectory).content["assignment_hash"]
    assert record["trajectories"]["used"] == len(sides_of(by_trajectory)[side])
    assert verify(path, None) == path


def test_an_evaluation_set_of_a_side(four_tasks, tmp_path, by_trajectory):
    path = generate(
        draw(four_tasks, tmp_path / "vqa", f"data.split_file={by_trajectory}", partition="test", eval_set="prefixes")
    )
    assert shown_in(path) <= sides_of(by_trajectory)["test"]


def test_a_side_that_is_none_is_named_with_those_there_are(four_tasks, tmp_path, by_trajectory):
    with pytest.raises(ConfigError) as caught:
        generate(draw(four_tasks, tmp_path / "vqa", f"data.split_file={by_trajectory}", partition="dev"))
    assert (
        str(caught.value)
        == "`partition` must be a side of the split (train, val, test), or all_but_ and one, but is dev"
    )
    with pytest.raises(
        ConfigError, match=r"must be train or eval, but is val; the sides of a split need `data.split_f"
    ):
        generate(draw(four_tasks, tmp_path / "vqa", partition="val"))


def test_trajectories_that_were_not_split_are_counted(four_tasks, tmp_path, by_trajectory):
    both = ("data.train_datasets=[toy_train,toy_eval]", f"data.split_file={by_trajectory}")
    with pytest.raises(ConfigError) as caught:
        generate(draw(four_tasks, tmp_path / "vqa", *both))
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


def test_datasets_that_are_left_out_are_reported(four_tasks, tmp_path, caplog):
    file = split(options(four_tasks, tmp_path / "s.json", datasets=("toy_train", "toy_eval")))
    generate(draw(four_tasks, tmp_path / "vqa", f"data.split_file={file}", partition="train"))
    left_out = len(read_split(file).sides["train"]["toy_eval"])
    assert (
        f"side train also has {left_out} of toy_eval, which data.train_datasets does not name: left out" in caplog.text
    )


def test_a_file_that_is_none_is_named(four_tasks, tmp_path):
    with pytest.raises(
        ConfigError, match=r"`data.split_file` must be a file that `rfm split` wrote, but nowhere is no fi"
    ):
        generate(draw(four_tasks, tmp_path / "vqa", "data.split_file=nowhere"))


@pytest.fixture(scope="module")
def all_sides(four_tasks, tmp_path_factory):
    output = tmp_path_factory.mktemp("all") / "vqa"
    assert generate(draw(four_tasks, output, split=SHARES)) == output
    return output


def test_every_side_gets_a_dataset_of_its_own(all_sides):
    assert sorted(one.name for one in all_sides.iterdir()) == ["splits.json", "test", "train", "val"]
    assert [len(load_from_disk(str(all_sides / side))) for side in ("train", "val", "test")] == [160, 20, 20]
    sides = sides_of(all_sides / "splits.json")
    shown = {side: shown_in(all_sides / side) for side in sides}
    assert all(shown[side] and shown[side] <= sides[side] for side in sides)
    assert sum(map(len, shown.values())) == len(set.union(*shown.values()))
    assert verify(all_sides / "val", None) == all_sides / "val"


def test_a_split_that_has_moved_is_named_to_verify(four_tasks, tmp_path, by_trajectory):
    shutil.copy(by_trajectory, tmp_path / "splits.json")
    path = generate(draw(four_tasks, tmp_path / "vqa", f"data.split_file={tmp_path / 'splits.json'}", partition="val"))
    (tmp_path / "splits.json").rename(tmp_path / "moved.json")
    with pytest.raises(DataError, match=r"`verify` must read the split .*splits.json is no file; name it by --config_"):
        generate(GenerateOptions("", verify=str(path)))
    moved = f"data.split_file={tmp_path / 'moved.json'}"
    assert generate(GenerateOptions("", verify=str(path), config_overrides=(moved,))) == path


def test_the_folder_of_all_sides_is_no_dataset(all_sides):
    with pytest.raises(
        DataError, match=r"must be one dataset, but .* holds 3: .*/train, .*/test, .*/val; name one of them"
    ):
        load_dataset(all_sides)


def test_by_task_the_tasks_differ_too(four_tasks, tmp_path):
    path = generate(draw(four_tasks, tmp_path / "vqa", split="train=0.5,test=0.5", split_by="task"))
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


def test_the_same_command_goes_on_where_it_stopped(four_tasks, tmp_path, caplog):
    made = draw(four_tasks, tmp_path / "vqa", split=SHARES)
    path = generate(made)
    before = {side: (config_of(path / side), (path / side).stat().st_mtime_ns) for side in ("train", "val", "test")}
    shutil.rmtree(path / "val")
    with caplog.at_level("INFO", "rfm"):
        generate(made)
    assert f"160 samples in {path / 'train'}, complete before" in caplog.text
    after = {side: (config_of(path / side), (path / side).stat().st_mtime_ns) for side in ("train", "val", "test")}
    assert before["train"] == after["train"]
    assert before["val"][0] == after["val"][0]


def test_shards_make_the_same_sides(four_tasks, tmp_path, all_sides):
    for shard in ("2/2", "1/2"):
        path = generate(draw(four_tasks, tmp_path / "vqa", split=SHARES, shard=shard, save_batch_size=10))
    for side in ("train", "val", "test"):
        assert config_of(path / side)["content_hash"] == config_of(all_sides / side)["content_hash"]


def test_epochs_are_of_each_side(four_tasks, tmp_path):
    path = generate(draw(four_tasks, tmp_path / "vqa", split=SHARES, num_samples=10000, num_epochs=None))
    assert len(load_from_disk(str(path / "train"))) == 8000
    epochs = dataclasses.replace(GenerateOptions("x"), output_path=str(tmp_path / "epochs"), num_epochs=2, split=SHARES,
                                 config_overrides=draw(four_tasks, "x").config_overrides)  # fmt: skip
    path = generate(epochs)
    assert [len(load_from_disk(str(path / side))) for side in ("train", "val", "test")] == [154, 20, 18]


def test_another_split_or_dataset_in_the_folder_is_not_mixed_in(four_tasks, all_sides, tmp_path):
    path = tmp_path / "vqa"
    shutil.copytree(all_sides, path)
    with pytest.raises(
        DataError, match=r"has another split in splits.json; add --overwrite to replace it and its sides"
    ):
        generate(draw(four_tasks, path, split="train=0.8,val=0.1,test=0.1", seed=7))
    with pytest.raises(
        DataError, match=r"must hold no datasets but the sides of --split \(train, val\), but .* has test"
    ):
        generate(draw(four_tasks, path, split="train=0.9,val=0.1"))
    with pytest.raises(DataError, match="train is a dataset itself; name another"):
        generate(draw(four_tasks, path / "train", split=SHARES))
    (tmp_path / "file").write_text("…")
    with pytest.raises(DataError, match=r"but .*file is a file"):
        generate(draw(four_tasks, tmp_path / "file", split=SHARES))
    (path / "splits.json").rename(tmp_path / "splits.json")
    with pytest.raises(ConfigError, match="train exists; add --overwrite"):
        generate(draw(four_tasks, path, split=SHARES))
    with pytest.raises(ConfigError, match=r"must be free or the sides of a split, but .*vqa holds test/data-"):
        generate(draw(four_tasks, path, split=SHARES, overwrite=True))
    (tmp_path / "splits.json").rename(path / "splits.json")
    generate(draw(four_tasks, path, split=SHARES, seed=7, overwrite=True))
    assert config_of(path / "val")["seed"] == 7
    assert sides_of(path / "splits.json") != sides_of(all_sides / "splits.json")


def test_a_folder_that_a_fold_cannot_take_the_place_of_is_named_before_anything_is_drawn(four_tasks, tmp_path):
    notes = tmp_path / "vqa" / "fold_2" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("precious")
    with pytest.raises(ConfigError, match=r"must be free or a VQA dataset, but .*fold_2 holds notes.txt, which is no"):
        generate(draw(four_tasks, tmp_path / "vqa", folds=2))
    assert [path.name for path in tmp_path.iterdir()] == ["vqa"]
    assert notes.read_text() == "precious"


def test_another_split_takes_the_place_of_all_sides_and_of_nothing_else(four_tasks, all_sides, tmp_path):
    path = tmp_path / "vqa"
    shutil.copytree(all_sides, path)
    made = draw(four_tasks, path, split="train=0.9,val=0.1", overwrite=True)
    (path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match=r"must be free or the sides of a split, but .*vqa holds thesis.tex,"):
        generate(made)
    assert sides_of(path / "splits.json") == sides_of(all_sides / "splits.json")
    (path / "thesis.tex").unlink()
    generate(made)
    assert sorted(one.name for one in path.iterdir()) == ["splits.json", "train", "val"]
    assert config_of(path / "val")["config"]["data"]["split_file"] == str(path / "splits.json")
    assert [one.name for one in tmp_path.iterdir()] == ["vqa"]


def test_sides_may_lie_beside_other_things(four_tasks, tmp_path):
    (tmp_path / "vqa" / "notes").mkdir(parents=True)
    (tmp_path / "vqa" / "notes" / "thesis.tex").write_text("precious")
    for overwrite in (False, False, True):
        made = draw(four_tasks, tmp_path / "vqa", split="train=0.9,val=0.1", overwrite=overwrite)
        if overwrite:
            with pytest.raises(ConfigError, match=r"but .*vqa holds notes/thesis.tex, which is no part of one"):
                generate(made)
        else:
            generate(made)
    assert sorted(one.name for one in (tmp_path / "vqa").iterdir()) == ["notes", "splits.json", "train", "val"]


def test_a_second_split_is_refused_before_it_writes_anything(four_tasks, tmp_path):
    """Else one would generate its later sides from the other's file, and trajectories were on both sides."""
    with exclusive(partial_of(tmp_path / "vqa"), wait=False):
        for overwrite in (False, True):
            with pytest.raises(ConfigError, match=r"must have one writer at a time, but another process is writing it"):
                generate(draw(four_tasks, tmp_path / "vqa", split=SHARES, seed=2, overwrite=overwrite))
        assert not list(partial_of(tmp_path / "vqa").iterdir())
    assert not (tmp_path / "vqa").exists()


def split_hashes(folder: Path) -> set[str]:
    """Of the file and of each side beside it."""
    made = {config_of(side.parent)["split"]["assignment_hash"] for side in folder.glob("*/generation_config.json")}
    return made | {json.loads((folder / "splits.json").read_text())["assignment_hash"]}


def test_killed_anywhere_sides_of_two_splits_never_lie_beside_each_other(four_tasks, tmp_path):
    first = draw(four_tasks, tmp_path / "vqa", split="train=0.5,val=0.5", num_samples=20)
    second = dataclasses.replace(first, seed=2, overwrite=True)
    before = split_hashes(generate(first))
    step, code = 0, -signal.SIGKILL
    while code:
        code = killed_at(step, generate, second)
        assert len(split_hashes(tmp_path / "vqa")) == 1
        step += 4
    assert split_hashes(tmp_path / "vqa") != before
    assert [one.name for one in tmp_path.iterdir()] == ["vqa"]


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
        ({"split_by": "task"}, "`split_by` must come with `split` or `folds`, but is given alone"),
        (
            {"split_near_duplicates": "report"},
            "`split_near_duplicates` must come with `split` or `folds`, but is given alone",
        ),
        ({"split": "train=1,test=0"}, "`split` must have shares above 0 and below 1, but `train` has '1'"),
    ],
)
def test_options_that_contradict_each_other_are_named(changes, text):
    with pytest.raises(ConfigError) as caught:
        GenerateOptions(output_path="x", **changes)
    assert text in str(caught.value)


def test_a_side_needs_rows_and_the_file_and_the_flag_exclude_each_other(four_tasks, tmp_path, by_trajectory):
    with pytest.raises(ConfigError) as caught:
        generate(draw(four_tasks, tmp_path / "vqa", split=SHARES, num_samples=4))
    assert str(caught.value) == (
        "`num_samples` must give every side of the split a row, but 4 give `val` (0.1) none; ask for more"
    )
    with pytest.raises(
        ConfigError, match=r"`split` and `data.split_file` must not be given together; draw a side of th"
    ):
        generate(draw(four_tasks, tmp_path / "vqa", f"data.split_file={by_trajectory}", split=SHARES))
    assert not (tmp_path / "vqa").exists()
