import json

import pytest
from datasets import Dataset
from PIL import Image
from worlds import make_world

from rfm.audit.reading.questions import read_questions
from rfm.audit.statistics.command import StatisticsOptions, statistics
from rfm.audit.statistics.counts import binned, gather
from rfm.audit.statistics.tables import most_frequent
from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.generation.generate import GenerateOptions, generate


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("statistics")
    overrides = (f"data.datasets_root={make_world(folder)}", "data.train_datasets=[toy_train]", "data.max_frames=4")
    return generate(GenerateOptions(str(folder / "vqa"), num_samples=400, num_workers=1, config_overrides=overrides))


def test_everything_is_counted(dataset, tmp_path):
    file = tmp_path / "deep" / "found.json"
    statistics(StatisticsOptions((str(dataset),), output_path=str(file)))
    (found,) = json.loads(file.read_text())["datasets"]
    recorded = json.loads((dataset / "generation_config.json").read_text())["counts"]
    assert found["strategies"] == {kind: counts["strategies"] for kind, counts in recorded.items()}
    assert (found["rows"], found["total"], found["lacking"]) == (400, 400, [])
    assert found["answers"]["preference"] == {"1": 140, "2": 140}
    assert sum(found["answers"]["progress"].values()) == 120
    assert sum(found["clip_lengths"]["preference"].values()) == 560
    assert set(found["clip_lengths"]["progress"]) <= {"2", "3", "4"}
    assert found["sizes"] == {"32 x 32": 680}
    assert found["sources"] == {"toy_train": 400}
    assert sum(found["tasks"].values()) == 400


def test_a_dataset_of_the_least_columns_has_statistics():
    rows = {"sample_type": ["preference", "riddle"], "prompt": ["Task: x", ""], "answer": ["left", "2"]}
    found = gather("here", read_questions(Dataset.from_dict(rows)))
    assert found.strategies == {"preference": {"": 1}, "riddle": {"": 1}}
    assert found.answers == {"preference": {"none": 1}, "riddle": {"2": 1}}
    assert (found.sizes, found.sources, found.tasks) == ({}, {}, {"x": 1, "": 1})
    assert "npz_path" in found.lacking


def test_scores_are_binned_in_tens_and_none_is_lost():
    counts = binned({"0": 3, "1": 1, "10": 2, "11": 4, "100": 5, "101": 6, "none": 7, "-5": 8})
    assert counts["0"] == 3
    assert (counts["1-10"], counts["11-20"], counts["91-100"], counts["other"]) == (3, 4, 5, 21)
    assert "other" not in binned({"50": 1})


def test_beyond_the_most_frequent_the_others_are_summed_up():
    assert most_frequent({"a": 5, "b": 3, "c": 2, "d": 1}, 2) == {"a": 5, "b": 3, "(2 others)": 3}
    assert most_frequent({"a": 5, "b": 3}, 2) == {"a": 5, "b": 3}


def test_the_command_prints_at_most_80_columns_and_draws(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    arguments = [str(dataset), "--max_rows", "100", "--plot", str(tmp_path / "plots" / "one.png")]
    assert run_command(("stats",), arguments, "rfm stats") == 0
    shown = capsys.readouterr().out
    assert f"{dataset}: 100 rows of 400 on 12 frame files" in shown
    assert "preference/rewind" in shown
    assert max(map(len, shown.splitlines()[1:])) <= 80
    with Image.open(tmp_path / "plots" / "one.png") as picture:
        assert min(picture.size) > 500


def test_several_datasets_are_drawn_side_by_side(dataset, tmp_path):
    empty = Dataset.from_dict({"sample_type": ["riddle"], "prompt": ["?"], "answer": ["1"]})
    empty.save_to_disk(str(tmp_path / "other"))
    statistics(StatisticsOptions((str(dataset), str(tmp_path / "other")), plot=str(tmp_path / "two.png")))
    assert (tmp_path / "two.png").stat().st_size > 10_000


def test_wrong_inputs_are_named():
    with pytest.raises(ConfigError) as caught:
        StatisticsOptions(("a",), max_rows=0, plot="a.jpg")
    assert str(caught.value) == "`max_rows` must be at least 1, but is 0\n`plot` must end in .png, but is a.jpg"
    with pytest.raises(DataError, match="`dataset_path` must be a folder made by `rfm generate`, but none is none"):
        statistics(StatisticsOptions(("none",)))
