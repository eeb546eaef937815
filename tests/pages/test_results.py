"""`rfm report --html`: results files and runs as pages, in a real browser."""

from __future__ import annotations

import json

import pytest
from datasets import load_from_disk
from pages.browsers import PHONE, faults, opened

from rfm.cli import run_command
from rfm.evaluation.metrics.accuracy import Numbers

SCRIPT = "<script>document.title='broken'</script>"


def report(*words) -> int:
    return run_command(("report",), [str(word) for word in words], "rfm report")


def measured(metric: str, value: float, **more) -> Numbers:
    return {"count": 4, metric: value, f"{metric}_interval": [value * 0.9, value * 1.1], **more}


def results(questions, mae: float, **more) -> Numbers:
    """Results about the bundled questions; every answer to a pair is 1, and prefixes and confusion are made up."""
    rows = load_from_disk(str(questions)).to_list()
    config = json.loads((questions / "generation_config.json").read_text())
    common = {"completion": "ANS: 1", "task": "push", "trajectory": 0}
    asked = [
        {"row": at, "sample_type": row["sample_type"], "answer": row["answer"], "truth": float(row["answer"]),
         "predicted": 1.0, "strategy": row["data_gen_strategy"], **common}
        for at, row in enumerate(rows)
    ]  # fmt: skip
    score = {"sample_type": "progress", "answer": "50", "row": 0, "truth": 50.0, **common}
    prefixes = [{**score, "predicted": 20.0 * at, "strategy": "prefixes", "instruction": "own", "last_frame": at}
                for at in range(6)]  # fmt: skip
    confusion = [{**score, "trajectory": one, "task": task, "predicted": 90.0 if one == task else 5.0,
                  "strategy": "confusion", "instruction": "own" if one == task else "same_scene"}
                 for one in ("open", "close") for task in ("open", "close")]  # fmt: skip
    tasks = {f"task {at}": measured("mae", 10.0 + at) for at in range(3)} | {SCRIPT: measured("mae", 50.0)}
    return {
        "model_path": f"model {mae}", "dataset_path": str(questions), "total_samples": 60,
        "dataset_hash": config["content_hash"],
        "preference": measured("accuracy", 0.8), "progress": measured("mae", mae, by_task=tasks),
        "gap": {"progress": {"best_control": "blank", "metric": "mae", "control": 30.0, "gap": 30.0 - mae,
                             "gap_interval": [-1.0, 40.0]}},
        "controls": {"blank": {"preference": measured("accuracy", 0.5), "progress": measured("mae", 30.0)}},
        "best_constant": {"preference": measured("accuracy", 0.5), "progress": measured("mae", 27.0)},
        "calibration": {"preference": {"ece": 0.1, "reliability": [{"predicted": 0.2, "observed": 0.3}]}},
        "predictions": [*asked, *prefixes, *confusion], **more,
    }  # fmt: skip


def run_folder(folder, losses, *, planned=None):
    folder.mkdir()
    entries = [
        {"step": at, "loss": loss, "rows_per_second": 3.0, "learning_rate": 1.97e-05}
        for at, loss in enumerate(losses, 1)
    ]
    entries.append({"step": len(losses), "eval_loss": 0.25, "eval_progress_mae": 12.0})
    state = {"global_step": len(losses), "max_steps": planned or len(losses), "log_history": entries}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    return folder


def test_two_files_side_by_side(chromium, questions, tmp_path):
    for name, mae in (("one", 12.0), ("two", 14.0)):
        (tmp_path / f"{name}.json").write_text(json.dumps(results(questions, mae)))
    page_file = tmp_path / "report.html"
    assert report(tmp_path / "one.json", tmp_path / "two.json", "--html", page_file) == 0
    with opened(chromium, page_file) as page:
        head = page.locator("header").inner_text()
        assert (
            "Progress: mean absolute error 12.0 [10.8, 13.2] on 4 questions, ahead of its best control (blank" in head
        )
        assert "by 18.0, which may be chance" in head
        titles = page.locator("figure h3").all_inner_texts()
        assert {"preference: accuracy", "preference: reliability", "does it read the instruction?"} < {*titles}
        assert "push (episode 0)" in titles
        assert page.locator("svg.chart .scene").count() == 8  # every cell of two tasks of one scene, in two files
        assert page.locator("article").count() > 12
        assert "Model: ANS: 1 (" in page.locator("article").first.inner_text()
        page.wait_for_function("[...document.querySelectorAll('.strip img')].every(i => i.naturalWidth > 0)")
        table = page.locator("table.sortable", has_text="by task").first
        table.get_by_role("button", name="progress: mean absolute error").click()
        assert table.locator("tbody th").all_inner_texts() == [SCRIPT, "task 2", "task 1", "task 0"]
        assert page.title() == "one.json, two.json"
        page.set_viewport_size({"width": 720, "height": 1000})
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") <= 720, "paper does not scroll"
        page.emulate_media(media="screen")
        assert faults(page) == []


def test_a_narrow_window_scrolls_tables_and_not_the_page(chromium, questions, tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(results(questions, 12.0, dataset_path=str(tmp_path / "gone"))))
    assert report(tmp_path / "one.json", "--html", tmp_path / "r.html") == 0
    with opened(chromium, tmp_path / "r.html", size=PHONE, scheme="dark") as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert "Not shown of one.json: `dataset_path` must be a folder" in page.locator("main").inner_text()
        assert faults(page) == []


def test_runs_over_each_other(chromium, tmp_path):
    first = run_folder(tmp_path / "first", [2.0, 1.0, 0.5])
    second = run_folder(tmp_path / "second", [2.0, 1.5], planned=10)
    page_file = tmp_path / "made" / "on_the_way" / "runs.html"
    assert report(first, second, "--html", page_file) == 0
    with opened(chromium, page_file) as page:
        head = page.locator("header").inner_text()
        assert "first: 3 steps, finished, loss 2 at first and 0.5 at last." in head
        assert "second: 2 steps, as of its last checkpoint, of 10 planned" in head
        assert page.locator("figure", has_text="evaluation: progress MAE").locator("polyline").count() == 2
        rates = page.locator("figure", has_text="learning rate")
        assert "2.0e-5" in rates.locator("svg text").all_text_contents()
        cut = "texts => texts.filter(one => one.getBBox().x < 0).length"
        assert page.locator("svg.chart text").evaluate_all(cut) == 0, "the numbers beside an axis are not cut"
        assert faults(page) == []


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (None, "`results` must be results files or folders of runs, but {run} holds no trainer_state.json"),
        ({"global_step": "x"}, "`global_step` of {run}/trainer_state.json must be a whole number from 0, but is 'x'"),
        ({"global_step": 1, "max_steps": 1, "log_history": [3]}, "must be a list of entries with a `step`, but is not"),
    ],
)
def test_folders_that_hold_no_run_are_named(tmp_path, capsys, state, error):
    run = tmp_path / "run"
    run.mkdir()
    if state is not None:
        (run / "trainer_state.json").write_text(json.dumps(state))
    assert report(run, "--html", tmp_path / "r.html") == 1
    assert error.format(run=run) in capsys.readouterr().err


def test_what_does_not_go_together_is_refused(tmp_path, capsys):
    run = run_folder(tmp_path / "run", [1.0])
    assert report(run) == 1
    assert "`html` must be given, and it alone, with folders of runs" in capsys.readouterr().err
    assert report("a.json", "b.json", "--plot_path", tmp_path / "p.png") == 1
    assert "`plot_path` must go with one results file, but 2 are given" in capsys.readouterr().err
    assert report("a.json", "--html", tmp_path / "p.pdf") == 1
    assert "`html` must end in .html" in capsys.readouterr().err
    assert report(run, "a.json", "--html", tmp_path / "p.html") == 1
    assert f"must be files or folders of runs alone, but {run} is a folder among files" in capsys.readouterr().err
