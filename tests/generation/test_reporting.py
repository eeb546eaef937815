"""What is said before rows are written."""

import numpy as np
import pytest
from generating import options
from sampling.true_worlds import KEY, record, write_world

from rfm.errors import ConfigError
from rfm.generation.generate import generate


def told(tmp_path, caplog, records, *overrides, **changes):
    """The warnings of a generation from these episodes."""
    write_world(tmp_path, records)
    where = (f"data.datasets_root={tmp_path}", f"data.train_datasets=[{KEY}]", f"data.eval_datasets=[{KEY}]")
    overrides = (*where, "data.max_frames=4", *overrides)
    generate(options(tmp_path, tmp_path / "vqa", num_samples=60, config_overrides=overrides, **changes))
    return [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]


def episodes(count, **values):
    rng = np.random.default_rng(0)
    return [record(at, rng, **{"num_frames": 20, "task": f"task number {at % 3}", **values}) for at in range(count)]


def test_short_episodes_are_counted(tmp_path, caplog):
    short = [{**one, "num_frames": 4, "frames_shape": (4, 8, 8, 3)} for one in episodes(30)[:24]]
    lines = told(tmp_path, caplog, [*short, *episodes(30)[24:]])
    assert "not asked: 24 of 30 episodes have fewer than data.min_frames_per_trajectory=5 frames" in lines


def test_short_episodes_are_counted_for_an_evaluation_set_too(tmp_path, caplog):
    short = [{**one, "num_frames": 1, "frames_shape": (1, 8, 8, 3)} for one in episodes(30)[:6]]
    lines = told(tmp_path, caplog, [*short, *episodes(30)[6:]], "data.min_frames_per_trajectory=1", eval_set="prefixes")
    assert "not asked: 6 of 30 episodes have fewer than 2 frames" in lines


def test_episodes_of_which_nothing_is_known_are_counted(tmp_path, caplog):
    unlabelled = [{**one, "quality_label": None} for one in episodes(30)[:9]]
    lines = told(tmp_path, caplog, [*unlabelled, *episodes(30)[9:]])
    [line] = [line for line in lines if line.startswith("not asked: 9 of 30 episodes have no quality_label, ")]
    assert line.endswith(" partial_success or progress, so no answer about them is known")


def test_texts_that_are_nearly_the_same_are_named(tmp_path, caplog):
    texts = ("open the drawer", "open the top drawer", "close the box")
    records = [{**one, "task": texts[at // 3 % 3]} for at, one in enumerate(episodes(36))]
    [line] = [line for line in told(tmp_path, caplog, records) if "nearly the same" in line]
    assert line == (
        "1 pair of task texts say nearly the same and count as different tasks, so each is asked about the other's "
        'videos as a wrong instruction: "open the drawer" and "open the top drawer"; give rows of one task one '
        "`task_id`, and of two tasks two"
    )


def test_data_that_serve_one_type_alone_are_told_how_to_ask_it(tmp_path, caplog):
    """Failures and half-way ones without progress can be compared, and nobody can say how far they got."""
    records = [{**one, "quality_label": ("failure", "suboptimal")[at // 3 % 2]} for at, one in enumerate(episodes(30))]
    with pytest.raises(ConfigError, match=r"no progress strategy is supported .*\n") as error:
        told(tmp_path, caplog, records)
    assert str(error.value).endswith("\nfor preference questions alone take data.sample_type_ratio=[1,0,0]")
    told(tmp_path, caplog, records, "data.sample_type_ratio=[1,0,0]")


def test_data_that_serve_nothing_are_promised_nothing(tmp_path, caplog):
    with pytest.raises(ConfigError, match="no preference strategy is supported") as error:
        told(tmp_path, caplog, episodes(30, quality_label="failure"))
    assert "sample_type_ratio" not in str(error.value)


def test_a_reason_does_not_contradict_itself(tmp_path, caplog):
    """Every episode has a progress, at its end alone: that is no progress for a clip that runs backwards."""
    records = episodes(30, quality_label="failure", partial_success=0.5)
    lines = told(tmp_path, caplog, records, "data.sample_type_ratio=[0,1,0]")
    [line] = [line for line in lines if line.startswith("progress strategy rewind ")]
    assert line.endswith("but there are none; 30 of 30 trajectories have one at their ends alone")


def test_weights_of_sources_are_for_training(tmp_path, caplog):
    with caplog.at_level("INFO", logger="rfm"):
        records = [
            {**one, "quality_label": ("failure", "successful")[at // 3 % 2]} for at, one in enumerate(episodes(36))
        ]
        told(tmp_path, caplog, records, "data.source_weights=2", eval_mode=True)
    assert "data.source_weights is for training: --eval_mode draws each episode in turn" in caplog.messages
