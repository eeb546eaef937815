"""What is said of instructions before rows are written."""

from __future__ import annotations

import logging

import pytest
from catalogs import make_catalog
from generating import options, rows_of
from worlds import make_world

from rfm.configs.compose import load_config
from rfm.generation.drawing import Plan
from rfm.generation.generate import generate
from rfm.generation.reporting import report

UNREAD = "no row asks about another task of the same scene"


def said(caplog: pytest.LogCaptureFixture, scenes: list[int] | None, towards: dict | None = None) -> str:
    catalog = make_catalog(
        frames=[20] * 9, tasks=[0, 1, 2] * 3, scenes=scenes and scenes * 3, progress=[[i / 19 for i in range(20)]] * 9,
        towards=towards,
    )  # fmt: skip
    plan = Plan(catalog, load_config(overrides=["data.max_frames=4"]), 1, 2000)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        report(plan, plan.drawer(), "train")
    return caplog.text


def test_scenes_that_are_not_known_are_warned_of(caplog):
    text = said(caplog, None)
    assert "rows ask about another task for one of their clips: 0% about one of the same scene" in text
    assert "are answered as if the clip had got nowhere on it" in text
    assert "`scene_id`, or rfm ingest --scene" in text
    assert UNREAD not in text


def test_that_nothing_within_a_scene_is_asked_is_warned_of(caplog):
    text = said(caplog, [0, 1, 2])
    assert f"{UNREAD}, so that who knows the scene need not read the instruction: give `progress_by_task`" in text
    assert "not known to be another" not in text


def test_of_scenes_with_known_answers_nothing_is_warned(caplog):
    falling = [1 - i / 19 for i in range(20)]
    text = said(caplog, [0, 0, 1], {(at, 1 - at % 3): falling for at in range(9) if at % 3 < 2})
    assert "ask about another task" in text
    assert UNREAD not in text
    assert "not known to be another" not in text


def test_a_world_in_one_scene_asks_within_it(tmp_path):
    world = make_world(tmp_path / "root", scene="table")
    made = generate(options(world, tmp_path / "vqa"))
    assert {row["instruction_kind"] for row in rows_of(made)} == {"own", "same_scene"}
