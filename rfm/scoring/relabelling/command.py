"""`rfm relabel`: a model's progress at every frame of a dataset, for those who train policies.

Frame i of an episode gets what the model says of the clip of frames 0 to i, shown as it was trained: the expectation,
the very number of `rfm.RewardModel.curve`. Of LeRobot datasets all frames are asked about, of trajectory datasets all
that are stored.

Answers are kept in `.NAME.partial` beside the output, a file a job (`jobs`), until all are there: the same command goes
on where one was killed, to the same bytes. Episodes that can't be read or answered get no progress; they are named, and
the exit status is 1.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from rfm.console import tracked
from rfm.errors import ConfigError, DataError
from rfm.files.ownership import MADE_FROM, Workplace, empty, replaced, replaced_file
from rfm.files.staging import flush_disk, naming, remove, replace_folder, staged_file
from rfm.ingest.executors import run_local, run_ray
from rfm.model.shipped import called
from rfm.model.weights.fingerprint import model_fingerprint
from rfm.scoring.relabelling.episodes import LeftOut, Material, find_material
from rfm.scoring.relabelling.jobs import Asking, Job, forget_model, make_jobs, score
from rfm.scoring.relabelling.lerobot_column import COPY, check_column, copy_with_column, is_whole, left_out_of
from rfm.scoring.relabelling.options import COLUMN, LEROBOT, PARQUET, REWARD, RelabelOptions
from rfm.scoring.relabelling.scores import Scores, rewards
from rfm.scoring.relabelling.tables import check_rows, write_lerobot, write_plain

logger = logging.getLogger(__name__)

_PARTS = "answers"
_PLAN, _LEFT_OUT, _MODEL = "rfm_progress", "rfm_left_out", "reward_model_path"
"""What a parquet says in its schema: what it was made from, how many episodes have no progress, and of which model."""
_CHANGES_NOTHING = ("overwrite", "batch_size", "device", "num_workers", "executor", "output")
_MOST_LISTED = 10


def relabel(options: RelabelOptions) -> int:
    """Run `rfm relabel`; status 1 if an episode has no progress."""
    material = find_material(options)
    kind = options.format or (PARQUET if material.lerobot is None else LEROBOT)
    _check(options, kind, material)
    plan = _plan(options, material)
    with _workplace(options, kind, plan) as work:
        if work.complete:
            missing = left_out_of(work.output) if kind == COLUMN else _left_out_of(work.output)
            logger.info(
                "%s is complete%s", work.output, f"; {missing} of its episodes have no progress" if missing else ""
            )
            return 1 if missing else 0
        jobs = _answered(material, work.folder / _PARTS, options)
        scores = Scores(jobs)
        left_out = [*material.left_out, *_without_progress(scores)]
        if len(left_out) >= len(material.episodes) + len(material.left_out):
            empty(work.folder)  # what ails them may be mended where no file shows it
            raise DataError(f"an episode of {options.path} must be readable, but none is; {left_out[0].reason}")
        frames = _write(options, kind, material, scores, work, plan, len(left_out))
    _say(left_out, "%s has no progress: %s")
    logger.info("progress of %d frames of %d episodes: %s", frames, len(material.episodes), work.output)
    return 1 if left_out else 0


def _check(options: RelabelOptions, kind: str, material: Material) -> None:
    """Raise whatever would keep the output from being written, before the model is asked."""
    if material.lerobot is None or kind == PARQUET:
        return
    counts = {one.number: one.count for one in material.episodes}
    if kind == COLUMN:
        _check_outside(Path(options.output), material.lerobot)
        check_column(material.lerobot, options.new_column, counts)
    else:
        check_rows(material.lerobot, counts)


def _check_outside(output: Path, source: Path) -> None:
    if output.resolve() != source.resolve() and source.resolve() in output.resolve().parents:
        raise ConfigError(f"`output` must lie outside of the dataset that is copied, but {output} lies in {source}")


@contextmanager
def _workplace(options: RelabelOptions, kind: str, plan: dict[str, Any]) -> Iterator[Workplace]:
    output = (Path(options.output) if kind == COLUMN else options.parquet).absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    if kind == COLUMN:
        with replaced(output, COPY, overwrite=options.overwrite, plan=plan, whole=is_whole) as work:
            yield work
            empty(work.folder)
    else:
        whole = partial(_is_of, plan=plan)
        with replaced_file(output, "output", overwrite=options.overwrite, plan=plan, whole=whole) as work:
            yield work


def _plan(options: RelabelOptions, material: Material) -> dict[str, Any]:
    """What the progress is made from: the options, and what now lies where they point."""
    chosen = {name: value for name, value in asdict(options).items() if name not in _CHANGES_NOTHING}
    chosen |= {name: called(chosen[name]) for name in ("model_path", "base_model") if chosen[name] is not None}
    content = {"model": model_fingerprint(options.model_path, options.base_model), "dataset": material.identity()}
    return {"progress": chosen, "content": content}


def _is_of(parquet: Path, plan: dict[str, Any]) -> bool:
    """Whether the file is there and was made from the same."""
    return json.loads(_metadata(parquet).get(_PLAN, "null")) == plan


def _left_out_of(parquet: Path) -> int:
    return int(_metadata(parquet).get(_LEFT_OUT, "0"))


def _metadata(parquet: Path) -> Mapping[str, str]:
    try:
        held = pq.read_schema(parquet).metadata or {}
        return {name.decode(): text.decode() for name, text in held.items() if not name.startswith(b"ARROW")}
    except (OSError, ValueError, pa.ArrowException):
        return {}


def _answered(material: Material, folder: Path, options: RelabelOptions) -> list[Job]:
    """Ask about whatever has not been answered by a run that was killed, and return all jobs."""
    folder.mkdir(exist_ok=True)
    model, base = (_from_anywhere(name) for name in (options.model_path, options.base_model))
    asking = Asking(str(model), base, options.device, options.max_frames, options.batch_size)
    jobs = list(make_jobs(material.episodes, folder, asking))
    waiting = [job for job in jobs if not job.part.is_file()]
    if len(waiting) < len(jobs):
        logger.info("%d of %d pieces were answered before", len(jobs) - len(waiting), len(jobs))
    on_gpus = options.device != "cpu"
    run = run_local if options.executor == "local" else partial(run_ray, on_gpus=on_gpus)
    try:
        for _ in tracked(run(score, waiting, options.num_workers), "pieces", len(waiting)):
            pass
    finally:
        forget_model()
    return jobs


def _from_anywhere(model: str | None) -> str | None:
    """Return a model's folder by its whole path: workers of a cluster have another working folder."""
    return str(Path(model).absolute()) if model is not None and Path(model).exists() else model


def _without_progress(scores: Scores) -> list[LeftOut]:
    """Return the episodes without progress, and say what the sources have to say."""
    left_out, notes = [], list[tuple[str, str]]()
    for told in scores:
        if told.values is None:
            left_out.append(LeftOut(told.id, told.reason))
        notes += [(told.id, note) for note in told.notes]
    _say(notes, "%s: %s")
    return left_out


def _write(
    options: RelabelOptions,
    kind: str,
    material: Material,
    scores: Scores,
    work: Workplace,
    plan: dict[str, Any],
    left_out: int,
) -> int:
    if kind == COLUMN:
        assert material.lerobot is not None
        return _write_copy(options, material.lerobot, scores, work, plan, left_out)
    metadata = {_MODEL: called(options.model_path), _LEFT_OUT: str(left_out), _PLAN: json.dumps(plan)}
    with staged_file(work.output) as staged:
        if kind == LEROBOT:
            assert material.lerobot is not None
            return write_lerobot(staged, material.lerobot, scores, metadata)
        return write_plain(staged, scores, metadata)


def _write_copy(
    options: RelabelOptions, source: Path, scores: Scores, work: Workplace, plan: dict[str, Any], left_out: int
) -> int:
    """Make the copy beside the answers, which stay until it is in its place."""
    made = work.folder / "copy"
    remove(made)
    made.mkdir()

    def values(number: int) -> Float32[np.ndarray, " t"] | None:
        found = scores.of(number)
        return rewards(found) if found is not None and options.values == REWARD else found

    frames = copy_with_column(source, made, options.new_column, values, left_out)
    (made / MADE_FROM).write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
    flush_disk(made)
    with naming(work.output):
        replace_folder(made, work.output)
    return frames


def _say(said: Sequence[tuple[str, str]], form: str) -> None:
    for name, text in said[:_MOST_LISTED]:
        logger.warning(form, name, text)
    if len(said) > _MOST_LISTED:
        logger.warning("and the like of %d more", len(said) - _MOST_LISTED)
