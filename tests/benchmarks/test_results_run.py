"""A small run from videos to page, interrupted and continued."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from robot_datasets import SHARED
from worlds import make_world

from benchmarks.results import judging, ladder, plan, recipe, sides
from benchmarks.results.figures import FIGURES
from benchmarks.results.ladder import PREFERENCE, RUNGS, changed
from benchmarks.results.plan import Options
from benchmarks.results.real import told
from benchmarks.results.steps import MARK
from rfm import demo
from rfm.errors import ConfigError
from rfm.evaluation.evaluate import evaluate_checkpoint

BY_NAME = {rung.name: rung for rung in RUNGS}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The bundled videos are squares that move, a course has two lessons, the ladder two rungs, the model one side."""
    for module in (demo, recipe):
        monkeypatch.setattr(module, "LESSONS", demo.LESSONS[-2:])
    root = make_world(tmp_path / "root", "metaworld_train", episodes=36, tasks=3, scene="table")
    make_world(root, "metaworld_eval", episodes=36, tasks=3, seed=1, scene="table")
    monkeypatch.setattr(sides, "bundled_root", lambda: root)
    monkeypatch.setattr(plan, "FULL_STEPS", 5)
    monkeypatch.setattr(plan, "RUNGS", (BY_NAME["all"], BY_NAME["no_cross"]))
    monkeypatch.setattr(ladder, "SEEN", ("move-0", "move-1"))
    monkeypatch.setattr(ladder, "UNSEEN", ("move-2",))
    monkeypatch.setenv("RFM_PROCESSED_DATASETS_PATH", str(root))
    docs = tmp_path / "docs"
    return Options(
        output_dir=str(tmp_path / "run"), docs=str(docs), shared=str(SHARED), rows=24, ladder_rows=24,
        ladder_steps=5, sides=("seen",), models=("demo",),
    )  # fmt: skip


def marks(folder):
    return {path.parent.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob(MARK)}


def test_a_run_that_was_stopped_goes_on_and_ends_with_a_page(small, tmp_path, monkeypatch):
    asked = []

    def stopping(options):
        asked.append(options.dataset_path)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return evaluate_checkpoint(options)

    monkeypatch.setattr(judging, "evaluate_checkpoint", stopping)
    with pytest.raises(KeyboardInterrupt):
        plan.run(small)
    before = marks(tmp_path / "run")
    done = {name for name in before if json.loads((tmp_path / "run" / name / MARK).read_text())["files"] is not None}
    assert {"models/demo/lesson_2", "models/demo/seen/mixture", "models/demo/seen/prefixes"} <= done
    assert not (tmp_path / "docs" / "results.md").exists()
    plan.run(small)
    assert {name: at for name, at in marks(tmp_path / "run").items() if name in done} == {
        name: before[name] for name in done
    }

    first = (tmp_path / "docs" / "results.md").read_bytes()
    model = json.loads((tmp_path / "docs" / "results" / "demo.json").read_text())
    [side] = model["sides"]
    assert model["left_out"] == ["new words", "unseen tasks", "another camera", "filmed afresh"]
    assert set(side["model"]) | set(side["missing"]) == set(FIGURES)
    assert all(side["model"][name]["interval"] is not None for name in ("preference", "mae", "tau_a", "quality"))
    assert {"best_constant", "random", "frame_difference", "blank", "last_frame"} <= set(side["rivals"])
    assert side["trained_on_share"] == 0
    assert [one["name"] for one in model["real"]] == [
        name for name in ("real_clips", "bridge_rlds") if (SHARED / name).is_dir()
    ]
    assert 1 <= len(side["worst"]) <= 6
    assert Image.open(tmp_path / "docs" / "results" / side["picture"]).height > 80
    assert Image.open(tmp_path / "docs" / "results" / "ladder.png").width > 500
    rungs = json.loads((tmp_path / "docs" / "results" / "ladder.json").read_text())["rungs"]
    assert [(one["name"], one["episodes"], one["tasks"]) for one in rungs] == [("all", 24, 2), ("no_cross", 24, 2)]
    assert rungs[1]["seen"]["against_all"]["preference"]["interval"] is not None

    count = len(asked)
    plan.run(small)
    assert len(asked) == count
    assert (tmp_path / "docs" / "results.md").read_bytes() == first


def test_scores_of_real_robots_are_told_by_their_ends_and_their_order(tmp_path):
    curves = {"a": [0.0, 0.5, 1.0], "b": [0.4, 0.4, 0.4]}  # rises, and says nothing
    rows = [(name, at, score) for name, scores in curves.items() for at, score in enumerate(scores)]
    pq.write_table(pa.table(list(zip(*rows, strict=True)), names=["episode", "frame", "progress"]), tmp_path / "x")
    found = told(tmp_path / "x")
    assert found["episodes"] == 2
    values = [found[name]["value"] for name in ("begin", "end", "spearman")]
    assert values == pytest.approx([20.0, 70.0, 0.5])
    assert found["spearman"]["interval"] == pytest.approx((0.0, 1.0))


def test_an_ingredient_is_left_out_of_every_lesson_that_has_it():
    lesson = ("data.max_frames=4", "data.progress_strategy_ratio={forward_progress: 1, prefix_progress: 1}")
    without = changed(lesson, BY_NAME["no_clipping"])
    left = ", ".join(f"{name}: {share}" for name, share in PREFERENCE.items() if name != "stopped_early")
    assert without == (
        "data.max_frames=4",
        "data.progress_strategy_ratio={forward_progress: 1}",
        f"data.preference_strategy_ratio={{{left}}}",
    )
    assert changed(("data.same_scene_share=0.6",), BY_NAME["no_same_scene"]) == ("data.same_scene_share=0",)
    assert changed(lesson, BY_NAME["all"]) == lesson


def test_options_that_can_measure_nothing_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="`rows` must be at least 1, but is 0\n`ladder_steps` must be at least 5"):
        Options(rows=0, ladder_steps=1)
    with pytest.raises(ConfigError, match=r"`sides` must be among afresh, camera, .*, but one is 'moon'"):
        Options(sides=("moon",))
    with pytest.raises(ConfigError, match=r"`demo_model` must be a checkpoint folder with checkpoint_files.json, but"):
        plan.run(Options(output_dir=str(tmp_path / "run"), docs=str(tmp_path), demo_model=str(tmp_path)))
    assert not (tmp_path / "run" / "models").exists()
