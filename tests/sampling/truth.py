"""Whether a row is true, by the words of the label contract: plain dictionaries in, faults as text out.

    Contract(records, **settings).faults(row) -> ["…", …], empty where the row is true

A record is what a processed dataset says of a trajectory: `id`, `task`, `task_id`, `data_source`, `quality_label`,
`partial_success`, `progress`, `progress_by_task` (a dict), `frame_times`, `scene_id`, `preference_group_id`, `frames`,
`frames_shape`, `num_frames`, `is_robot`. Nothing here knows how rows are drawn, nothing is vectorised, and no module of
the package is imported: where sampler and oracle disagree, one of them has misread the contract.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sampling.wordings import meaning, plain

CLOSE = 2e-5
"""Columns are 32-bit numbers."""
RANK = {"failure": 0, "failed": 0, "suboptimal": 1, "successful": 2, "optimal": 2}
PAIRS_BY_LABEL = ("suboptimal", "quality_preference", "quality")
Record = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """How far a clip's end has got on the asked text; `progress` None: the contract doesn't say."""

    kind: str
    """own, same_scene, other_scene, unknown_scene, or refused (asking it is not allowed)."""
    progress: float | None
    why: str = ""


class Contract:
    """The records by what questions of them need, and the settings rows were drawn with."""

    def __init__(
        self,
        records: list[Record],
        *,
        max_frames: int = 16,
        gap: float = 0.2,
        threshold: float = 0.2,
        pred_type: str = "absolute_wrt_total_frames",
        cutoffs: dict[str, float] | None = None,
        discrete: bool = False,
        step: int = 1,
        same_source: bool = False,
        least_frames: int = 5,
    ):
        self.records = {record["id"]: record for record in records}
        self.max_frames, self.gap, self.threshold = max_frames, gap, threshold
        self.pred_type, self.cutoffs, self.discrete, self.step = pred_type, cutoffs or {}, discrete, step
        self.same_source, self.least_frames = same_source, least_frames
        self.ids_of_text: dict[str, set[str]] = {}
        self.of_file: dict[str, list[Record]] = {}
        self.of_group: dict[str, list[Record]] = {}
        self.texts_of_source: dict[str, set[str]] = {}
        self.scenes_of_task: dict[str, set[str | None]] = {}
        named = {}  # rows without an id join those of their text that have one, the first in alphabetical order
        for record in sorted(records, key=_task_id, reverse=True):
            if record.get("task_id"):
                named[plain(record["task"])] = record["task_id"]
        for record in records:
            record["task key"] = record.get("task_id") or named.get(plain(record["task"])) or plain(record["task"])
            self.ids_of_text.setdefault(meaning(record["task"]), set()).add(record["task key"])
            self.scenes_of_task.setdefault(record["task key"], set()).add(record.get("scene_id"))
            self.of_file.setdefault(record["frames"], []).append(record)
            self.texts_of_source.setdefault(record["data_source"], set()).add(meaning(record["task"]))
            if record.get("preference_group_id"):
                self.of_group.setdefault(record["preference_group_id"], []).append(record)
        self.recorded_beside: set[tuple[str, str]] = set()
        for record in records:
            for task in record.get("progress_by_task") or {}:
                self.task_occurs(task if task in self.scenes_of_task else plain(task), record)

    def task_occurs(self, task: str, record: Record) -> None:
        """Progress towards a task is recorded of an episode: the task can be done in its scene."""
        if record.get("scene_id") is not None:
            self.scenes_of_task.setdefault(task, set()).add(record["scene_id"])
        else:
            self.recorded_beside |= {(task, own) for own in self.ids_of_text[meaning(record["task"])]}

    def faults(self, row: Row) -> list[str]:
        """Every rule that the row breaks."""
        clips = {"progress": [""], "preference": ["first_", "second_"]}.get(
            row["sample_type"], ["reference_", "first_", "second_"]
        )
        found = [fault for prefix in clips for fault in self.clip_faults(row, prefix)]
        if found:
            return found
        if not row["prompt"].endswith(f"Task: {row['task']}"):
            found.append("the prompt doesn't ask for the task")
        people = [not self.records[row[f"{prefix}trajectory_id"]].get("is_robot", True) for prefix in clips]
        if row["sample_type"] != "similarity" and any(people) and "robot" in row["prompt"].split("Task:")[0]:
            found.append("the prompt calls a person a robot")
        if meaning(row["task"]) not in self.ids_of_text:
            return [*found, "nobody's task has that text"]
        return found + (self.score_faults(row) if row["sample_type"] == "progress" else self.pair_faults(row))

    # clips

    def clip_faults(self, row: Row, prefix: str) -> list[str]:
        record = self.records.get(row[f"{prefix}trajectory_id"])
        if record is None:
            return [f"{prefix}trajectory_id names no trajectory"]
        shown, found = row[f"{prefix}frame_indices"], []
        if record["num_frames"] < self.least_frames:
            found.append(f"{prefix}clip is of an episode that is too short")
        if not 2 <= len(shown) <= self.max_frames:
            found.append(f"{prefix}clip shows too few or too many frames: {len(shown)}")
        if not all(0 <= frame < record["num_frames"] for frame in shown):
            found.append(f"{prefix}clip shows a frame that is not there")
        if list(row[f"{prefix}frames_shape"]) != [len(shown), *list(record["frames_shape"])[1:]]:
            found.append(f"{prefix}frames_shape is not that of the shown clip")
        if row[f"{prefix}npz_path"] != record["frames"]:
            found.append(f"{prefix}npz_path is another file")
        if RANK.get(row[f"{prefix}quality_label"] or "") != RANK.get(record.get("quality_label") or ""):
            found.append(f"{prefix}quality_label is another")
        return found

    # what is known

    def own_progress(self, record: Record, frame: int, lowest: int | None = None) -> float | None:
        """Progress of a frame towards the record's own task; time counts from `lowest` where it is given."""
        n = record["num_frames"]
        if record.get("progress") is not None:
            return record["progress"][frame]
        if frame == n - 1 and partial(record) is not None and rank(record) != 2:
            return partial(record)
        if rank(record) != 2:
            return None
        times = record.get("frame_times")
        at = times[frame] * (n - 1) if times is not None else float(frame)
        cutoff = self.cutoffs.get(record["data_source"], 1.0)
        if lowest is None:
            return min((at + 1) / (n * cutoff), 1.0)
        start = times[lowest] * (n - 1) if times is not None else float(lowest)
        span = n * cutoff - start - 1
        return min((at - start) / span, 1.0) if span > 1e-9 else 1.0

    def fits(self, text: str, record: Record) -> str:
        """Why the text may be right for the record's video; empty where it is another task's for sure."""
        tasks = self.ids_of_text[meaning(text)]
        if record["task key"] in tasks:
            return "its own task has that text"
        if any(other["task key"] in tasks for other in self.of_file[record["frames"]]):
            return "another row of its frames file has that task"
        group = self.of_group.get(record.get("preference_group_id") or "", [])
        if any(other["task key"] in tasks for other in group):
            return "its preference group has a score for that task"
        return ""

    def asked(self, text: str, record: Record, shown: list[int], *, from_first: bool = False) -> list[Value]:
        """What each shown frame is worth on the asked text."""
        tasks = self.ids_of_text[meaning(text)]
        if record["task key"] in tasks:
            lowest = min(shown) if from_first and self.pred_type == "absolute_first_frame" else None
            last = len(shown) - 1
            return [
                Value("own", self.own_progress(record, frame, lowest))
                # partial success is known of the end of the clip, not of a frame shown on the way
                if record.get("progress") is not None or rank(record) == 2 or place == last
                else Value("own", None)
                for place, frame in enumerate(shown)
            ]
        towards = {
            task: curve for task, curve in (record.get("progress_by_task") or {}).items() if self.named(task, tasks)
        }
        if len({tuple(curve) for curve in towards.values()}) > 1:
            return [Value("refused", None, "two tasks of that text have different records") for _ in shown]
        if towards:
            curve = next(iter(towards.values()))
            return [Value("same_scene", curve[frame]) for frame in shown]
        why = self.fits(text, record)
        if why:
            return [Value("refused", None, why) for _ in shown]
        scenes = set().union(*(self.scenes_of_task[task] for task in tasks))
        if record.get("scene_id") is not None and record["scene_id"] in scenes:
            return [Value("refused", None, "the scene is the same and no progress is recorded") for _ in shown]
        if record.get("scene_id") is None and any((task, record["task key"]) in self.recorded_beside for task in tasks):
            return [Value("refused", None, "of others of its task progress is recorded, and not of it") for _ in shown]
        if record.get("scene_id") is None or None in scenes:
            return [Value("unknown_scene", 0.0) for _ in shown]
        return [Value("other_scene", 0.0) for _ in shown]

    def named(self, task: str, keys: set[str]) -> bool:
        return task in keys or plain(task) in keys

    # rows about one clip

    def score_faults(self, row: Row) -> list[str]:
        record, shown = self.records[row["trajectory_id"]], row["frame_indices"]
        values = self.asked(row["task"], record, shown, from_first=True)
        end, found = values[-1], []
        if row["data_source"] != record["data_source"]:
            found.append("data_source is another")
        if row.get("instruction_kind") is not None and row["instruction_kind"] != end.kind:
            found.append(f"instruction_kind is wrong: {row['instruction_kind']}, not {end.kind}")
        if end.kind == "refused":
            return [*found, f"the instruction can't be asked of this clip: {end.why}"]
        if end.progress is None:
            return [*found, "the progress at the end is not known"]
        if end.kind == "own" and self.evidence_conflicts(record):
            found.append("label and partial success contradict each other")
        if end.kind != "own":
            found += self.wrong_faults(row["task"], record, shown)
        if not same(row["end_progress"], end.progress):
            found.append(f"an end_progress is wrong: {row['end_progress']}, not {end.progress}")
        if row["answer"] not in self.answers(end.progress):
            found.append(f"the answer is wrong: {row['answer']} at a progress of {end.progress}")
        return found + self.target_faults(row["target_progress"], [value.progress for value in values])

    def wrong_faults(self, text: str, record: Record, shown: list[int]) -> list[str]:
        found = []
        if goes_back(shown):
            found.append("a wrong instruction is shown backwards")
        if self.own_progress(record, record["num_frames"] - 1) is None:
            found.append("a wrong instruction is asked of a clip that right ones are never asked of")
        if self.same_source and meaning(text) not in self.texts_of_source[record["data_source"]]:
            found.append("a wrong text comes from a source where it is never right")
        return found

    def target_faults(self, targets: list[float | None], values: list[float | None]) -> list[str]:
        if self.pred_type == "relative_first_frame":
            before = [values[0], *values[:-1]]
            values = [None if a is None or b is None else b - a for a, b in zip(before, values, strict=True)]
        if len(targets) != len(values):
            return [f"target_progress has another length: {len(targets)}, not {len(values)}"]
        for place, (target, value) in enumerate(zip(targets, values, strict=True)):
            if not same(target, value):
                return [f"target_progress is wrong: {target} at place {place}, not {value}"]
        return []

    def answers(self, progress: float) -> set[str]:
        """The answers that a progress has; two where it lies on a boundary of what 32-bit numbers can say."""
        scale, first = (4, 1) if self.discrete else (100 / self.step, 0)
        step = 1 if self.discrete else self.step
        return {
            str(first + step * math.floor(scale * progress + 0.5 + nudge)) for nudge in (-CLOSE * scale, CLOSE * scale)
        }

    # rows about two clips

    def pair_faults(self, row: Row) -> list[str]:
        if row["answer"] not in ("1", "2"):
            return [f"the answer is no choice: {row['answer']}"]
        prefixes = ("first_", "second_") if row["answer"] == "1" else ("second_", "first_")
        better, worse = (self.records[row[f"{prefix}trajectory_id"]] for prefix in prefixes)
        shown, lost = (row[f"{prefix}frame_indices"] for prefix in prefixes)
        found = []
        if row["sample_type"] == "preference" and row["chosen_is_first"] != (row["answer"] == "1"):
            found.append("chosen_is_first is not the answer")
        if row["data_source"] != better["data_source"]:
            found.append("data_source is another")
        if len(shown) != len(lost):
            found.append("the clips show different numbers of frames")
        if len(set(shown)) != len(set(lost)):
            found.append("the clips show different numbers of distinct frames")
        if list(better["frames_shape"])[1:] != list(worse["frames_shape"])[1:]:
            found.append("the clips have different sizes")
        values = [self.asked(row["task"], one, clip)[-1] for one, clip in ((better, shown), (worse, lost))]
        for prefix, value in zip(prefixes, values, strict=True):
            stated = row[f"{prefix}end_progress"]
            if value.kind != "refused" and not same(stated, value.progress):
                found.append(f"an end_progress is wrong: {stated}, not {value.progress}")
        if better["id"] == worse["id"]:
            found += self.episode_faults(shown, lost, *values)
        elif row["sample_type"] == "similarity" and not self.fits(row["task"], worse):
            pass  # nearer by task, whatever their ends
        elif "own" == values[0].kind == values[1].kind:
            found += self.episodes_faults(better, worse, shown, lost, *values)
        else:
            found += self.tasks_faults(better, worse, shown, lost, *values)
        return found + (self.reference_faults(row, better, worse) if row["sample_type"] == "similarity" else [])

    def episode_faults(self, shown: list[int], lost: list[int], more: Value, less: Value) -> list[str]:
        found = []
        if shown[0] != lost[0]:
            found.append("two clips of one episode start at different frames")
        if more.progress is None or less.progress is None:
            return [*found, "the progress of clips of one episode is not known"]
        return found + self.gap_faults(more, less)

    def gap_faults(self, more: Value, less: Value) -> list[str]:
        assert more.progress is not None
        assert less.progress is not None
        apart = more.progress - less.progress
        if apart < -CLOSE:
            return [f"the rejected clip ends further: by {-apart:.3f}"]
        return [] if apart >= self.gap - CLOSE else [f"the ends are too near to each other: {apart:.3f}"]

    def episodes_faults(
        self, better: Record, worse: Record, shown: list[int], lost: list[int], more: Value, less: Value
    ) -> list[str]:
        """Two episodes of one task: by what they achieved as a whole, or by the progress at their ends."""
        whole = shown[-1] == better["num_frames"] - 1 and lost[-1] == worse["num_frames"] - 1
        ranks = rank(better), rank(worse)
        scores = score(better), score(worse)
        by_label = whole and None not in ranks and ranks[0] > ranks[1]
        by_score = whole and None not in scores and scores[0] - scores[1] >= self.threshold - CLOSE
        known = more.progress is not None and less.progress is not None
        by_progress = known and not self.gap_faults(more, less)
        found = []
        if not (by_label or by_score or by_progress):
            found.append("nothing says that the chosen episode did better")
        if whole and None not in scores and scores[0] < scores[1] - CLOSE:
            found.append("partial success says the opposite")
        if whole and None not in ranks and ranks[0] < ranks[1]:
            found.append("the quality labels say the opposite")
        if by_progress or by_score:
            for record in (better, worse):
                if self.evidence_conflicts(record):
                    found.append("label and partial success contradict each other")
        return found

    def tasks_faults(
        self, better: Record, worse: Record, shown: list[int], lost: list[int], more: Value, less: Value
    ) -> list[str]:
        """Clips of two tasks: on the asked one the chosen clip ends further."""
        for name, value in (("chosen", more), ("rejected", less)):
            if value.kind == "refused":
                return [f"the instruction can't be asked of the {name} clip: {value.why}"]
            if value.progress is None:
                return [f"how far the {name} clip has got on the instruction is not known"]
        found = self.gap_faults(more, less)
        if "own" not in (more.kind, less.kind):
            found.append("the instruction is neither clip's")
        for record, clip, value in ((better, shown, more), (worse, lost, less)):
            if value.kind != "own" and goes_back(clip):
                found.append("a wrong instruction is shown backwards")
            if value.kind == "own" and self.evidence_conflicts(record):
                found.append("label and partial success contradict each other")
        return found

    def reference_faults(self, row: Row, better: Record, worse: Record) -> list[str]:
        reference = self.records[row["reference_trajectory_id"]]
        found = []
        if reference["id"] in (better["id"], worse["id"]):
            found.append("the reference is one of the compared episodes")
        if reference["task key"] != better["task key"]:
            found.append("the reference is of another task than the nearer clip")
        if row["reference_frame_indices"][-1] != reference["num_frames"] - 1:
            found.append("the reference stops early")
        return found

    def evidence_conflicts(self, record: Record) -> bool:
        """Whether the label and the partial success say different things by the threshold that tells scores apart.

        So do rows about one video and one task.
        """
        rows = [one for one in self.of_file[record["frames"]] if meaning(one["task"]) == meaning(record["task"])]
        labels, scores = {rank(one) for one in rows} - {None}, [one for one in map(partial, rows) if one is not None]
        if len(labels) > 1 or (scores and max(scores) - min(scores) >= self.threshold - CLOSE):
            return True
        value = partial(record)
        if value is None or rank(record) is None or record.get("progress") is not None:
            return False
        if rank(record) == 2:
            return value <= 1 - self.threshold - CLOSE
        return value >= 1 - CLOSE


def same(stated: float | None, value: float | None) -> bool:
    """Whether both are unknown, or both known and equal."""
    if stated is None or value is None:
        return stated is value
    return abs(stated - value) <= CLOSE


def goes_back(shown: list[int]) -> bool:
    return any(b < a for a, b in pairwise(shown))


def partial(record: Record) -> float | None:
    """Partial success; a 0 on a success is an export's default and says nothing."""
    value = record.get("partial_success")
    if value is None or math.isnan(value) or (value == 0 and rank(record) == 2):
        return None
    return float(value)


def score(record: Record) -> float | None:
    """What two whole episodes are compared by: partial success, 1 for a success that has none."""
    value = partial(record)
    return 1.0 if value is None and rank(record) == 2 else value


def rank(record: Record) -> int | None:
    label = record.get("quality_label")
    return None if label is None else RANK[label]


def _task_id(record: Record) -> str:
    return record.get("task_id") or ""
