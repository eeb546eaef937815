import json

import pytest
from PIL import Image

from rfm.cli import run_command
from rfm.export.results_file import KINDS


def numbers(metric, value, **more):
    return {"count": 4, metric: value, f"{metric}_interval": [value * 0.9, value * 1.1], "rmse": 1.0, **more}


def reliability(ece):
    return {"ece": ece, "reliability": [{"predicted": at / 4, "observed": at / 5, "count": 3} for at in range(5)]}


RESULTS = {
    "model_path": "m",
    "dataset_path": "d",
    "total_samples": 8,
    "preference": numbers("accuracy", 0.8, by_strategy={}, by_task={"push | pull": numbers("accuracy", 0.8)}),
    "progress": numbers("mae", 10.0, by_strategy={}, by_task={f"task {n}": numbers("mae", n) for n in range(30)}),
    "policy_ranking": {"tau_a": 0.5, "tau_a_interval": [0.4, 0.6], "tau_b": 0.4, "pair_accuracy": 0.75},
    "gap": {
        "preference": {"best_control": "blank", "metric": "accuracy", "control": 0.5, "gap": 0.3, "gap_interval": None}
    },
    "controls": {"blank": {"preference": numbers("accuracy", 0.5), "progress": numbers("mae", 30.0)}},
    "baselines": {"random": {"preference": numbers("accuracy", 0.48), "progress": numbers("mae", 40.0)}},
    "best_constant": {"preference": numbers("accuracy", 0.5), "progress": numbers("mae", 27.0)},
    "calibration": {
        "preference": reliability(0.1),
        "progress": {**reliability(0.2), "temperature": 1.5, "at_temperature": reliability(0.05)},
    },
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(RESULTS))
    return path


def run(*words):
    return run_command(("report",), [str(word) for word in words], "rfm report")


def test_markdown_that_can_be_pasted(file, capsys):
    assert run(file, "--markdown") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "|                     | model |  best control |       | ahead by |" not in lines
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert ["model", "0.800 [0.720, 0.880]", "10.0 [9.0, 11.0]", "1.0"] in cells
    assert ["blank frames", "0.500 [0.450, 0.550]", "30.0 [27.0, 33.0]", "1.0"] in cells
    assert ["random", "0.480 [0.432, 0.528]", "40.0 [36.0, 44.0]", "1.0"] in cells
    assert ["ranking: tau-a", "0.500 [0.400, 0.600]", "-"] in cells
    assert ["preference accuracy", "0.800", "blank frames", "0.500", "+0.300"] in cells


def test_tables_and_a_picture(file, tmp_path, capsys):
    assert run(file, "--plot_path", tmp_path / "sub" / "report.png") == 0
    assert "ahead of its best control" in capsys.readouterr().out
    with Image.open(tmp_path / "sub" / "report.png") as picture:
        assert picture.size == (1800, 1040)


def test_without_probabilities_there_is_no_reliability(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps({name: value for name, value in RESULTS.items() if name != "calibration"}))
    assert run(path, "--plot_path", tmp_path / "report.png") == 0
    with Image.open(tmp_path / "report.png") as picture:
        assert picture.size == (1200, 1040)


def test_results_of_which_no_row_was_judged_are_no_picture(tmp_path, capsys):
    path = tmp_path / "results.json"
    path.write_text(json.dumps({name: value for name, value in RESULTS.items() if name not in (*KINDS, "gap")}))
    assert run(path) == 0
    assert run(path, "--plot_path", tmp_path / "report.png") == 1
    assert "results must have rows that were judged to be drawn, but have none" in capsys.readouterr().err
    assert not (tmp_path / "report.png").exists()


def test_what_is_no_results_file_is_refused(tmp_path, file, capsys):
    (tmp_path / "other.json").write_text('{"total_samples": 3}')
    assert run(tmp_path / "other.json") == 1
    assert (
        "must be a results file of `rfm evaluate`, but lacks model_path, dataset_path, best_constant"
        in capsys.readouterr().err
    )
    assert run(tmp_path / "gone.json") == 1
    assert "must be a results file of `rfm evaluate`, but can't be read" in capsys.readouterr().err
    assert run(file, "--plot_path", "x.jpg") == 1
    assert "`plot_path` must end in .png, but is x.jpg" in capsys.readouterr().err
