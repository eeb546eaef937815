"""RoboRewardBench's lines as questions: what is asked of each video, what is known of it, where the line comes from.

In: a split's folder and how many frames a clip shows. Out: a row of our own schema for each line, about the video where
it lies, or the reason why it can't be asked. Of a line `file_name`, `task` and `reward` are read, nothing else: another
model's remark on the label (`gpt5_mini_check`) reaches neither prompt nor results.

A row's trajectory is the sha256 of its video, so that intervals resample what is distinct: a counterfactual line shows
the bytes of another file. Videos are hashed and the times of their packets read; nothing is decoded.

Where a line comes from is told by its name and reward, as the release is made:

    natural         in `robo_arena`: a policy's attempt
    temporal        `…_attempt_<n>_score_<1-4>.mp4`: a success, cut off
    original        any other with reward 5: a success
    counterfactual  any other with reward 1 to 4: a success under an instruction that it fulfils less
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from rfm.console import tracked
from rfm.errors import DataError
from rfm.frames.video.decoding import chosen_frames
from rfm.ingest.sources.roboreward import METADATA, Recording, file_sha256, recordings
from rfm.vqa.prompts import prompt
from rfm.vqa.schema import SCHEMA

NATURAL, TEMPORAL, ORIGINAL, COUNTERFACTUAL = ORIGINS = ("natural", "temporal", "original", "counterfactual")

_ARENA = ("robo_arena", "roboarena")
_CUT_OFF = re.compile(r"_attempt_\d+_score_([1-4])\.mp4$")
MOST_LINES = 2**18
"""Lines of a list; each takes some 3 kB of memory as a row."""


class Clip(NamedTuple):
    """What is known of a video file."""

    sha256: str
    indices: tuple[int, ...]
    """The frames that are shown."""


class Line(NamedTuple):
    """A line of the benchmark: what it says and what its video is, or why it can't be asked."""

    recording: Recording | None
    clip: Clip | None
    fault: str | None = None


def read_lines(folder: Path, max_frames: int, most: int | None = None) -> list[Line]:
    """Return the lines of a split, the first `most`; DataError where there are none."""
    listed = list(islice(recordings(folder), MOST_LINES + 1 if most is None else min(most, MOST_LINES)))
    if not listed:
        raise DataError(f"{folder / METADATA} must list videos, but lists none")
    if len(listed) > MOST_LINES:
        raise DataError(
            f"{folder / METADATA} must list at most {MOST_LINES} videos, but lists more; --max_samples takes the first"
        )
    known: dict[Path, Clip | DataError] = {}
    lines = []
    for _, recording, fault in tracked(listed, "reading videos", len(listed)):
        if recording is None:
            lines.append(Line(None, None, str(fault)))
            continue
        if recording.path not in known:
            known[recording.path] = _clip(recording.path, max_frames)
        clip = known[recording.path]
        lines.append(Line(recording, None, str(clip)) if isinstance(clip, DataError) else Line(recording, clip))
    return lines


def row_of(line: Line, root: Path, *, discrete: bool) -> dict[str, Any]:
    """Return a line as a row about a file below `root`; of one that can't be asked nearly all is null."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {"sample_type": "progress", "prompt": "", "answer": ""}
    if line.recording is None:
        return row
    _, task, reward, path = line.recording
    row |= {"task": task, "data_source": line.recording.subset, "data_gen_strategy": origin(line.recording)}
    if line.clip is None:
        return row
    return row | {
        "prompt": prompt("progress", task, discrete=discrete),
        "answer": str(reward if discrete else 25 * (reward - 1)),
        "npz_path": (Path(os.path.realpath(path.parent)) / path.name).relative_to(root).as_posix(),
        "frame_indices": list(line.clip.indices),
        "trajectory_id": line.clip.sha256,
        "quality_label": "successful" if reward == 5 else "failure",
        "end_progress": (reward - 1) / 4,
    }


def origin(recording: Recording) -> str:
    """Return where a line comes from."""
    if recording.subset in _ARENA:
        return NATURAL
    if named_score(recording) is not None:
        return TEMPORAL
    return ORIGINAL if recording.reward == 5 else COUNTERFACTUAL


def named_score(recording: Recording) -> int | None:
    """Return the score that a cut-off video is named after; None of any other."""
    found = _CUT_OFF.search(recording.file_name)
    return int(found.group(1)) if found else None


def contradicted(lines: Sequence[Line]) -> int:
    """Return how many lines have a file that is named after another score than their reward."""
    said = [line.recording for line in lines if line.recording is not None]
    return sum(named_score(one) not in (None, one.reward) for one in said)


def _clip(path: Path, max_frames: int) -> Clip | DataError:
    try:
        return Clip(file_sha256(path), tuple(chosen_frames(path, max_frames).tolist()))
    except DataError as error:
        return error
