"""The oracle of `sampling.truth` finds a false row of each kind: true rows are changed, or what is known of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sampling.test_truth import rows_of
from sampling.true_worlds import KEY, WORLDS, Record, record, write_world
from sampling.truth import Contract
from sampling.wordings import meaning

Change = Callable[[dict[str, Any], Contract], dict[str, Any] | None]


def _of(kind: str, change: Change, *strategies: str) -> Change:
    """`change` for rows of one type (and these strategies) alone."""

    def only(row: dict[str, Any], contract: Contract) -> dict[str, Any] | None:
        fits = row["sample_type"] == kind and (not strategies or row["data_gen_strategy"] in strategies)
        return change(row, contract) if fits else None

    return only


def _asked_of_its_own(row: dict[str, Any], contract: Contract) -> dict[str, Any] | None:
    """The right instruction with the answer of a wrong one: what the original did."""
    text = contract.records[row["trajectory_id"]]["task"]
    return {**row, "task": text, "prompt": row["prompt"].replace(row["task"], text)}


def _asked(text: Callable[[dict[str, Any], Contract], str | None]) -> Change:
    """Another instruction, answered 0."""

    def change(row: dict[str, Any], contract: Contract) -> dict[str, Any] | None:
        other = text(contract.records[row["trajectory_id"]], contract)
        if other is None:
            return None
        nothing = {"answer": "0", "end_progress": 0.0, "target_progress": [0.0] * len(row["frame_indices"])}
        return {**row, **nothing, "task": other, "prompt": row["prompt"].replace(row["task"], other)}

    return change


def _wiped(record: Record, contract: Contract) -> str | None:
    """The task of the scene that nothing is recorded of."""
    text = record["task"].replace("open", "wipe").replace("close", "wipe")
    return None if text == record["task"] or record["scene_id"] is None else text


def _of_the_file(record: Record, contract: Contract) -> str | None:
    others = [other["task"] for other in contract.of_file[record["frames"]] if other["task"] != record["task"]]
    return others[0] if others else None


def _of_the_group(record: Record, contract: Contract) -> str | None:
    group = contract.of_group.get(record.get("preference_group_id") or "", [])
    others = [other["task"] for other in group if other["task"] != record["task"]]
    return others[0] if others else None


def _spelled_otherwise(record: Record, contract: Contract) -> str | None:
    others = {other["task"] for other in contract.records.values()} - {record["task"]}
    alike = [text for text in sorted(others) if meaning(text) == meaning(record["task"])]
    return alike[0] if alike else None


def _backwards(row: dict[str, Any], contract: Contract) -> dict[str, Any] | None:
    return {**row, "frame_indices": row["frame_indices"][::-1], "target_progress": row["target_progress"][::-1]}


def _flipped(row: dict[str, Any], contract: Contract) -> dict[str, Any] | None:
    answer = {"1": "2", "2": "1"}[row["answer"]]
    flip = None if row["chosen_is_first"] is None else not row["chosen_is_first"]
    return {**row, "answer": answer, "chosen_is_first": flip}


def _shifted(row: dict[str, Any], contract: Contract) -> dict[str, Any] | None:
    """Every frame of the second clip one later, where there is one."""
    shown = [frame + 1 for frame in row["second_frame_indices"]]
    last = contract.records[row["second_trajectory_id"]]["num_frames"]
    return {**row, "second_frame_indices": shown} if max(shown) < last else None


def _cut(row: dict[str, Any], contract: Contract) -> dict[str, Any] | None:
    """The second clip without its last frame."""
    shown = row["second_frame_indices"][:-1]
    shape = [len(shown), *row["second_frames_shape"][1:]]
    return {**row, "second_frame_indices": shown, "second_frames_shape": shape} if len(shown) > 1 else None


def _stopped_early(row: dict[str, Any], contract: Contract) -> dict[str, Any] | None:
    """Both clips one frame earlier, so that labels of whole episodes do not hold."""
    clips = {
        f"{side}_frame_indices": [max(f - 1, 0) for f in row[f"{side}_frame_indices"]] for side in ("first", "second")
    }
    return {**row, **clips}


def _with(name: str, value: Callable[[Any], Any]) -> Change:
    return lambda row, contract: {**row, name: value(row[name])}


def _score(name: str, value: Callable[[Any], Any]) -> Change:
    return _of("progress", _with(name, value))


def _reference(name: str) -> Change:
    """Another clip of the row in the reference's place."""

    def change(row: dict[str, Any], contract: Contract) -> dict[str, Any] | None:
        taken = {key: row[key.replace("reference_", f"{name}_")] for key in row if key.startswith("reference_")}
        return {**row, **taken}

    return change


WRONG, EPISODE = ("different_task_instruction",), ("rewind", "reverse_progress")
CHANGES: dict[str, tuple[str, str, Change]] = {
    "another answer": ("scenes", "the answer is wrong", _score("answer", lambda a: str((int(a) + 3) % 100))),
    "another progress": ("scenes", "an end_progress is wrong", _score("end_progress", lambda p: p / 2 + 0.3)),
    "no progress": ("scenes", "an end_progress is wrong", _score("end_progress", lambda p: None)),
    "targets of another order": (
        "scenes", "target_progress is wrong", _score("target_progress", lambda t: [0.77, *t[1:]]),
    ),
    "a target too few": (
        "scenes", "target_progress has another length", _score("target_progress", lambda t: t[1:]),
    ),
    "a right instruction as a wrong one": (
        "sizes", "", _of("progress", _asked_of_its_own, *WRONG),
    ),
    "an instruction that another spelling fulfils": (
        "texts_without_ids", "the answer is wrong", _of("progress", _asked(_spelled_otherwise)),
    ),
    "a task of the scene that nothing is known of": (
        "scenes", "the instruction can't be asked of this clip: the scene is the same", _of("progress", _asked(_wiped)),
    ),
    "what another row says of the video": (
        "shared_files", "another row of its frames file has",
        _of("progress", _asked(_of_the_file)),
    ),
    "what its group has a score for": (
        "groups", "can't be asked of this clip: its preference group", _of("progress", _asked(_of_the_group)),
    ),
    "a wrong instruction backwards": (
        "sizes", "a wrong instruction is shown backwards", _of("progress", _backwards, *WRONG),
    ),
    "an answer for the other clip": ("scenes", "", _of("preference", _flipped)),
    "a similarity for the other clip": ("scenes", "", _of("similarity", _flipped, "rewind", "suboptimal")),
    "an answer that is no choice": ("scenes", "is no choice", _of("preference", _with("answer", lambda _: "3"))),
    "a column for the other clip": (
        "scenes", "chosen_is_first is not the answer", _of("preference", _with("chosen_is_first", lambda c: not c)),
    ),
    "another start": ("scenes", "start at different frames", _of("preference", _shifted, *EPISODE)),
    "a frame fewer": ("scenes", "different numbers of frames", _of("preference", _cut)),
    "labels of a whole episode": ("unlabelled", "nothing says", _of("preference", _stopped_early, "suboptimal")),
    "a shape of the whole episode": (
        "scenes", "frames_shape is not that", _score("frames_shape", lambda s: [s[0] + 1, *s[1:]]),
    ),
    "a frame that is not there": (
        "scenes", "a frame that is not there", _score("frame_indices", lambda f: [*f[:-1], 70]),
    ),
    "one frame": ("scenes", "too few or too many frames", _score("frame_indices", lambda f: f[:1])),
    "another file": ("scenes", "npz_path is another", _score("npz_path", lambda p: p + "x")),
    "another label": ("scenes", "quality_label is another", _score("quality_label", lambda q: None)),
    "another source": ("scenes", "data_source is another", _score("data_source", lambda s: s + "x")),
    "another prompt": ("scenes", "the prompt doesn't ask", _score("prompt", lambda p: p + "s")),
    "nobody's task": (
        "scenes", "nobody's task has that text",
        lambda row, contract: {**row, "task": "fly", "prompt": row["prompt"].replace(row["task"], "fly")},
    ),
    "a stranger": ("scenes", "names no trajectory", _score("trajectory_id", lambda t: "nobody")),
    "a reference to itself": ("scenes", "the reference is one of", _of("similarity", _reference("first"))),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "change"), CHANGES.values(), ids=CHANGES)
def test_the_oracle_finds_a_false_row(name: str, text: str, change: Change, tmp_path: Path) -> None:
    records = WORLDS[name](np.random.default_rng(0))
    write_world(tmp_path, records)
    contract = Contract(records)
    true = [row for row in rows_of(tmp_path, KEY, 600) if not contract.faults(row)]
    false = [made for row in true if (made := change(row, contract)) is not None]
    assert len(false) >= 10
    missed = [row for row in false if not any(text in fault for fault in contract.faults(row))]
    assert not missed, f"{len(missed)} of {len(false)}: {contract.faults(missed[0])}"


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("the clips have different sizes", {"frames_shape": (30, 9, 9, 3)}),
        ("partial success says the opposite", {"partial_success": 0.0, "quality_label": "suboptimal"}),
    ],
)
def test_the_oracle_finds_evidence_that_changed(text: str, changed: Record, tmp_path: Path) -> None:
    """The row stays, and what is known of the chosen episode becomes another thing."""
    rng = np.random.default_rng(0)
    made = [
        record(0, rng, num_frames=30, quality_label="suboptimal"),
        record(1, rng, num_frames=30, quality_label="failure"),
    ]
    write_world(tmp_path, made)
    rows = [row for row in rows_of(tmp_path, KEY, 60) if row["sample_type"] == "preference"]
    assert not any(map(Contract(made).faults, rows))
    told = [{**made[0], **changed}, {**made[1], "partial_success": 0.4}]
    for row in rows:
        side = "first_" if row["first_trajectory_id"] == "t00000" else "second_"
        shape = [len(row[f"{side}frame_indices"]), *told[0]["frames_shape"][1:]]
        assert text in Contract(told).faults({**row, f"{side}frames_shape": shape})


def test_conflicting_evidence_is_no_evidence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = [record(number, rng, quality_label="successful") for number in range(3)]
    write_world(tmp_path, made)
    rows = [row for row in rows_of(tmp_path, KEY, 60) if row["sample_type"] == "progress"]
    assert not any(map(Contract(made).faults, rows))
    told = Contract([{**one, "partial_success": 0.3} for one in made])
    assert all("label and partial success contradict each other" in told.faults(row) for row in rows)
