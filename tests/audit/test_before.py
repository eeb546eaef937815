"""Datasets generated before the contract was amended: each of their faults is found, and what is drawn today passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit.audits import look
from audit.before import BEFORE, KEPT, rebuild
from sampling.true_worlds import KEY

from rfm.audit.dataset_audit import rule_findings
from rfm.audit.reading.subject import open_subject
from rfm.generation.generate import GenerateOptions, generate

pytestmark = pytest.mark.usefixtures("quick")
ZERO, RIGHT_AS_0 = "a wrong instruction of another scene is answered 0", "a right instruction is not answered 0"
FAULTS = {
    "scenes": {
        "a wrong instruction of the same scene is answered as recorded",
        "the answer to a wrong instruction of the same scene is recorded",
        "the chosen end has more progress",
    },
    "shared_texts": {RIGHT_AS_0, "a wrong instruction is not the clip's own in other words"},
    "spellings": {RIGHT_AS_0, "a wrong instruction is not the clip's own in other words"},
    "shared_files": {"a wrong instruction is of no other row about the clip's file"},
    "conflicts": {
        "label and partial success of compared clips agree",
        "label and partial success of a scored clip agree",
    },
    "sizes": {"compared clips are of one size", "a wrong instruction's clip can be asked its own"},
    "five_sources": set(),
    "times": {"the answer is the progress at the end"},
    "cut_offs": {RIGHT_AS_0},
}
"""Rules that the kept rows break."""


def broken(vqa: Path) -> dict[str, int]:
    return {one.rule: one.count for one in rule_findings(open_subject(str(vqa), None, None)) if one.count}


@pytest.mark.parametrize("name", BEFORE)
def test_what_was_false_before_is_found(name, tmp_path):
    found = broken(rebuild(name, tmp_path)[1])
    assert FAULTS[name] <= set(found), found
    assert bool(found) == bool(FAULTS[name])


def test_texts_that_tell_the_answer_with_their_source_are_found(tmp_path):
    _, vqa = rebuild("five_sources", tmp_path)
    found = look(vqa, max_unreadable=10_000)
    assert found.broken == {}
    assert "progress told blindly" in found.failed
    assert found.checks["progress told blindly"]["measured"] < 0.88


@pytest.mark.parametrize("name", ["scenes", "shared_texts", "spellings", "shared_files", "sizes", "times"])
def test_what_is_drawn_today_from_the_same_trajectories_breaks_no_rule(name, tmp_path):
    root, _ = rebuild(name, tmp_path)
    where = (f"data.datasets_root={root}", f"data.train_datasets=[{KEY}]", f"data.eval_datasets=[{KEY}]")
    options = GenerateOptions(
        output_path=str(tmp_path / "today"),
        num_samples=600,
        num_workers=1,
        config_overrides=(*where, "data.max_frames=6", "data.sample_type_ratio=[0.5,0.5,0]"),
    )
    assert broken(generate(options)) == {}


def test_the_kept_datasets_are_small():
    files: list[Path] = list(KEPT.iterdir())
    assert {file.stem for file in files} == set(BEFORE)
    assert sum(file.stat().st_size for file in files) < 300_000
