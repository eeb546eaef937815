"""What the reports say of scores by whose instruction was asked."""

import json
from pathlib import Path

import pytest
from datasets import load_from_disk
from evaluation.reports.test_tables import lines
from PIL import Image
from worlds import make_world

from rfm.evaluation.evaluate import evaluate_checkpoint
from rfm.evaluation.options import EvaluateOptions
from rfm.evaluation.reports.instructions import SETS, gap_lines, instruction_tables
from rfm.evaluation.reports.plot import plot_results
from rfm.evaluation.reports.tables import markdown
from rfm.export.results_file import read_results
from rfm.generation.generate import GenerateOptions, generate


def asked(count: int, score: float, known: float, **more):
    interval = (score - 1, score + 1)
    numbers = {"count": count, "score": score, "score_interval": interval, "known": known, "mae": abs(score - known)}
    return numbers | more


CONFUSION = {
    "own": asked(20, 74.5, 100.0),
    "same_scene": asked(20, 63.0, 2.0),
    "other_scene": asked(240, 4.2, 0.0),
    "same_scene_gap": 11.5,
    "same_scene_gap_interval": (8.0, 15.0),
    "same_scene_gap_known": 98.0,
    "gap": 66.3,
    "gap_interval": (60.0, 72.0),
}


def test_own_same_scene_and_other_scene_stand_apart():
    seen = {"own": {"score": 70.0}, "same_scene": {"score": 69.0}, "same_scene_gap": 1.0, "gap": 60.0}
    results = {"instruction_confusion": CONFUSION, "controls": {"first_frame": {"instruction_confusion": seen}}}
    [table] = instruction_tables(results)
    assert [column.header for column in table.columns] == ["", "rows", "known", "model", "MAE", "first frame only"]
    assert lines(table) == [
        ["own", "20", "100.0", "74.5 [73.5, 75.5]", "25.5", "70.0"],
        ["same scene", "20", "2.0", "63.0 [62.0, 64.0]", "61.0", "69.0"],
        ["other scene", "240", "0.0", "4.2 [3.2, 5.2]", "4.2", "-"],
        ["own - same scene", "+98.0", "+11.5 [8.0, 15.0]", "+1.0"],
        ["own - all others", "-", "+66.3 [60.0, 72.0]", "+60.0"],
    ]


def scored(tmp_path: Path, scene: str | None, drop: str | None = None, eval_set: str = "confusion", **options):
    """The constant's results on a set of a small world, read back from disk."""
    root = make_world(tmp_path, scene=scene)
    path = generate(
        GenerateOptions(
            output_path=str(tmp_path / "vqa"),
            eval_set=eval_set,
            num_workers=1,
            config_overrides=(f"data.datasets_root={root}", "data.eval_datasets=[toy_train]", "data.max_frames=4"),
        )
    )
    if drop is not None:
        load_from_disk(str(path)).remove_columns([drop]).save_to_disk(str(tmp_path / "old"))
        path = tmp_path / "old"
    output = str(tmp_path / "r.json")
    evaluate_checkpoint(
        EvaluateOptions("constant", str(path), output_path=output, datasets_root=str(root), device="cpu", **options)
    )
    return read_results(output)


def test_questions_within_scenes_show_whether_the_words_are_read(tmp_path):
    results = scored(tmp_path, "table", eval_set="instruction", controls=("first_frame",))
    following = results["instruction_following"]
    assert (following["followed"], following["pair_accuracy"], following["same_scene_gap"]) == (0, 0.5, 0)
    assert following["videos"] == 12
    assert following["own"]["count"] == following["same_scene"]["count"] == 12, "whole episodes"
    assert following["count"] > 24, "and prefixes"
    assert results["controls"]["first_frame"]["instruction_following"]["followed"] == 0
    assert {one["strategy"] for one in results["predictions"]} == {"instruction"}
    assert "within scenes" in markdown(results)


def test_scores_by_instruction_are_drawn_below_the_other_charts(tmp_path):
    results = scored(tmp_path, "table", controls=("first_frame",))
    plot_results(results, tmp_path / "with.png")
    plot_results({name: one for name, one in results.items() if name not in SETS}, tmp_path / "without.png")
    tall, low = (Image.open(tmp_path / f"{name}.png").height for name in ("with", "without"))
    assert tall == 2 * low


def test_a_dataset_says_which_instructions_are_of_the_scene(tmp_path):
    results = scored(tmp_path, "table")
    confusion = results["instruction_confusion"]
    assert (confusion["own"]["score"], confusion["same_scene"]["score"]) == (50, 50)
    assert (confusion["same_scene_gap"], confusion["same_scene_gap_interval"]) == (0, [0, 0])
    assert 0 < confusion["same_scene"]["known"] < 100
    assert set(results["progress"]["by_instruction"]) == {"own", "same_scene"}
    assert {one["instruction"] for one in results["predictions"]} == {"own", "same_scene"}
    assert list(gap_lines(results)) == []
    assert "own - same scene" in markdown(results)


def test_rows_that_do_not_say_it_are_told(tmp_path):
    results = scored(tmp_path, None, drop="instruction_kind")
    confusion = results["instruction_confusion"]
    assert (confusion["own"]["count"], confusion["other"]["count"], confusion["same_scene_gap"]) == (4, 4, None)
    [line] = gap_lines(results)
    assert line == (
        "own - same scene is not known: 4 rows have no `instruction_kind`, so whether they ask a task of the video's "
        "own scene is not said: generate the set again"
    )


def test_a_set_without_questions_within_a_scene_is_told(tmp_path):
    [line] = gap_lines(scored(tmp_path, None))
    assert line.startswith("own - same scene is not known: no row asks another task of a video's own scene: that needs")


def test_results_of_others_are_checked(tmp_path):
    path = tmp_path / "r.json"
    broken = {"total_samples": 1, "instruction_confusion": {"own": {"score": "high"}}}
    path.write_text(json.dumps(broken))
    with pytest.raises(Exception, match=r"lacks `instruction_confusion\.own\.count`"):
        read_results(path)
