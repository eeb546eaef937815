import json
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.results.advice import advice
from benchmarks.results.changes import report_changes
from benchmarks.results.figures import FIGURES, Answers, figures_of, with_same_scene
from benchmarks.results.page import render, render_card, write_card, write_page
from benchmarks.results.subsets import Episode, part
from benchmarks.results.verdicts import verdict

ROOT = Path(__file__).parents[2]


def metric(value, low=None, high=None, **more):
    return {"value": value, "interval": None if low is None else [low, high], "count": 40, **more}


def a_side(**figures):
    return {
        "name": "seen",
        "title": "new episodes",
        "what": "Held-out episodes.",
        "model": {"preference": metric(0.93, 0.91, 0.95), "mae": metric(12.0, 11.0, 14.0), **figures},
        "rivals": {
            "best_constant": {"preference": metric(0.5, 0.4, 0.6), "mae": metric(30.0, 28.0, 32.0)},
            "last_frame": {"preference": metric(0.83, 0.8, 0.86)},
        },
        "missing": {"gap": "needs a scene_id"},
        "ahead": {
            "preference": {"value": 0.1, "interval": [0.05, 0.15], "over": "last_frame"},
            "progress": {"value": -0.04, "interval": [-1.0, 1.0], "over": "last_frame"},
        },
        "trained_on_share": 0.0,
        "worst": [],
        "picture": "demo-seen.jpg",
    }


def a_model(**more):
    return {
        "place": 0, "name": "demo", "title": "The demo's model", "what": "a small one.",
        "training": ["100 questions"], "left_out": [],
        "sides": [a_side()], "real": [], "bars": [], "times": [], "codes": ["abc"], "versions": {"torch": "2"}, **more,
    }  # fmt: skip


def a_rung(name, axis, size, accuracy, difference=None, **more):
    side = {"preference": metric(accuracy, accuracy - 0.02, accuracy + 0.02), "mae": None, "tau_a": None, "gap": None}
    if difference is not None:
        side["against_all"] = {"preference": metric(sum(difference) / 2, *difference)}
    return {
        "name": name, "axis": axis, "title": name, "episodes": size, "tasks": size // 10, "seen": side,
        "unseen": deepcopy(side), **more,
    }  # fmt: skip


LADDER = {
    "steps": 100, "full_steps": 5650, "seen_tasks": ["door-open"], "unseen_tasks": ["lever-pull"], "times": [],
    "codes": ["abc"], "versions": {},
    "rungs": [
        a_rung("eighth", "episodes", 40, 0.6, (0.2, 0.4)),
        a_rung("half", "episodes", 160, 0.8, (0.05, 0.15)),
        a_rung("few", "tasks", 20, 0.55, (-0.1, 0.1)),
        a_rung("all", "all", 320, 0.9),
        a_rung("without whole episodes", "mixture", 320, 0.85, (0.01, 0.09)),
        a_rung("without pairs", "mixture", 320, 0.9, (-0.01, 0.01)),
    ],
}  # fmt: skip


def test_the_first_screen_says_what_the_model_is_good_for():
    screen = render([a_model()], None, {}).splitlines()[:30]
    assert "| tell which of two clips got further? | **yes** 0.93 [0.91, 0.95] |" in screen
    assert "| say how far a clip got, 0 to 100? | *with care* 12.0 [11.0, 14.0] |" in screen
    assert "| tell tasks of one scene apart by the words? | not measured |" in screen
    assert "| compare better than its best control? | **yes** 0.10 [0.05, 0.15] (last frame alone) |" in screen
    assert "| score better than its best control? | **no** 0.0 [-1.0, 1.0] (last frame alone) |" in screen
    assert "On real robots: not measured." in screen


def test_the_same_files_give_the_same_bytes_and_nothing_else_is_read(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "demo.json").write_text(json.dumps(a_model()))
    (tmp_path / "results" / "ladder.json").write_text(json.dumps(LADDER))
    pages = []
    for _ in range(2):
        pages.append(write_page(tmp_path).read_bytes())
        (tmp_path / "results.md").write_text("changed by hand")
    assert pages[0] == pages[1]
    assert b"What the models of this repository are worth" in pages[0]


def test_the_committed_page_is_that_of_the_committed_files(tmp_path):
    docs = tmp_path / "docs"
    (docs / "results").mkdir(parents=True)
    for path in (ROOT / "docs" / "results").glob("*.json"):
        (docs / "results" / path.name).write_bytes(path.read_bytes())
    assert write_page(docs).read_text() == (ROOT / "docs" / "results.md").read_text()


def test_every_picture_of_the_committed_page_is_there():
    for line in (ROOT / "docs" / "results.md").read_text().splitlines():
        if line.startswith("!["):
            assert (ROOT / "docs" / line.split("](")[1].rstrip(")")).is_file()


@pytest.mark.parametrize(
    ("name", "interval", "said"),
    [
        ("preference", (0.9, 0.95), "yes"),
        ("preference", (0.89, 0.95), "with care"),
        ("preference", (0.5, 0.95), "no"),
        ("mae", (5.0, 10.0), "yes"),
        ("mae", (5.0, 29.9), "with care"),
        ("mae", (5.0, 30.0), "no"),
        ("gap", (-1.0, 90.0), "no"),
    ],
)
def test_a_verdict_goes_by_the_worse_end_of_the_interval(name, interval, said):
    assert verdict(a_side(**{name: metric(sum(interval) / 2, *interval)}), name) == said


def test_a_figure_without_an_interval_is_no_verdict():
    assert verdict(a_side(preference=metric(1.0)), "preference") == "not measured"


def test_what_stands_in_texts_of_data_breaks_no_table():
    worst = {
        "sample_type": "progress", "task": "push | the <b>cup</b>\n# now", "strategy": "rewind", "instruction": "own",
        "truth": 0.0, "said": None, "loss": 100.0,
        "clips": [{"trajectory": "a", "frames": "a.npz", "shown": [0], "end": 0.0}],
    }  # fmt: skip
    side = {**a_side(), "worst": [worst]}
    page = render([a_model(sides=[side])], None, {})
    assert '1. "push \\| the \\<b\\>cup\\</b\\> \\# now": right 0, said no answer; rewind, `a`' in page


def test_a_bar_that_is_missed_is_told_with_the_note_on_it():
    bars = [
        {"side": "seen", "figure": "preference", "value": 0.93, "least": True},
        {"side": "seen", "figure": "mae", "value": 6.0, "least": False},
        {"side": "unseen", "figure": "tau_a", "value": 0.5, "least": True},
    ]
    notes = {"demo": {"missed": ["MAE: too few episodes; twice the steps gave 11.8."]}}
    page = render([a_model(bars=bars)], None, notes)
    assert "| preference accuracy, new episodes | at least 0.93 | 0.93 [0.91, 0.95] | passed |" in page
    assert "| MAE of progress (0 to 100), new episodes | at most 6 | 12.0 [11.0, 14.0] | **missed** |" in page
    assert "| ranking, tau-a, unseen | at least 0.5 | - | not measured |" in page
    assert "twice the steps gave 11.8" in page


def test_a_small_ladder_says_so():
    assert "**This was a small run**: 100 steps where the recipe has 5650" in render([a_model()], LADDER, {})
    assert "small run" not in render([a_model()], {**LADDER, "steps": 5650}, {})


def test_advice_calls_a_difference_only_what_the_interval_does():
    episodes, tasks, mixture = advice(LADDER["rungs"])
    assert episodes == (
        "**Episodes**: from 40 to 320 episodes preference accuracy on held-out episodes of the same tasks went from "
        "0.60 to 0.90, and the last step still helped: collect more."
    )
    assert "from 2 to 32 tasks preference accuracy on tasks that were never trained on went from 0.55 to 0.90" in tasks
    assert "no measurable difference: more of them alone is not what is missing" in tasks
    assert "without whole episodes, preference accuracy 0.05 worse on seen tasks and " in mixture
    assert "without pairs, no measurable difference. " in mixture


def test_advice_tells_what_was_better_without_an_ingredient_too():
    rungs = [
        {**one, "unseen": {**one["unseen"], "against_all": {"mae": {"value": 11.2, "interval": [1.7, 19.5]}}}}
        | {"seen": {**one["seen"], "against_all": {"preference": {"value": -0.07, "interval": [-0.1, -0.04]}}}}
        if one["title"] == "without whole episodes"
        else one
        for one in LADDER["rungs"]
    ]
    assert (
        "without whole episodes, preference accuracy 0.07 better on seen tasks and MAE 11.2 worse on unseen tasks; "
        in advice(rungs)[-1]
    )


def test_figures_come_with_interval_count_and_those_of_rivals():
    mixture = {
        "preference": {"count": 9, "accuracy": 0.75, "accuracy_interval": [0.5, 1.0]},
        "gap": {"preference": {"gap": 0.25, "gap_interval": [0.0, 0.5], "best_control": "blank"}},
        "controls": {"blank": {"preference": {"count": 9, "accuracy": 0.5, "accuracy_interval": None}}},
        "not_computed": {"calibration": "needs probabilities"},
    }
    answers = [Answers("mixture", mixture, None, Path()), Answers("prefixes", None, "no progress is known", Path())]
    answers += [Answers(kind, {}, None, Path()) for kind in ("ranking", "confusion", "instruction", "quality")]
    found = figures_of(answers)
    assert found["model"] == {"preference": {"value": 0.75, "interval": [0.5, 1.0], "count": 9}}
    assert found["rivals"] == {"blank": {"preference": {"value": 0.5, "interval": None, "count": 9}}}
    assert found["ahead"] == {"preference": {"value": 0.25, "interval": [0.0, 0.5], "over": "blank"}}
    assert found["missing"]["pearson"] == "no progress is known"
    assert found["missing"]["ece_progress"] == "needs probabilities"
    assert set(found["model"]) | set(found["missing"]) == set(FIGURES)


def test_instructions_of_one_scene_are_told_apart_by_the_right_answer():
    rows = [("same_scene", 0.0, 20.0), ("same_scene", 0.0, 0.0), ("same_scene", 60.0, 45.0), ("own", 100.0, 0.0)]
    predictions = [
        {"instruction": kind, "truth": truth, "predicted": said, "trajectory": at}
        for at, (kind, truth, said) in enumerate(rows)
    ]
    found = with_same_scene({"instruction_following": {"same_scene": {}}, "predictions": predictions})
    following = found["instruction_following"]
    assert following["same_scene_0"] == {"count": 2, "score": 10.0, "score_interval": (0.0, 20.0)}
    assert following["same_scene_more"] == {"count": 1, "mae": 15.0, "mae_interval": None}
    assert with_same_scene({"predictions": predictions}) == {"predictions": predictions}


def test_a_figure_that_left_its_interval_is_told(tmp_path):
    path = tmp_path / "demo.json"
    path.write_text(json.dumps(a_model()))
    assert report_changes(path, a_model()) == []
    changed = a_model(sides=[a_side(preference=metric(0.8, 0.7, 0.9))])
    assert report_changes(path, changed) == ["sides/seen/model/preference was 0.93 [0.91, 0.95], is 0.8"]


def test_parts_are_nested_and_even_over_tasks_and_qualities():
    episodes = [Episode(f"{task}{number}", task, "sfu"[number % 3]) for task in "abcd" for number in range(30)]
    parts = [part(episodes, share) for share in (1 / 8, 1 / 4, 1 / 2, 1)]
    assert [len(one) for one in parts] == [15, 30, 60, 120]
    for small, large in pairwise(parts):
        assert set(small) < set(large)
    for one, share in zip(parts, (1 / 8, 1 / 4, 1 / 2, 1), strict=True):
        counts = [sum(e.task == task and e.quality == q for e in one) for task in "abcd" for q in "sfu"]
        assert max(counts) - min(counts) <= 1
        assert abs(sum(counts) / 12 - 10 * share) < 0.1


def test_the_card_of_the_package_is_what_the_figures_make_of_it(tmp_path):
    shipped = ROOT / "rfm" / "model" / "weights_shipped" / "metaworld-small"
    card = write_card(ROOT / "docs", "metaworld-small", tmp_path)
    assert card.read_text(encoding="utf-8") == (shipped / "README.md").read_text(encoding="utf-8")


def test_a_card_says_what_a_model_is_good_for_and_how_it_was_made():
    figures = a_model(name="small", sides=[a_side(), {**a_side(mae=metric(29.0, 25.0, 33.0)), "title": "new tasks"}])
    text = render_card(figures, {"small": {"made": ["in an hour"]}})
    assert "| say how far a clip got, 0 to 100? | *with care* 12.0 [11.0, 14.0] | **no** 29.0 [25.0, 33.0] |" in text
    assert "| MAE of progress (0 to 100) | 12.0 [11.0, 14.0] | 29.0 [25.0, 33.0] |" in text
    assert "- 100 questions\n- in an hour\n" in text
