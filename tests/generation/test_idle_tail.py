import shutil
from pathlib import Path

import numpy as np
import pytest
from worlds import idle_film, make_idle_world, make_world

from rfm.configs.compose import load_config
from rfm.errors import ConfigError, DataError
from rfm.frames.idle_tail import idle_from
from rfm.generation.generate import GenerateOptions, generate
from rfm.generation.idle_tail import EPISODES, find_cutoffs, suggest_cutoffs
from rfm.trajectories.catalog import load_catalog
from rfm.vqa.dataset import load_dataset


@pytest.mark.parametrize("noise", [0, 4, 12])
@pytest.mark.parametrize("moving", [6, 13, 25, 40])
def test_the_frame_from_which_nothing_moves(moving, noise):
    assert idle_from(idle_film(40, moving, noise=noise)) == moving - 1


def test_a_film_in_which_nothing_moves_says_nothing():
    assert idle_from(idle_film(40, 1)) is None
    assert idle_from(idle_film(40, 1, noise=3)) == 39, "noise alone is no motion that stops"


def test_each_source_has_the_median_of_its_episodes(tmp_path, caplog):
    caplog.set_level("INFO")
    shares = {"quick": [0.3, 0.5, 0.9], "slow": [1.0, 1.0], "still": [0.025]}
    catalog = load_catalog(make_idle_world(tmp_path, shares), ["idle"])
    assert find_cutoffs(catalog, 0) == {"quick": 0.5, "slow": 1.0}
    assert "success cut-off of quick: 0.5 of the time, from 3 episodes" in caplog.text
    assert (
        "data.success_cutoff=idle finds no cut-off for still: it has no successful episode without rec" in caplog.text
    )


def test_cut_offs_are_suggested_where_tails_are_idle(tmp_path, caplog):
    world = make_idle_world(tmp_path, {"late": [1.0, 0.95], "early": [0.5] * 4, "named": [0.5]})
    (tmp_path / "cutoffs.csv").write_text("named,0.5\n")
    generated(world, tmp_path / "vqa", f"data.dataset_success_cutoff_file={tmp_path / 'cutoffs.csv'}")
    warned = [line for line in caplog.messages if "data.success_cutoff=idle" in line]
    assert len(warned) == 1
    assert warned[0].startswith("data source early: in 3 of 3 successful episodes that were looked at nothing moves")
    assert "(half of them are still from 50% on)" in warned[0]
    assert warned[0].endswith("add --config_overrides data.success_cutoff=idle")


def test_nothing_is_suggested_where_progress_is_no_time_or_frames_are_not_there(tmp_path, caplog):
    world = make_idle_world(tmp_path, {"a": [0.5] * 4})
    shutil.rmtree(world / "idle" / "frames")
    generated(world, tmp_path / "vqa")
    catalog = load_catalog(make_idle_world(tmp_path / "failed", {"a": [0.4] * 2}, quality="failure"), ["idle"])
    suggest_cutoffs(catalog, {}, 0)
    assert "data.success_cutoff=idle" not in caplog.text


def test_long_episodes_are_looked_at_in_some_frames(tmp_path):
    catalog = load_catalog(make_idle_world(tmp_path, {"a": [0.4] * 2}, frames=300), ["idle"])
    assert find_cutoffs(catalog, 0)["a"] == pytest.approx(0.4, abs=2 / 64)


def test_other_episodes_are_not_looked_at(tmp_path):
    world = make_idle_world(make_world(tmp_path, "recorded"), {"a": [0.4] * 2}, quality="failure")
    catalog = load_catalog(world, ["recorded", "idle"])
    assert find_cutoffs(catalog, 0) == {}


def test_a_sample_is_that_of_the_seed(tmp_path, monkeypatch):
    shares = np.round(np.linspace(0.2, 0.9, 30), 3).tolist()
    catalog = load_catalog(make_idle_world(tmp_path, {"a": shares}), ["idle"])
    assert EPISODES >= 30
    monkeypatch.setattr("rfm.generation.idle_tail.EPISODES", 3)
    found = [find_cutoffs(catalog, seed)["a"] for seed in (0, 0, 1, 2, 3)]
    assert found[0] == found[1]
    assert len(set(found)) > 1


def generated(world: Path, output: Path, *overrides: str) -> Path:
    where = (f"data.datasets_root={world}", "data.train_datasets=[idle]", "data.max_frames=4")
    ratio = "data.sample_type_ratio=[0,1,0]"
    return generate(GenerateOptions(str(output), num_samples=200, config_overrides=(*where, ratio, *overrides)))


def test_found_cutoffs_divide_time_and_stand_in_the_record(tmp_path):
    world = make_idle_world(tmp_path, {"a": [0.5] * 6})
    path = generated(world, tmp_path / "vqa", "data.success_cutoff=idle")
    rows, record = load_dataset(path)
    assert record["success_cutoffs"] == {"a": 0.5}
    for row in rows:
        if row["data_gen_strategy"] != "different_task_instruction":
            assert row["end_progress"] == pytest.approx(min((row["frame_indices"][-1] + 1) / 20, 1), abs=1e-6)
    (tmp_path / "cutoffs.csv").write_text("a,0.5\n")
    by_file = generated(world, tmp_path / "file", f"data.dataset_success_cutoff_file={tmp_path / 'cutoffs.csv'}")
    assert load_dataset(by_file)[1]["content_hash"] == record["content_hash"]
    assert generate(GenerateOptions("", verify=str(path))) == path


def test_no_frame_is_read_where_cut_offs_are_named(tmp_path, monkeypatch):
    world = make_idle_world(tmp_path, {"a": [0.5] * 6})
    (tmp_path / "cutoffs.csv").write_text("a,1\n")
    monkeypatch.setattr("rfm.generation.idle_tail.read_frames", lambda *_: pytest.fail("a frame was read"))
    generated(world, tmp_path / "vqa", f"data.dataset_success_cutoff_file={tmp_path / 'cutoffs.csv'}")


def test_frames_that_cannot_be_read_are_named(tmp_path, caplog):
    world = make_idle_world(tmp_path, {"a": [0.5] * 3})
    files = sorted((world / "idle" / "frames").iterdir())
    files[0].unlink()
    generated(world, tmp_path / "vqa", "data.success_cutoff=idle")
    assert "1 episodes of a can't be read, the first: a_0: " in caplog.text
    for file in files[1:]:
        file.unlink()
    with pytest.raises(
        DataError, match=r"must read frames of source a, but of 3 episodes none can be read, the first: a"
    ):
        generated(world, tmp_path / "other", "data.success_cutoff=idle")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["data.success_cutoff=tail"], "`data.success_cutoff` must be one of file, idle, but is 'tail'"),
        (
            ["data.success_cutoff=idle", "data.dataset_success_cutoff_file=x.csv"],
            "`data.dataset_success_cutoff_file` must be null with data.success_cutoff=idle; leave one out",
        ),
    ],
)
def test_wrong_settings(overrides, text):
    with pytest.raises(ConfigError, match=text):
        load_config("config", overrides)
