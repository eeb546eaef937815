"""How many different questions there are, against counting them."""

import logging
import re
from dataclasses import replace

import numpy as np
import pytest
from generating import config_of, options
from worlds import make_world

from rfm.audit.reading.questions import read_questions
from rfm.audit.repeats import question_hashes
from rfm.configs.compose import load_config
from rfm.errors import ConfigError
from rfm.generation import distinct
from rfm.generation.distinct import supplies
from rfm.generation.generate import generate
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import load_catalog
from rfm.vqa.dataset import load_dataset


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A world of six episodes."""
    return make_world(tmp_path_factory.mktemp("few"), "toy_train", episodes=6, tasks=2)


def sampler(root, total):
    settings = load_config(overrides=["data.max_frames=4"]).data
    return Sampler(load_catalog(root, ["toy_train"]), settings, total=total, seed=1)


def counted(path):
    """The share of a dataset's rows that repeat another, by the audit's own hashes."""
    hashes = question_hashes(read_questions(load_dataset(path)[0], None))
    return 1 - len(np.unique(hashes)) / len(hashes)


def test_the_share_that_repeats_is_foretold_from_a_part(few, tmp_path, monkeypatch):
    made = generate(options(few, tmp_path / "vqa", num_samples=6000, config_overrides=overrides(few)))
    whole = counted(made)
    monkeypatch.setattr(distinct, "PILOT", 1500)
    held = supplies(sampler(few, 6000))
    assert whole > 0.3
    assert held.repeated == pytest.approx(whole, abs=0.08)
    assert held.episodes == 6


def overrides(root):
    return (f"data.datasets_root={root}", "data.train_datasets=toy_train", "data.max_frames=4")


def test_the_number_advised_repeats_little(few, tmp_path):
    rows = supplies(sampler(few, 6000)).worthwhile()
    made = generate(options(few, tmp_path / "vqa", num_samples=rows, config_overrides=overrides(few)))
    assert 10 < rows < 3000
    assert counted(made) < 2 * distinct.ACCEPTED


def test_a_small_dataset_is_counted(few, tmp_path):
    made = generate(options(few, tmp_path / "vqa", num_samples=800, seed=1, config_overrides=overrides(few)))
    held = supplies(sampler(few, 800))
    assert held.repeated == pytest.approx(1 - sum(held.counted.values()) / 800)
    told = config_of(made)["questions"]
    assert set(told) == {"/".join(strategy) for strategy in held.strategies}
    assert told["preference/rewind"]["repeated"] == pytest.approx(held.of(("preference", "rewind")).repeated, abs=1e-3)


def test_a_small_source_that_is_drawn_often_is_named(tmp_path, caplog):
    make_world(tmp_path, "large", episodes=120)
    make_world(tmp_path, "small", episodes=6)
    datasets = (f"data.datasets_root={tmp_path}", "data.train_datasets=[large,small]", "data.max_frames=4")
    asked = options(tmp_path, tmp_path / "vqa", num_samples=4000, config_overrides=datasets)
    generate(asked)
    [line] = [line for line in caplog.messages if line.startswith("data source ")]
    assert re.match(
        r"data source small: its 6 episodes are asked about in \d\d\.?\d?% of the rows, of which \d+% rep", line
    )
    assert line.endswith("data.source_weights=proportional gives them 4.8%, a temperature as data.source_weights=2 some"
                         "thing between")  # fmt: skip
    caplog.clear()
    generate(replace(asked, overwrite=True, config_overrides=(*datasets, "data.source_weights=proportional")))
    assert not any(line.startswith("data source ") for line in caplog.messages)


def test_generation_warns_of_repeats_and_names_the_way_out(few, tmp_path, caplog):
    generate(options(few, tmp_path / "vqa", num_samples=6000, config_overrides=overrides(few)))
    [line] = [line for line in caplog.messages if "repeat others" in line]
    assert re.search(
        r"of these 6000 rows repeat others: 6 episodes support about [\d,]+ different questions; by str", line
    )
    assert re.search(r" preference/rewind \d+% \(about [\d,]+\)", line)
    assert "; repeats teach and measure nothing new: take --num_samples " in line


def test_plenty_of_episodes_are_only_counted(world, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="rfm"):
        generate(options(world, tmp_path / "vqa", num_samples=50))
    assert any(" different questions" in line for line in caplog.messages)
    assert not any("repeat others" in line for line in caplog.messages)


def test_a_handful_of_rows_claims_no_more_than_it_shows(few, tmp_path, caplog):
    """None of forty rows repeats another: that shows some hundreds of questions, not millions."""
    with caplog.at_level(logging.INFO, logger="rfm"):
        generate(options(few, tmp_path / "vqa", num_samples=40, config_overrides=overrides(few)))
    [line] = [line for line in caplog.messages if " different questions" in line]
    told = re.search(r"6 episodes support (more than|about) ([\d,]+) different questions", line)
    whole = sum(one.existing for one in supplies(sampler(few, 20_000)).found)
    assert int(told[2].replace(",", "")) < whole


def test_a_side_of_few_episodes_is_told(few, tmp_path, caplog):
    generate(options(few, tmp_path, num_samples=60, split="train=0.6,test=0.4", config_overrides=overrides(few)))
    lines = [line for line in caplog.messages if "results on so few" in line]
    assert len(lines) == 1
    assert lines[0].startswith("side test asks about 2 episodes: ")
    assert lines[0].endswith("to judge on every episode in turn, give --folds 5 in the place of --split")


def test_folds_stand_in_for_a_split(few, tmp_path):
    with pytest.raises(ConfigError, match="`split` and `folds` must not be given together; both divide"):
        options(few, tmp_path, split="train=0.5,test=0.5", folds=2)
    with pytest.raises(ConfigError, match="`folds` must be at least 2, but is 1"):
        options(few, tmp_path, folds=1)
