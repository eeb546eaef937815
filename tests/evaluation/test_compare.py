import json
import re

import numpy as np
import pytest

from rfm.cli import run_command
from rfm.evaluation.metrics.bootstrap import interval

ROWS = 24


def results(path, predicted, *, hash="h", truth=None, kind="progress", unread=(), **changes):
    """A results file of one sample type, with two rows a trajectory and three tasks."""
    truth = np.linspace(0, 100, ROWS) if truth is None else truth
    predictions = []
    for row, (value, right) in enumerate(zip(predicted, truth, strict=True)):
        one = {"row": row, "sample_type": kind, "answer": f"{right:.0f}", "completion": f"ANS: {value}"}
        one["unreadable"] = "gone" if row in unread else None
        if row not in unread:
            known = float(value) if isinstance(value, (int, float)) else None
            one |= {"truth": right, "predicted": known, "trajectory": row // 2, "task": f"task {row % 3}"}
            one["strategy"] = "rewind"
        predictions.append(one)
    content = {"model_path": path.stem, "dataset_path": "d", "dataset_hash": hash, "total_samples": len(predictions)}
    path.write_text(json.dumps(content | {"predictions": predictions} | changes))
    return path


@pytest.fixture
def compare(tmp_path, capsys):
    def run(first, second, *flags):
        output = tmp_path / "comparison.json"
        status = run_command(
            ("compare",), [str(first), str(second), "--output_path", str(output), "--overwrite", *flags], "rfm compare"
        )
        return status, json.loads(output.read_text()) if output.exists() else None, "".join(capsys.readouterr())

    return run


def test_a_result_beside_itself_ties_everywhere(tmp_path, compare):
    file = results(tmp_path / "a.json", np.full(ROWS, 40))
    status, found, _ = compare(file, file)
    progress = found["progress"]
    assert status == 0
    assert (progress["difference"], progress["difference_interval"]) == (0, [0, 0])
    assert (progress["wins"], progress["losses"], progress["ties"], progress["most_different"]) == (0, 0, ROWS, [])


def test_no_error_is_no_negative_zero(tmp_path, compare):
    file = results(tmp_path / "a.json", [40.0] * ROWS, truth=[40.0] * ROWS)
    _, found, shown = compare(file, file)
    assert [str(found["progress"][side]) for side in ("first", "second")] == ["0.0", "0.0"]
    assert "-0.0" not in shown


def test_the_results_compared_are_never_written_over(tmp_path, capsys):
    file = results(tmp_path / "a.json", np.full(ROWS, 40))
    before = file.read_bytes()
    words = [str(file), str(file), "--output_path", str(tmp_path / "." / "a.json"), "--overwrite"]
    assert run_command(("compare",), words, "rfm compare") == 1
    assert (
        f"`output_path` must not be what is read, but {file} is {file} itself; name another" in capsys.readouterr().err
    )
    assert file.read_bytes() == before


def test_who_wins_by_how_much_and_where(tmp_path, compare):
    truth = np.linspace(0, 100, ROWS)
    rng = np.random.default_rng(0)
    worse = truth + rng.normal(0, 20, ROWS)
    better = truth + 0.5 * (worse - truth)
    better[3] = truth[3] + 90
    _, found, shown = compare(results(tmp_path / "a.json", worse), results(tmp_path / "b.json", better))
    progress = found["progress"]
    gain = np.abs(worse - truth) - np.abs(better - truth)
    assert progress["first"] == pytest.approx(np.abs(worse - truth).mean())
    assert progress["difference"] == pytest.approx(gain.mean()) == pytest.approx(progress["first"] - progress["second"])
    assert progress["difference_interval"] == pytest.approx(interval(gain, np.arange(ROWS) // 2))
    assert (progress["wins"], progress["losses"]) == (ROWS - 1, 1)
    assert {name: part["count"] for name, part in progress["by_task"].items()} == {f"task {n}": 8 for n in range(3)}
    assert progress["by_task"]["task 0"]["losses"] == 1
    assert progress["most_different"][0]["row"] == 3
    assert len(progress["most_different"]) == 10
    assert "B is better by" in shown
    assert "progress rows that differ most" in shown


def test_swapping_the_two_turns_the_signs(tmp_path, compare):
    rng = np.random.default_rng(1)
    files = [results(tmp_path / f"{name}.json", rng.uniform(0, 100, ROWS)) for name in "ab"]
    there, back = compare(*files)[1]["progress"], compare(*files[::-1])[1]["progress"]
    assert there["difference"] == pytest.approx(-back["difference"])
    assert (there["wins"], there["losses"]) == (back["losses"], back["wins"])
    assert there["difference_interval"] == pytest.approx([-end for end in back["difference_interval"][::-1]])


def test_unparsed_answers_lose_and_pairs_are_right_or_wrong(tmp_path, compare):
    truth = np.array([1.0, 2.0] * 4)
    first = results(tmp_path / "a.json", [1, 2, 2, 1, None, None, 1, 2], truth=truth, kind="preference")
    second = results(tmp_path / "b.json", [1, 2, 1, 2, 1, 2, None, None], truth=truth, kind="preference")
    found = compare(first, second)[1]["preference"]
    assert (found["first"], found["second"], found["difference"]) == (0.5, 0.75, 0.25)
    assert (found["wins"], found["losses"], found["ties"]) == (4, 2, 2)


def test_rows_that_one_could_not_read_are_left_out_and_counted(tmp_path, compare):
    first = results(tmp_path / "a.json", np.full(ROWS, 40), unread=[0, 1])
    _, found, shown = compare(first, results(tmp_path / "b.json", np.full(ROWS, 50), unread=[1, 5]))
    assert (found["left_out"], found["progress"]["count"]) == (3, ROWS - 3)
    assert "3 rows were not judged in one of the two and are left out" in shown


def asking(path, same_scene):
    """Results of four videos under two instructions, own ones at 80; the last rows are of a prefix."""
    scored = [80, same_scene, 80, same_scene + 4, 80, same_scene + 8, 80, same_scene + 12, 0, 100]
    file = results(path, scored, truth=[100, 0] * 4 + [0, 100])
    content = json.loads(file.read_text())
    for row, one in enumerate(content["predictions"]):
        one |= {"trajectory": row // 2 % 4, "strategy": "instruction", "last_frame": 9 if row < 8 else 2}
        one["instruction"] = ("own", "same_scene")[row % 2]
    file.write_text(json.dumps(content))
    return file


def test_gaps_between_instructions_of_one_scene_are_compared(tmp_path, compare):
    files = asking(tmp_path / "a.json", 60), asking(tmp_path / "b.json", 20)
    _, found, shown = compare(*files)
    gap = found["same_scene_gap"]["instruction_following"]
    assert (gap["count"], gap["first"], gap["second"], gap["difference"]) == (8, 14, 54, 40), "of whole episodes"
    assert gap["difference_interval"] == pytest.approx([40, 40]), "the rows are the same"
    assert "own - same scene" in shown
    assert re.search(r"instruction following +8 +\+14\.0 +\+54\.0 +\+40\.0 \[40\.0, 40\.0\]", shown)
    plain = compare(*(results(tmp_path / f"{name}.json", np.full(ROWS, 40)) for name in "cd"))
    assert plain[1]["same_scene_gap"] == {}
    assert "own - same scene" not in plain[2]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"hash": "other"}, "both results must be of one dataset, but"),
        (
            {"truth": np.linspace(100, 0, ROWS)},
            "both results must be of the same rows, but row 0 is a progress question",
        ),
        ({"predicted": np.ones(3), "truth": np.ones(3)}, "both results must be of the same rows, but"),
    ],
)
def test_other_rows_are_refused(tmp_path, compare, changes, text):
    first = results(tmp_path / "a.json", np.ones(ROWS))
    second = results(tmp_path / "b.json", **{"predicted": np.ones(ROWS), **changes})
    status, found, shown = compare(first, second)
    assert (status, found) == (1, None)
    assert f"error: {text}" in shown


def test_files_that_are_no_results_are_refused(tmp_path, compare):
    good = results(tmp_path / "a.json", np.ones(ROWS))
    (tmp_path / "bare.json").write_text(json.dumps({"total_samples": 3, "model_path": "m", "dataset_path": "d"}))
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.json").write_text("{")
    assert "bare.json must hold predictions, but does not: evaluate again without --no_save_predictions" in compare(
        good, tmp_path / "bare.json"
    )[2].replace("\n", " ")
    assert (
        "must be a results file of `rfm evaluate`, but must be an object, but is []"
        in compare(good, tmp_path / "list.json")[2]
    )
    for name in ("broken.json", "gone.json"):
        assert "must be a results file of `rfm evaluate`, but can't be read" in compare(good, tmp_path / name)[2]
    assert "`most_different` must be at least 0, but is -1" in compare(good, good, "--most_different", "-1")[2]


def test_answers_of_many_lines_are_shown_on_one(tmp_path, compare):
    first = results(tmp_path / "a.json", ["[/red]\n\n\x1b[2J" * 9] * ROWS)
    second = results(tmp_path / "b.json", [50] * ROWS)
    shown = compare(first, second)[2]
    assert "ANS: [/red] [2J[/red] [2J" in shown
    assert "\x1b[2J" not in shown
    assert len(shown.splitlines()) < 40
