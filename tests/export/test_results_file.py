"""Results files of any form: read, or one message; no table, picture, comparison or card ever ends in a traceback."""

import copy
import json

import pytest

from rfm.cli import run_command
from rfm.errors import DataError
from rfm.export.model_card import _evaluation, read_evaluation
from rfm.export.results_file import read_results


def numbers(metric, value, **more):
    return {"count": 4, metric: value, f"{metric}_interval": [value * 0.9, value * 1.1], "rmse": 1.0, **more}


RELIABILITY = {"ece": 0.1, "reliability": [{"predicted": 0.5, "observed": 0.25, "count": 3}]}
WHOLE = {
    "model_path": "m",
    "dataset_path": "d",
    "dataset_hash": "h",
    "total_samples": 1,
    "preference": numbers(
        "accuracy", 0.8, by_strategy={"s": numbers("accuracy", 0.8)}, by_task={"t": numbers("accuracy", 0.8)}
    ),
    "progress": numbers("mae", 10.0, by_strategy={}, by_task={"t": numbers("mae", 3.0)}),
    "policy_ranking": {"tau_a": 0.5, "tau_a_interval": [0.4, 0.6]},
    "gap": {
        "preference": {"best_control": "blank", "metric": "accuracy", "control": 0.5, "gap": 0.3, "gap_interval": None}
    },
    "controls": {"blank": {"preference": numbers("accuracy", 0.5)}},
    "baselines": {"random": {"preference": numbers("accuracy", 0.48)}},
    "best_constant": {"preference": numbers("accuracy", 0.5, by_strategy={"s": numbers("accuracy", 0.5)})},
    "calibration": {"preference": {**RELIABILITY, "temperature": 1.5, "at_temperature": RELIABILITY}},
    "trained_on_share": 0.25,
    "predictions": [
        {
            "row": 0, "sample_type": "preference", "answer": "1", "completion": "ANS: 1", "truth": 1.0, "predicted": 1,
            "trajectory": 3, "task": "t", "strategy": "s",
        }
    ],
}  # fmt: skip
GONE = type("Gone", (), {"__repr__": lambda self: "gone"})()
"""No value at all; its name is the same in every process, as names of tests must be."""
ODD = (GONE, None, True, -7, 1e300, "[/red]\x1b[2J", [], ["a"], {}, {"a": 1})


def places(value, path=()):
    """Every key and index of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def changed(path, new):
    document = copy.deepcopy(WHOLE)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    if new is GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = new
    return document


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "results.json"
        path.write_text(json.dumps(content))
        return str(path)

    return write


@pytest.mark.parametrize("part", WHOLE)
def test_any_part_may_be_missing_or_of_another_kind(file, tmp_path, capsys, part):
    """A document that is odd in one place is shown, or refused in one message that names the file."""
    (tmp_path / "whole.json").write_text(json.dumps(WHOLE))
    for path in places({part: WHOLE[part]}):
        for new in ODD:
            odd = file(changed(path, new))
            for name, *words in (["report", "--markdown"], ["report"], ["compare", str(tmp_path / "whole.json")]):
                status = run_command((name,), [odd, *words], f"rfm {name}")
                shown = "".join(capsys.readouterr())
                assert status == 0 or (status == 1 and "error: " in shown), (path, new)
                assert "\x1b[2J" not in shown, (path, new)
            assert _fault_of_card(odd) is None or odd in _fault_of_card(odd), (path, new)


def _fault_of_card(file):
    try:
        _evaluation(read_evaluation(file))
    except DataError as error:
        return str(error)
    return None


@pytest.mark.parametrize("content", [7, None, "text", [], [1], True, {}], ids=str)
def test_what_is_no_results_file_at_all(file, content):
    path = file(content)
    with pytest.raises(DataError) as caught:
        read_results(path)
    assert str(caught.value).startswith(f"{path} must be a results file of `rfm evaluate`, but ")


@pytest.mark.parametrize(
    ("path", "new", "fault"),
    [
        (("total_samples",), "8", '`total_samples` must be a whole number from 0 on, but is "8"'),
        (("controls", "blank"), 3, "`controls.blank` must be an object, but is 3"),
        (("preference", "accuracy"), "high", '`preference.accuracy` must be a number, but is "high"'),
        (("preference", "accuracy_interval"), [1], "`preference.accuracy_interval` must be a list of 2, but is [1]"),
        (("gap", "preference", "metric"), "f1", '`gap.preference.metric` must be accuracy or mae, but is "f1"'),
        (("gap", "preference", "metric"), "mae", "`gap.preference` compares `preference.mae`, which is not there"),
        (("predictions", 0, "truth"), None, "`predictions[0].truth` must be a number, but is null"),
        (("predictions", 0, "task"), GONE, "lacks `predictions[0].task`"),
        (("calibration", "preference", "reliability", 0), [], "`calibration.preference.reliability[0]` must be an ob"),
        (
            ("best_constant", "preference", "by_strategy"),
            {},
            "`best_constant.preference.by_strategy` lacks `s`",
        ),
    ],
    ids=str,
)
def test_the_place_is_named(file, path, new, fault):
    name = file(changed(path, new))
    with pytest.raises(DataError) as caught:
        read_results(name)
    assert str(caught.value).startswith(f"{name} must be a results file of `rfm evaluate`, but {fault}")


def test_more_predictions_than_rows_are_no_comparison(file, capsys):
    odd = file(WHOLE | {"total_samples": 2})
    assert run_command(("compare",), [odd, odd], "rfm compare") == 1
    assert "must hold a prediction for each of its 2 rows, but holds 1; evaluate again" in capsys.readouterr().err
