"""`rfm bench roboreward`: RoboRewardBench, asked where it lies (Lee et al. 2026, arXiv:2601.00675).

Videos are questions about progress: by our own question, as the checkpoint was trained, or by RoboReward's
(`--prompting roboreward`). The main figures are `five_levels`: the mean absolute error in levels, over subsets and over
rows, with unparsed answers as four levels off and without them; `by_source` are the subsets, `by_strategy` where rows
come from. All else that an evaluation has (controls, baselines, decodings, servers, saved answers of an interrupted
run) is there too. What was covered, and whether the list of videos is that of the release, stands under `benchmark`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from datasets import Dataset
from datasets.table import InMemoryTable

from rfm.evaluation.benchmarks.lines import Line, contradicted, read_lines, row_of
from rfm.evaluation.benchmarks.options import RoboRewardOptions
from rfm.evaluation.engines import asked_as_trained
from rfm.evaluation.evaluate import concluded, evaluate_exam
from rfm.evaluation.exam import Exam, columns_of
from rfm.evaluation.known_tasks import KnownTasks
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.sets import SET_METRICS
from rfm.evaluation.results_output import check_output
from rfm.frames.spacing import EVENLY
from rfm.inference.ranks import processes
from rfm.ingest.reading import confined, home_of
from rfm.ingest.sources.roboreward import METADATA, file_sha256, split_folders
from rfm.trajectories.record import normalise_task
from rfm.vqa.prompts import PROMPT_VERSION
from rfm.vqa.schema import SCHEMA

logger = logging.getLogger(__name__)

NAME = "roboreward"
RULE = "level = 1 + floor(4 s / 100 + 0.5) of a score s from 0 to 100"
FRAMES = 16
"""Shown of a clip where neither the user nor the checkpoint says how many."""


class Release(NamedTuple):
    """What the test split of a release is known by."""

    metadata_sha256: str
    lines: int
    subsets: int


RELEASE = Release("3901cea9a7981d2e2d9fde4225a4b2ff0ebf2f4af69fc96972a2cfbe557db0cd", 2831, 23)
"""The test split of teetone/RoboReward, revision 469b9af76e85."""


def bench_roboreward(options: RoboRewardOptions) -> int:
    """Run `rfm bench roboreward`; status 1 where more rows are unreadable than allowed."""
    check_output(options)
    folder = _folder(options)
    asked = options.asked(asked_as_trained(options), FRAMES)
    digest = file_sha256(folder / METADATA)
    lines = read_lines(folder, asked.max_frames, options.max_samples)
    exam = exam_of_lines(folder, lines, asked.max_frames, discrete=asked.discrete)
    known = {
        "name": NAME,
        "metadata_sha256": digest,
        "as_released": _is_released(folder, digest),
        **asked.record(),
        "rule": RULE,
        "contradicted": _contradicted(lines),
    }
    with processes() as ranks:
        results = evaluate_exam(options, exam, ranks, partial(_also, lines, known))
    return concluded(options, results, ranks)


def exam_of_lines(folder: Path, lines: Sequence[Line], frames: int, *, discrete: bool) -> Exam:
    """Return the questions; an instruction is another one to a video if no line asks it about the same bytes."""
    root = home_of(folder)
    rows = [row_of(line, root, discrete=discrete) for line in lines]
    dataset = Dataset(InMemoryTable(pa.Table.from_pylist(rows, schema=SCHEMA)))
    faults = {at: line.fault for at, line in enumerate(lines) if line.fault is not None}
    settings = {"max_frames": frames, "discrete_progress": discrete}
    config = {"config": {"data": settings}, "prompt_version": PROMPT_VERSION, "content_hash": _hash(rows)}
    columns = columns_of(dataset)
    return Exam(dataset, config, root, columns, faults, KnownTasks(of_path=_tasks_of_files(rows)), in_datasets=False)


def _folder(options: RoboRewardOptions) -> Path:
    """Return the split's folder; DataError where its list is a link that leads out of PATH."""
    path = Path(options.dataset_path)
    folder = path if (path / METADATA).is_file() else split_folders(path, options.split)[0]
    confined(path, str((folder / METADATA).relative_to(path)), "the list of videos")
    return folder


def _hash(rows: Sequence[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps([rows, EVENLY], sort_keys=True).encode()).hexdigest()


def _tasks_of_files(rows: Sequence[dict[str, Any]]) -> dict[str, frozenset[str]]:
    """Return by file the tasks that its bytes are asked about, in any line."""
    of_bytes: dict[str, set[str]] = {}
    for row in rows:
        if row["trajectory_id"]:
            of_bytes.setdefault(row["trajectory_id"], set()).add(normalise_task(row["task"]) or "unknown")
    return {row["npz_path"]: frozenset(of_bytes[row["trajectory_id"]]) for row in rows if row["trajectory_id"]}


def _is_released(folder: Path, digest: str) -> bool:
    if digest == RELEASE.metadata_sha256:
        return True
    logger.warning(
        "%s is not that of the released test split: figures can't be set beside published ones", folder / METADATA
    )
    return False


def _contradicted(lines: Sequence[Line]) -> int:
    if count := contradicted(lines):
        logger.warning("%d files are named after another score than the reward of their line, which counts", count)
    return count


def _also(lines: Sequence[Line], known: Numbers, results: Numbers) -> Numbers:
    """Return what the results file says of the benchmark; what only evaluation sets would give is not missed."""
    lacking = {name: why for name, why in results["not_computed"].items() if name not in SET_METRICS}
    lacking["trained_on_share"] = "videos go by their names here, which training does not record"
    return {"not_computed": lacking, "benchmark": {**known, "coverage": _coverage(lines, results)}}


def _coverage(lines: Sequence[Line], results: Numbers) -> Numbers:
    """Return how much of the benchmark the figures are about."""
    said = [line.recording for line in lines if line.recording is not None]
    clips = {line.recording.path: line.clip for line in lines if line.recording is not None and line.clip is not None}
    return {
        "lines": len(lines),
        "judged": results.get("progress", {}).get("count", 0),
        "released_lines": RELEASE.lines,
        "subsets": len({one.subset for one in said}),
        "released_subsets": RELEASE.subsets,
        "files": len(clips),
        "videos": len({clip.sha256 for clip in clips.values()}),
    }
