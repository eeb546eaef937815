"""Evaluation sets against an enumeration of what should be in them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
from catalogs import make_catalog, random_catalog
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling.oracle import check_clip, expected_eval_rows, progress_at, steps

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.generation.columns import record_batch
from rfm.sampling.eval_sets import SETS, EvalSet
from rfm.sampling.instructions import SAME_SCENE, UNKNOWN, Instructions
from rfm.sampling.progress import Progress
from rfm.sampling.units import even_parts, in_turn
from rfm.sampling.usable import Usable
from rfm.trajectories.catalog import Catalog

NAMES = sorted(SETS)


def drawn(catalog: Catalog, name: str, limit: int | None = None, seed: int = 0, **data: Any) -> tuple[EvalSet, list]:
    made = EvalSet(catalog, DataConfig(**{"min_frames_per_trajectory": 1, **data}), name, limit=limit, seed=seed)
    return made, record_batch(made, made.draw(0, made.quotas.total), discrete=False).to_pylist()


def question(index: dict[str, int], row: dict[str, Any]) -> tuple[Any, ...]:
    if row["sample_type"] == "progress":
        clips = ((index[row["trajectory_id"]], *row["frame_indices"]),)
        return row["task"], clips, int(row["answer"])
    sides = ("first_", "second_") if row["answer"] == "1" else ("second_", "first_")
    assert row["chosen_is_first"] == (row["answer"] == "1")
    return row["task"], tuple((index[row[f"{s}trajectory_id"]], *row[f"{s}frame_indices"]) for s in sides), None


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from([name for name in NAMES if name != "instruction"]),
    seed=st.integers(0, 10**6),
    n=st.integers(20, 70),
    max_frames=st.sampled_from([2, 3, 8, 33]),
    tasks=st.integers(2, 6),
    sources=st.integers(1, 3),
    recorded=st.booleans(),
    prefixes=st.integers(1, 12),
    groups=st.sampled_from([0, 4, 20]),
)
def test_every_question_is_asked_once(
    name: str, seed: int, n: int, max_frames: int, tasks: int, sources: int, recorded: bool, prefixes: int, groups: int
) -> None:
    catalog = random_catalog(seed, n, tasks=tasks, sources=sources, recorded=recorded, groups=groups)
    expected = expected_eval_rows(catalog, name, max_frames, prefixes)
    if not expected:
        with pytest.raises(ConfigError, match=f"`--eval_set {name}` needs"):
            drawn(catalog, name)
        return
    made, rows = drawn(catalog, name, limit=10**6, seed=seed, max_frames=max_frames, prefixes_per_episode=prefixes)
    index = {catalog.ids[i].as_py(): i for i in range(len(catalog))}
    found = Counter(question(index, row) for row in rows)
    assert set(found.values()) <= {1}
    assert set(found) == expected
    assert made.existing == made.quotas.total == len(rows)
    assert {row["data_gen_strategy"] for row in rows} == {name}
    for row in rows:
        for prefix in ("",) if row["sample_type"] == "progress" else ("first_", "second_"):
            shown = row[f"{prefix}frame_indices"]
            at = index[row[f"{prefix}trajectory_id"]]
            check_clip(catalog, at, shown, row[f"{prefix}frames_shape"], max_frames)
            assert shown[0] == 0
            assert steps(shown) == {1}
        if row["sample_type"] == "progress":
            assert int(row["answer"]) == np.floor(round(100 * row["end_progress"], 4) + 0.5)
            assert row["target_progress"][-1] == row["end_progress"]


def scenic_catalog(seed: int, n: int, *, tasks: int = 6, scenes: int = 3, groups: int = 0) -> Catalog:
    """A catalog with scenes, some of them unknown, records towards other tasks, and files that rows share."""
    rng = np.random.default_rng(seed)
    base = random_catalog(seed, n, tasks=tasks, groups=groups)
    task = base.task_code.tolist()
    scene = [-1 if rng.random() < 0.1 else at % scenes for at in task]
    towards = {
        (row, other): rng.random(int(base.num_frames[row])).round(3).tolist()
        for row in range(n)
        for other in range(tasks)
        if other != task[row] and other in task and rng.random() < 0.4
    }
    texts = [f"do the task {'x' if at == 1 else at // 2 * 2 if at == 5 else at}" for at in task]
    return dataclasses.replace(
        make_catalog(
            frames=base.num_frames.tolist(), tasks=task, quality=base.quality.tolist(), scenes=scene, texts=texts,
            towards=towards, files=rng.integers(0, 3 * n, n).tolist(),
        ),
        preference_group=base.preference_group, progress_offsets=base.progress_offsets,
        progress_values=base.progress_values, partial_success=base.partial_success,
    )  # fmt: skip


@pytest.mark.parametrize("groups", [0, 6])
@pytest.mark.parametrize("seed", range(4))
def test_confusion_asks_every_known_instruction_of_every_video_and_no_other(seed: int, groups: int) -> None:
    catalog = scenic_catalog(seed, 80, groups=groups)
    made = EvalSet(catalog, DataConfig(min_frames_per_trajectory=1), "confusion", limit=10**6, seed=seed)
    block = made.draw(0, made.quotas.total)
    catalog, known = made.catalog, Usable(catalog, 2, 0.2).instructions
    videos = np.flatnonzero(catalog.quality == 2)
    tasks = np.unique(catalog.task_code[videos])
    expected: dict[int, int] = {}
    for video in videos.tolist():
        relations = [int(known.relation(np.array([task]), np.array([video]))[0]) for task in tasks.tolist()]
        asked = sum(relation != UNKNOWN for relation in relations)
        expected |= {video: asked} if asked > 1 else {}
    assert Counter(block.slots[0].trajectory.tolist()) == expected
    assert made.existing == sum(expected.values())


@pytest.mark.parametrize("groups", [0, 6])
@pytest.mark.parametrize("seed", range(4))
def test_instruction_asks_each_clip_all_that_is_known_of_its_scene(seed: int, groups: int) -> None:
    """Against a walk over all trajectories, entries and frames."""
    catalog = scenic_catalog(seed, 80, groups=groups)
    made = EvalSet(catalog, DataConfig(min_frames_per_trajectory=1), "instruction", limit=None, seed=seed)
    rows = record_batch(made, made.draw(0, made.quotas.total), discrete=False).to_pylist()
    catalog, known = made.catalog, Usable(catalog, 2, 0.2).instructions
    index = {catalog.ids[at].as_py(): at for at in range(len(catalog))}
    found = Counter((index[row["trajectory_id"]], row["frame_indices"][-1], row["task"]) for row in rows)
    assert set(found.values()) == {1}
    assert set(found) == within_scenes(catalog, known, made.progress)
    for row in rows:
        at, end = index[row["trajectory_id"]], row["frame_indices"][-1]
        own = row["task"] == catalog.texts[int(catalog.text_code[at])].as_py()
        assert row["instruction_kind"] == ("own" if own else "same_scene")
        if own:
            assert row["end_progress"] == pytest.approx(progress_at(catalog, at, end))


def within_scenes(catalog: Catalog, known: Instructions, progress: Progress) -> set[tuple[int, int, str]]:
    towards, texts = catalog.towards, catalog.texts.to_pylist()
    expected = set()
    for entry in known.entries.tolist():
        at, task = int(towards.trajectory[entry]), int(towards.task[entry])
        one = np.array([entry]), np.array([task]), np.array([at])
        last = int(catalog.num_frames[at]) - 1
        if known.kind(*one)[0] != SAME_SCENE or progress_at(catalog, at, last) is None:
            continue
        ends = {last}
        if progress.known[at]:
            frames = [frame for frame in progress.grid(np.array([last + 1]))[0].tolist() if 1 <= frame < last]
            lead = {end: progress_at(catalog, at, end) - float(towards.curve(entry)[end]) for end in (*frames, last)}
            for sign in (1, -1):
                best = max(frames, key=lambda end: (round(sign * lead[end], 6), end), default=None)
                if best is not None and sign * lead[best] >= max(sign * lead[last], 0) + 0.2 - 1e-6:
                    ends.add(best)
        told = texts[int(catalog.text_code[catalog.task_code.tolist().index(task)])]
        expected |= {(at, end, text) for end in ends for text in (told, texts[int(catalog.text_code[at])])}
    return expected


def test_the_state_at_first_and_at_last_are_asked_about_both_ways() -> None:
    """A window that is being closed: closed at its end, and still open after its first frames."""
    closed = [0.0, 0.0, 0.0, 0.5, 0.8, 1.0]
    catalog = make_catalog(
        frames=[6, 6], tasks=[0, 1], scenes=[0, 0], progress=[closed, closed], texts=["close", "open"],
        towards={(0, 1): [1 - value for value in closed]},
    )  # fmt: skip
    _, rows = drawn(catalog, "instruction")
    asked = {(row["task"], tuple(row["frame_indices"]), row["answer"]) for row in rows}
    assert asked == {
        ("close", (0, 1, 2), "0"), ("open", (0, 1, 2), "100"),
        ("close", (0, 1, 2, 3, 4, 5), "100"), ("open", (0, 1, 2, 3, 4, 5), "0"),
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_part_is_within_the_limit_a_subset_and_the_start_of_a_larger_one(name: str) -> None:
    catalog = (scenic_catalog if name == "instruction" else random_catalog)(3, 120, tasks=4)
    index = {catalog.ids[i].as_py(): i for i in range(len(catalog))}
    whole = {question(index, row) for row in drawn(catalog, name, 10**6)[1]}
    for limit in (40, 97, 200):
        made, rows = drawn(catalog, name, limit)
        part = {question(index, row) for row in rows}
        assert len(part) == len(rows) <= limit
        assert part <= whole
        assert made.existing == len(whole)
        again = drawn(catalog, name, len(rows))[1]
        assert again == rows, "taken rows as the limit give the same rows"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("block", [1, 7, 50])
def test_rows_do_not_depend_on_blocks(name: str, block: int) -> None:
    made, rows = drawn((scenic_catalog if name == "instruction" else random_catalog)(2, 60), name, 100)
    parts = [
        row
        for start in range(0, len(rows), block)
        for row in record_batch(made, made.draw(start, min(start + block, len(rows))), discrete=False).to_pylist()
    ]
    assert parts == rows


def test_a_part_takes_tasks_and_qualities_in_turn() -> None:
    rng = np.random.default_rng(0)
    quality = rng.integers(0, 3, 300)
    catalog = make_catalog(
        frames=[20] * 300,
        tasks=[0] * 200 + rng.integers(1, 5, 100).tolist(),
        quality=quality.tolist(),
        partial=np.where(quality == 2, 1, rng.random(300) * 0.8).round(3).tolist(),
    )
    _, rows = drawn(catalog, "ranking", 30)
    assert set(Counter((row["task"], row["quality_label"]) for row in rows).values()) == {2}
    _, rows = drawn(catalog, "quality", 50)
    assert set(Counter(row["task"] for row in rows).values()) == {10}
    _, rows = drawn(catalog, "prefixes", 16 * 5)
    assert {len(set(part)) for part in zip(*[iter([r["trajectory_id"] for r in rows])] * 8, strict=True)} == {1}


def test_videos_with_every_instruction_are_capped_unless_a_limit_is_given() -> None:
    catalog = make_catalog(frames=[8] * 300, tasks=[0] * 280 + [1] * 15 + [2] * 5)
    made, rows = drawn(catalog, "confusion")
    assert made.existing == 900
    assert Counter(row["task"] for row in rows) == {f"do task {task}": 25 for task in range(3)}
    assert len(drawn(catalog, "confusion", 10**6)[1]) == 900
    own = [row for row in rows if row["answer"] == "100"]
    assert len(own) == 25


def test_sides_are_even() -> None:
    _, rows = drawn(random_catalog(5, 150), "quality", 201)
    assert abs(sum(row["chosen_is_first"] for row in rows) - 100.5) == 0.5


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ranking", "`--eval_set ranking` needs tasks with episodes of two qualities"),
        ("confusion", "`--eval_set confusion` needs successful episodes of two tasks, but of these there are none"),
        (
            "instruction",
            "`--eval_set instruction` needs episodes whose progress is known both for their own and for another task "
            "of their scene: `progress_by_task` records it, `rfm ingest --opposites` derives it .*, but of these there",
        ),
        ("quality", "`--eval_set quality` needs two episodes of one task and frame size that differ in quality label"),
    ],
)
def test_what_a_set_needs_is_named(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        drawn(make_catalog(frames=[8] * 5), name)


@pytest.mark.parametrize("name", ["prefixes", "ranking", "confusion", "instruction", "quality"])
@pytest.mark.parametrize("nothing", [{"frames": [1]}, {"frames": [9] * 3, "partial": [0.5] * 3}])
def test_a_set_of_no_episode_that_can_be_asked_about(name: str, nothing: dict[str, list[float]]) -> None:
    with pytest.raises(ConfigError, match=f"`--eval_set {name}` needs .*, but of these there are none"):
        EvalSet(make_catalog(**nothing), DataConfig(), name, limit=None, seed=0)


def test_a_set_without_known_progress() -> None:
    with pytest.raises(ConfigError, match="`--eval_set prefixes` needs episodes of which every frame has a progress"):
        drawn(make_catalog(frames=[8] * 5, quality=[0] * 5), "prefixes")


def test_a_limit_below_one_unit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`num_samples` must be at least 8 .*prefixes of one episode\), but is 7"):
        drawn(make_catalog(frames=[20] * 5), "prefixes", 7)


def test_any_number_of_pairs_costs_no_memory() -> None:
    catalog = make_catalog(frames=[8] * 20_000, quality=[0, 2] * 10_000)
    made = EvalSet(catalog, DataConfig(), "quality", limit=1000, seed=0)
    assert made.existing == 10**8
    assert made.quotas.total == 1000
    block = made.draw(0, 1000)
    assert len({*zip(block.slots[0].trajectory, block.slots[1].trajectory, strict=True)}) == 1000


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(1, 200))
def test_parts_are_as_even_as_can_be(held: list[int], limit: int) -> None:
    parts = even_parts(np.array(held), limit, np.arange(len(held)))
    assert parts.sum() == min(limit, sum(held))
    assert (parts <= held).all()
    short = [part for part, most in zip(parts.tolist(), held, strict=True) if part < most]
    assert not short or max(parts) <= min(short) + 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 2)), min_size=1, max_size=60), st.integers(0, 9))
def test_groups_come_in_turn(members: list[tuple[int, int]], seed: int) -> None:
    group, within = (np.array(column) for column in zip(*members, strict=True))
    order = in_turn(seed, "test", group, within)
    assert sorted(order.tolist()) == list(range(len(members)))
    seen: Counter = Counter()
    turns = []
    for at in order:
        turns.append(seen[members[at]])
        seen[members[at]] += 1
    assert turns == sorted(turns)
