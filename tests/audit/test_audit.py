"""The whole audit: a generated dataset passes, and so do other people's that keep the rules."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from audit.audits import BETTER, EXTRA, MORE_PROGRESS, ONE_ANSWER, draw, look, root_of
from audit.faulty import coin_flips, edit_config, rewrite
from datasets import load_from_disk
from worlds import make_idle_world

pytestmark = pytest.mark.usefixtures("quick")


def test_a_generated_dataset_passes(clean):
    found = look(clean)
    assert (found.status, found.failed, found.broken) == (0, [], {})
    assert found.found["passed"] is True
    assert {check["verdict"] for check in found.checks.values()} == {"ok"}
    assert all(rule["not_checked"] == 0 for rule in found.found["datasets"][0]["rules"])
    assert {rule["rule"] for rule in found.found["datasets"][0]["rules"] if rule["checked"]} >= {
        "the chosen end has more progress",
        "the instruction is the chosen clip's",
        "the answer is the progress at the end",
        "a wrong instruction of another scene is answered 0",
    }


def test_every_sample_type_passes(world, tmp_path):
    found = look(draw(world, tmp_path / "vqa", "data.sample_type_ratio=[0.3,0.3,0.4]"))
    assert (found.failed, found.broken) == ([], {})
    assert "similarity told blindly" in found.checks


@pytest.mark.parametrize("max_frames", [4, 16], ids=["4 of 32", "16 of 32"])
def test_the_default_mixture_is_not_told_blindly_and_fills_the_scale(world, tmp_path, max_frames):
    plain = rewritten_without_records(world, tmp_path / "plain")
    path = draw(plain, tmp_path / "vqa", f"data.max_frames={max_frames}", rows=6000)
    found = look(path, max_duplicates=1)
    assert (found.failed, found.broken) == ([], {})
    if max_frames == 16:
        told = found.checks["progress told blindly"]
        assert told["verdict"] == "reported", "showing half of an episode tells something"
        assert "the reason is arithmetic: a clip that shows half of an episode" in told["note"]
    assert found.checks["preference told blindly"]["measured"] <= 0.55
    assert found.checks["least used tenth of scores"]["measured"] >= 0.05


@pytest.mark.parametrize(
    "fault", ["progress_strategy_ratio=[1,1,1,1]", "mixture=original"], ids=["direction", "counts"]
)
def test_what_directions_or_counts_tell_is_not_taken_for_arithmetic(world, tmp_path, fault):
    plain = rewritten_without_records(world, tmp_path / "plain")
    shown = (f"data.{fault}", "data.max_frames=16", "data.sample_type_ratio=[0,1,0]")
    found = look(draw(plain, tmp_path / "vqa", *shown, rows=4000), max_duplicates=1)
    assert found.failed == ["progress told blindly"]
    assert found.checks["progress told blindly"]["measured"] < 0.9
    assert "ways out: a smaller `data.max_frames`, fewer wrong" in found.checks["progress told blindly"]["note"]


@pytest.mark.parametrize(
    "override",
    [
        "data.progress_step=5",
        "data.progress_step=25",
        "data.discrete_progress=true",
        "data.progress_pred_type=absolute_first_frame",
        "data.progress_pred_type=relative_first_frame",
    ],
)
def test_labels_are_judged_by_the_settings_they_were_made_with(world, tmp_path, override):
    found = look(draw(world, tmp_path / "vqa", override, "data.sample_type_ratio=[0.2,0.8,0]", rows=400))
    assert found.broken == {}
    assert found.checks["contradictions"]["verdict"] == "ok"


def test_of_an_evaluation_set_the_spread_of_scores_is_reported_but_not_judged(world, tmp_path):
    found = look(draw(world, tmp_path / "vqa", eval_mode=True), max_duplicates=1)
    assert (found.failed, found.broken) == ([], {})
    assert found.checks["progress told blindly"]["verdict"] == "reported"
    assert found.checks["least used tenth of scores"]["verdict"] == "reported"
    assert found.checks["preference told blindly"]["verdict"] == "ok"


def test_a_success_cut_off_is_read_where_the_dataset_says(world, tmp_path):
    plain = rewritten_without_records(world, tmp_path / "plain")
    (tmp_path / "cutoffs.csv").write_text("toy_train,0.6\n")
    override = f"data.dataset_success_cutoff_file={tmp_path / 'cutoffs.csv'}"
    vqa = draw(plain, tmp_path / "vqa", override, rows=300)
    (tmp_path / "cutoffs.csv").write_text("toy_train,0.9\n")
    found = look(vqa)
    assert found.broken == {}, "the record decides; a file that a dataset names is not opened"
    assert found.checks["contradictions"]["verdict"] == "ok"
    edit_config(vqa, success_cutoffs={"toy_train": 0.9})
    assert "the answer is the progress at the end" in look(vqa).broken
    edit_config(vqa, success_cutoffs=None)
    lost = look(vqa)
    assert lost.broken == {}
    assert lost.checks["contradictions"]["verdict"] == "partly checked"


def test_success_cut_offs_that_were_found_in_the_frames_are_those_of_the_record(tmp_path):
    world = make_idle_world(tmp_path, {"a": [0.5] * 6})
    overrides = (f"data.datasets_root={world}", "data.train_datasets=[idle]", "data.max_frames=4")
    vqa = draw(world, tmp_path / "vqa", *overrides, "data.sample_type_ratio=[0,1,0]", "data.success_cutoff=idle")
    found = look(vqa)
    assert found.broken == {}
    assert found.checks["contradictions"]["verdict"] == "ok"
    edit_config(vqa, success_cutoffs={"a": 0.75})
    assert "the answer is the progress at the end" in look(vqa).broken


def rewritten_without_records(world: Path, root: Path) -> Path:
    """The training trajectories without recorded progress: that of successful ones comes from time."""
    from rfm.trajectories.record import Trajectory
    from rfm.trajectories.store import read_columns, write_processed_dataset

    shutil.copytree(world / "toy_train" / "frames", root / "toy_train" / "frames")
    names = ("id", "task", "task_id", "data_source", "frames", "num_frames", "quality_label")
    rows = read_columns(world / "toy_train", names).to_pylist()
    made = [Trajectory(**row, frames_shape=(row["num_frames"], 32, 32, 3)) for row in rows]
    write_processed_dataset(root / "toy_train", made)
    return root


def test_a_dataset_without_our_columns_is_judged_by_what_it_has(clean, tmp_path):
    plain = (*EXTRA, "data_source", "task", "target_progress", "chosen_is_first", "resample_attempts")
    root = str(root_of(clean))
    path = rewrite(clean, tmp_path / "vqa", config=False, drop=plain)
    found = look(path, datasets_root=root)
    assert (found.failed, found.broken) == ([], {})
    assert found.checks["rows off the ratios"]["verdict"] == "not checked"
    assert look(path, datasets_root=root, strict=True).failed == ["rows off the ratios"]
    flips = look(rewrite(clean, tmp_path / "flips", coin_flips, config=False, drop=plain), datasets_root=root)
    assert set(flips.broken) - {ONE_ANSWER} == {MORE_PROGRESS, BETTER}


def test_a_dataset_of_nothing_but_questions_passes_for_nothing(clean, tmp_path):
    keep = {"sample_type", "prompt", "answer"}
    drop = tuple(name for name in load_from_disk(str(clean)).column_names if name not in keep)
    found = look(rewrite(clean, tmp_path / "vqa", config=False, drop=drop))
    assert found.checks["unreadable rows"]["verdict"] == "not checked"
    assert found.checks["preference told blindly"]["verdict"] == "not checked"
    assert set(found.broken) == {
        "a pair has two clips",
        "a progress question has a clip",
        ONE_ANSWER,
    }


def test_what_needs_trajectories_is_not_checked_without_them(clean, tmp_path):
    root = tmp_path / "frames only"
    shutil.copytree(root_of(clean) / "toy_train" / "frames", root / "toy_train" / "frames")
    found = look(clean, datasets_root=str(root))
    assert found.status == 0
    assert found.checks["contradictions"]["verdict"] == "partly checked"
    assert (
        f"not checked: up to 600 rows a rule: `datasets_root` must hold trajectory datasets, but {root} has none"
        in (found.checks["contradictions"]["note"])
    )
    assert found.checks["unreadable rows"]["verdict"] == "ok"
    rules = {rule["rule"]: rule for rule in found.found["datasets"][0]["rules"]}
    assert rules[MORE_PROGRESS]["checked"] == 0
    assert look(clean, datasets_root=str(root), strict=True).failed == ["contradictions"]


def test_a_sample_says_what_it_did_not_look_at(clean):
    found = look(clean, max_rows=300)
    assert found.found["datasets"][0]["rows_looked_at"] == 300
    assert found.checks["rows off the ratios"]["verdict"] == "not checked"
    assert found.checks["duplicate rows"]["verdict"] == "partly checked"
    assert "900 rows beyond the sample of --max_rows" in found.checks["duplicate rows"]["note"]
