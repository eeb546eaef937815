"""Tasks are told apart by their ids, whatever their texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from catalogs import make_catalog
from datasets import Dataset
from films import episode, film, write_episodes

from rfm.cli import run_command
from rfm.evaluation.exam import Exam, columns_of
from rfm.evaluation.known_tasks import KnownTasks, known_tasks
from rfm.evaluation.rivals.controls import controlled

TEXTS = ["open it", "open it", "Open it!", "pull it", "shut it"]


def file(number: int) -> str:
    return f"fake/frames/trajectory_t{number}.npz"


def test_an_instruction_is_of_the_task_of_the_clip_whose_own_it_is():
    known = known_tasks(make_catalog(frames=[4] * 5, tasks=[0, 0, 1, 1, 2], texts=TEXTS))
    assert [known.name("open it.", [file(number)]) for number in (0, 2, 3)] == ["task0", "task1", "task0"]
    assert known.name("Open it", [None, file(2)]) == "task1"
    assert known.name("pull it", [file(0)]) == "task1"
    assert known.named_so("open it") == ("task0", "task1")
    assert (known.name("Dance!"), known.name(""), known.name(None)) == ("dance", "unknown", "unknown")
    assert KnownTasks().name("Open it!", [file(2)]) == "open it"


def test_tasks_of_several_catalogs_do_not_take_the_place_of_each_other():
    one = known_tasks(make_catalog(frames=[4], texts=["open it"]))
    catalog = make_catalog(frames=[4, 4], tasks=[1, 1], texts=["open it", "pull it"], files=[7, 8])
    both = one.joined(known_tasks(catalog))
    assert [both.name("open it", [file(number)]) for number in (0, 7)] == ["task0", "task1"]
    assert both.named_so("open it") == ("task0", "task1")
    assert both.of_path[file(8)] == {"task1"}


def test_no_instruction_is_another_one_that_any_of_its_tasks_is_shown_under(tmp_path: Path):
    catalog = make_catalog(frames=[4] * 5, tasks=[0, 0, 1, 1, 2], texts=TEXTS)
    rows = [
        {"sample_type": "progress", "prompt": f"{number}. Task: {text}", "answer": "1", "task": text}
        | {"npz_path": file(number), "frame_indices": [0, 1]}
        for number, text in enumerate(TEXTS)
    ]
    dataset = Dataset(pa.Table.from_pylist(rows))
    exam = Exam(dataset, {}, tmp_path, columns_of(dataset), {}, known_tasks(catalog))
    asked = controlled(exam, "other_instruction", range(5))
    assert [row["task"] for row in asked.rows[:4]] == ["shut it"] * 4
    assert asked.rows[4]["task"] != "shut it"


def test_tasks_of_one_text_are_ranked_apart(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done, failed = {"quality_label": "successful"}, {"quality_label": "failure", "partial_success": 0.2}
    told = [{"task_id": f"room{at % 2}", **(done, failed)[at // 4]} for at in range(8)]
    rows = [episode(tmp_path, "kit", f"e{at}", film(at), task="open it", **one) for at, one in enumerate(told)]
    write_episodes(tmp_path, "kit", rows)
    overrides = [f"data.datasets_root={tmp_path}", "data.eval_datasets=[kit]", "data.max_frames=4"]
    made = ["--output_path", "asked", "--eval_set", "ranking", "--config_overrides", *overrides]
    assert run_command(("generate",), made, "rfm generate") == 0
    words = ["--model_path", "constant", "--dataset_path", "asked", "--output_path", "said.json"]
    assert run_command(("evaluate",), words, "rfm evaluate") == 0
    found = json.loads(Path("said.json").read_text())["policy_ranking"]
    assert (found["tasks"], found["pairs"]) == (2, 8)
    assert sorted(found["by_task"]) == ["room0", "room1"]
    assert np.isfinite(found["pair_accuracy"])
