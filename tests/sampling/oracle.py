"""An oracle for the label contract: it knows a row and the trajectories it names, and nothing of how rows are drawn."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from rfm.trajectories.catalog import Catalog

GAP = 0.2
THRESHOLD = 0.2
BOTH = "reverse_progress+rewind"


def progress_at(catalog: Catalog, row: int, frame: int) -> float | None:
    low, high = catalog.progress_offsets[row : row + 2]
    if high > low:
        return float(catalog.progress_values[low + frame])
    frames = int(catalog.num_frames[row])
    if catalog.quality[row] == 2:
        times = catalog.times_values[slice(*catalog.times_offsets[row : row + 2])]
        place = float(times[frame]) * (frames - 1) if len(times) else frame
        return (place + 1) / frames
    if frame == frames - 1 and not math.isnan(catalog.partial_success[row]):
        return float(catalog.partial_success[row])
    return None


def check_row(
    catalog: Catalog, index: dict[str, int], row: dict[str, Any], max_frames: int, *, original: bool = False
) -> None:
    """Assert every rule of the contract that can be seen in one row."""
    if row["sample_type"] == "progress":
        check_progress(catalog, index, row, max_frames)
    else:
        check_pair(catalog, index, row, max_frames, original=original)


def check_progress(catalog: Catalog, index: dict[str, int], row: dict[str, Any], max_frames: int) -> None:
    at, shown = index[row["trajectory_id"]], row["frame_indices"]
    check_clip(catalog, at, shown, row["frames_shape"], max_frames)
    own_task = catalog.tasks[int(catalog.task_code[at])].as_py()
    told = tasks_told(catalog)[row["task"]]
    strategy = row["data_gen_strategy"]
    if strategy == "different_task_instruction":
        assert int(catalog.task_code[at]) not in told, (own_task, row["task"])
        assert not told & tasks_of_group(catalog, at), "its preference group has a score for that instruction"
        assert row["answer"] == "0"
        assert steps(shown) <= {0, 1}, "a wrong instruction is never shown backwards"
        assert set(row["target_progress"]) == {0.0}
        return
    assert told == {int(catalog.task_code[at])}
    truth = progress_at(catalog, at, shown[-1])
    assert truth is not None
    assert abs(row["end_progress"] - truth) < 1e-6
    assert int(row["answer"]) == math.floor(round(100 * truth, 4) + 0.5)
    for target, frame in zip(row["target_progress"], shown, strict=True):
        known = progress_at(catalog, at, frame)
        assert (target is None) == (known is None)
        assert known is None or abs(target - known) < 1e-6
    if strategy in ("prefix_progress", "whole_progress"):
        assert shown[0] == 0, "it begins where the episode does"
        assert strategy == "prefix_progress" or shown[-1] == catalog.num_frames[at] - 1
    forward: dict[str, set[int]] = {f"{way}_progress": {1} for way in ("forward", "prefix", "whole")}
    directions = {**forward, "reverse_progress": {-1}, "rewind": {1, -1}, BOTH: {1, -1}}[strategy]
    assert steps(shown) - {0} == directions
    if strategy in ("rewind", BOTH):
        assert np.sign(shown[1] - shown[0]) == (1 if strategy == "rewind" else -1), "it leaves in its direction"
        assert np.sign(shown[-1] - shown[-2]) == (-1 if strategy == "rewind" else 1), "and comes back"


@lru_cache(maxsize=2)
def tasks_told(catalog: Catalog) -> dict[str, set[int]]:
    """The tasks that each instruction is of."""
    found: dict[str, set[int]] = {}
    for text, task in np.unique(np.stack([catalog.text_code, catalog.task_code]), axis=1).T.tolist():
        found.setdefault(catalog.texts[text].as_py(), set()).add(task)
    return found


def tasks_of_group(catalog: Catalog, row: int) -> set[int]:
    """The tasks that a trajectory's preference group shows its video under."""
    group = catalog.preference_group[row]
    return set() if group < 0 else set(catalog.task_code[catalog.preference_group == group].tolist())


def check_pair(
    catalog: Catalog, index: dict[str, int], row: dict[str, Any], max_frames: int, *, original: bool
) -> None:
    clips = [row["first_frame_indices"], row["second_frame_indices"]]
    at = [index[row["first_trajectory_id"]], index[row["second_trajectory_id"]]]
    for which, name in enumerate(("first", "second")):
        check_clip(catalog, at[which], clips[which], row[f"{name}_frames_shape"], max_frames)
    assert len(clips[0]) == len(clips[1])
    assert len(set(clips[0])) == len(set(clips[1]))
    better = 0 if row["answer"] == "1" else 1
    worse = 1 - better
    assert row["answer"] in ("1", "2")
    if row["sample_type"] == "preference":
        assert row["chosen_is_first"] == (row["answer"] == "1")
    text = catalog.texts[int(catalog.text_code[at[better]])].as_py()
    if at[0] == at[1]:
        assert clips[0][0] == clips[1][0], "clips of one episode start at the same frame"
        if not original:
            assert set(clips[0]) & set(clips[1]) == {clips[0][0]}, "and share no other"
        ends = [progress_at(catalog, at[0], clip[-1]) for clip in clips]
        assert ends[better] - ends[worse] >= GAP - 1e-5
        assert row["task"] == text
        if row["data_gen_strategy"] == "stopped_early":
            check_success(catalog, at[better], clips[better])
            assert all(steps(clip) == {1} and clip[0] == 0 for clip in clips)
    elif row["data_gen_strategy"] in ("same_task_progress", "stopped_early"):
        check_stages(catalog, at[better], at[worse], clips[better], clips[worse])
        if row["data_gen_strategy"] == "stopped_early":
            check_success(catalog, at[better], clips[better])
            assert clips[worse][0] == 0
        assert row["task"] == text
    elif row["data_gen_strategy"] in ("suboptimal", "quality_preference"):
        check_quality_pair(catalog, at[better], at[worse], clips, at)
    else:
        check_other_task(catalog, at[better], at[worse], row, text, clips)
    if row["sample_type"] == "similarity":
        check_reference(catalog, index, row, at, better)


def check_quality_pair(catalog: Catalog, better: int, worse: int, clips: list[list[int]], at: list[int]) -> None:
    assert catalog.task_code[better] == catalog.task_code[worse]
    assert (catalog.frames_shape[better, 1:] == catalog.frames_shape[worse, 1:]).all()
    for row, clip in zip(at, clips, strict=True):
        assert clip[-1] == catalog.num_frames[row] - 1, "labels of whole episodes go with clips to the end"
        assert steps(clip) == {1}
    quality = [int(catalog.quality[row]) for row in (better, worse)]
    partial = [
        1.0 if q == 2 else float(catalog.partial_success[r]) for q, r in zip(quality, (better, worse), strict=True)
    ]
    by_quality = min(quality) >= 0 and quality[0] > quality[1]
    by_partial = not any(map(math.isnan, partial)) and partial[0] - partial[1] >= THRESHOLD - 1e-5
    assert by_quality or by_partial


def check_stages(catalog: Catalog, better: int, worse: int, further: list[int], less_far: list[int]) -> None:
    """Two episodes of one task, forwards to ends at different progress."""
    for column in (catalog.task_code, catalog.source_code):
        assert column[better] == column[worse]
    assert (catalog.frames_shape[better, 1:] == catalog.frames_shape[worse, 1:]).all()
    assert catalog.file_code[better] != catalog.file_code[worse]
    assert steps(further) == steps(less_far) == {1}
    ends = progress_at(catalog, better, further[-1]), progress_at(catalog, worse, less_far[-1])
    assert ends[0] - ends[1] >= GAP - 1e-5


def check_success(catalog: Catalog, row: int, shown: list[int]) -> None:
    assert catalog.quality[row] == 2
    assert (shown[0], shown[-1]) == (0, catalog.num_frames[row] - 1)


def check_other_task(
    catalog: Catalog, better: int, worse: int, row: dict[str, Any], text: str, clips: list[list[int]]
) -> None:
    assert catalog.task_code[better] != catalog.task_code[worse]
    assert catalog.task_code[better] not in tasks_of_group(catalog, worse)
    assert row["task"] == text
    assert all(steps(clip) == {1} for clip in clips)
    tasks_here = set(catalog.task_code[catalog.source_code == catalog.source_code[better]].tolist())
    if row["data_gen_strategy"] == "different_task" and catalog.source_code[better] != catalog.source_code[worse]:
        alone = any(not has_partner_near(catalog, at) for at in (better, worse))  # either may be the one drawn first
        assert len(tasks_here) <= 2 or not catalog.quality.all() or alone, "same source wherever one offers both"


def has_partner_near(catalog: Catalog, at: int) -> bool:
    """Whether a trajectory's source has one of another task whose group has no score for its instruction."""
    near = np.flatnonzero((catalog.source_code == catalog.source_code[at]) & (catalog.num_frames >= 2))
    task = int(catalog.task_code[at])
    return any(catalog.task_code[other] != task and task not in tasks_of_group(catalog, other) for other in near)


def check_reference(catalog: Catalog, index: dict[str, int], row: dict[str, Any], at: list[int], better: int) -> None:
    reference = index[row["reference_trajectory_id"]]
    assert reference not in at
    assert catalog.task_code[reference] == catalog.task_code[at[better]]
    assert row["reference_frame_indices"][-1] == catalog.num_frames[reference] - 1


def check_clip(catalog: Catalog, row: int, shown: list[int], shape: list[int], max_frames: int) -> None:
    assert 2 <= len(shown) <= max_frames
    assert min(shown) >= 0
    assert max(shown) < catalog.num_frames[row]
    assert shape == [len(shown), *catalog.frames_shape[row][1:].tolist()]


def steps(shown: list[int]) -> set[int]:
    """The directions that occur in a clip: -1, 0, 1."""
    return {int(np.sign(b - a)) for a, b in pairwise(shown)}


def viewer_features(shown: list[int]) -> list[float]:
    """What can be seen of a clip without understanding it: counts, directions, turns and where, standing still."""
    way = np.sign(np.diff(shown))
    moving = way[way != 0]
    turns = np.flatnonzero(np.diff(moving) != 0)
    return [
        len(shown),
        len(set(shown)),
        moving[0] if len(moving) else 0,
        moving[-1] if len(moving) else 0,
        len(turns),
        turns[0] if len(turns) else -1,
        turns[-1] if len(turns) else -1,
        float((way == 0).sum()),
        float(way[-1] == 0),
    ]


def evenly_shown(end: int, max_frames: int) -> list[int]:
    count = min(max_frames, end + 1)
    return [math.floor(j * end / (count - 1) + 0.5 + 1e-9) for j in range(count)]


def expected_eval_rows(catalog: Catalog, name: str, max_frames: int, prefixes: int) -> set[tuple[Any, ...]]:
    """Every question of an evaluation set, found row by row: (instruction, clips with the better first, answer)."""
    return {"prefixes": _prefixes, "ranking": _ranking, "confusion": _confusion, "quality": _quality}[name](
        catalog, max_frames, prefixes
    )


def _usable(catalog: Catalog) -> list[int]:
    return [row for row in range(len(catalog)) if catalog.num_frames[row] >= 2 and not contested(catalog, row)]


def contested(catalog: Catalog, row: int) -> bool:
    """Whether what is known of an episode's outcome contradicts itself."""
    partial, quality = round(float(catalog.partial_success[row]), 5), catalog.quality[row]
    record = catalog.progress_values[slice(*catalog.progress_offsets[row : row + 2])]
    apart = len(record) > 0 and abs(float(record[-1]) - partial) >= THRESHOLD - 1e-6
    return apart or (quality == 0 and partial > 1 - THRESHOLD) or (quality == 2 and partial <= 1 - THRESHOLD)


def _text(catalog: Catalog, row: int) -> str:
    return catalog.texts[int(catalog.text_code[row])].as_py()


def _asked(catalog: Catalog, row: int, end: int, max_frames: int) -> tuple[Any, ...]:
    answer = math.floor(round(100 * progress_at(catalog, row, end), 4) + 0.5)
    return _text(catalog, row), ((row, *evenly_shown(end, max_frames)),), answer


def _prefixes(catalog: Catalog, max_frames: int, prefixes: int) -> set[tuple[Any, ...]]:
    found = set()
    for row in _usable(catalog):
        last = int(catalog.num_frames[row]) - 1
        if progress_at(catalog, row, 0) is not None:
            count = min(prefixes, last)
            ends = {math.floor(k * last / count + 0.5) for k in range(1, count + 1)}
            assert len(ends) == count
            found |= {_asked(catalog, row, end, max_frames) for end in ends}
    return found


def _ranking(catalog: Catalog, max_frames: int, _: int) -> set[tuple[Any, ...]]:
    able = [
        row
        for row in _usable(catalog)
        if catalog.quality[row] >= 0 and progress_at(catalog, row, int(catalog.num_frames[row]) - 1) is not None
    ]
    held: dict[int, set[int]] = {}
    for row in able:
        held.setdefault(int(catalog.task_code[row]), set()).add(int(catalog.quality[row]))
    return {
        _asked(catalog, row, int(catalog.num_frames[row]) - 1, max_frames)
        for row in able
        if len(held[int(catalog.task_code[row])]) >= 2
    }


def _confusion(catalog: Catalog, max_frames: int, _: int) -> set[tuple[Any, ...]]:
    videos = [row for row in _usable(catalog) if catalog.quality[row] == 2]
    texts = {int(catalog.task_code[row]): _text(catalog, row) for row in videos}
    found = set()
    for row in videos if len(texts) > 1 else []:
        own = _asked(catalog, row, int(catalog.num_frames[row]) - 1, max_frames)
        scored = {catalog.task_code[row]} | tasks_of_group(catalog, row)
        others = [text for task, text in texts.items() if task not in scored]
        found |= {own, *((text, own[1], 0) for text in others)} if others else set()
    return found


def _quality(catalog: Catalog, max_frames: int, _: int) -> set[tuple[Any, ...]]:
    groups: dict[Any, list[int]] = {}
    for row in _usable(catalog):
        groups.setdefault(int(catalog.task_code[row]), []).append(row)
    found = set()
    for members in groups.values():
        by_source = [[r for r in members if catalog.source_code[r] == source] for source in range(len(catalog.sources))]
        near = [pair for part in by_source for pair in _ordered_pairs(catalog, part)]
        for better, worse in near or _ordered_pairs(catalog, members):
            count = min(max_frames, int(catalog.num_frames[better]), int(catalog.num_frames[worse]))
            clips = tuple((r, *_spread(int(catalog.num_frames[r]) - 1, count)) for r in (better, worse))
            found.add((_text(catalog, better), clips, None))
    return found


def _spread(end: int, count: int) -> list[int]:
    return [math.floor(j * end / (count - 1) + 0.5 + 1e-9) for j in range(count)]


def _ordered_pairs(catalog: Catalog, members: list[int]) -> list[tuple[int, int]]:
    """All (better, worse) of a group: by partial success where every member has one, else by quality label.

    Never one with the better label and less partial success.
    """
    partial = {r: 1.0 if catalog.quality[r] == 2 else float(catalog.partial_success[r]) for r in members}
    label = {r: int(catalog.quality[r]) for r in members}
    pairs = [(a, b) for a in members for b in members if a != b]
    if not any(map(math.isnan, partial.values())):
        agreeing = [(a, b) for a, b in pairs if not (min(label[a], label[b]) >= 0 and label[a] < label[b])]
        return [(a, b) for a, b in agreeing if partial[a] - partial[b] >= THRESHOLD - 1e-6]
    return [(a, b) for a, b in pairs if label[a] > label[b] >= 0 and not partial[a] < partial[b] - 1e-6]
