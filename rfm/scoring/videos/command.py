"""`rfm score` and `rfm prefer`: a model's word on videos, as tables, files, plots and videos.

A recording is read once for all tasks and models that see it in the same size. One that can't be read is said with its
reason, the others are scored, and the status is 1.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rfm.console import show, tracked
from rfm.errors import ConfigError, DataError
from rfm.files.ownership import check_new_file
from rfm.files.staging import staged_file
from rfm.ingest.episode import IngestOptions
from rfm.scoring.forms import KEY_VARIABLE
from rfm.scoring.given_frames import Clip
from rfm.scoring.records import Curve
from rfm.scoring.videos.naming import file_stems, tails
from rfm.scoring.videos.options import PreferOptions, ScoreOptions
from rfm.scoring.videos.recordings import Recording, recordings_of
from rfm.scoring.videos.scored import Judged, Scored, lines_of, write_lines
from rfm.scoring.videos.tables import print_preferences, print_scores

if TYPE_CHECKING:
    from rfm.scoring.remote.client import RewardClient
    from rfm.scoring.reward_model import RewardModel

logger = logging.getLogger(__name__)

MOST_PLOTTED = 12
"""Recordings on one picture."""
DOUBTFUL = 0.5
"""Share of a model's probability on what is no answer, from which on that is said."""


class Named(NamedTuple):
    """A model, and what tables and files call it."""

    name: str
    model: RewardModel | RewardClient


class Done(NamedTuple):
    """A recording, what was said of it, and where its overlay goes."""

    recording: Recording
    scored: Scored
    overlay: Path | None


def score(options: ScoreOptions) -> int:
    """Run `rfm score`; status 1 where a recording could not be read."""
    recordings = recordings_of(options.videos, options.task, options.manifest, options.camera)
    options.check_new([one.lies_in for one in recordings])
    overlays = _overlay_files(options, recordings)
    if options.rerun is not None:
        import rfm.pages.rerun_file  # noqa: F401  an extra: better missed now than when all is scored
    if options.plot is not None and len(recordings) > MOST_PLOTTED:
        raise ConfigError(f"`plot` must be of at most {MOST_PLOTTED} videos, but there are {len(recordings)}")
    models = _models(options.model, options.device) if options.server is None else [_served(options.server)]
    done, faults = [], []
    for recording, overlay in tracked(list(zip(recordings, overlays, strict=True)), "scoring", len(recordings)):
        try:
            done.append(Done(recording, _scored(recording, models, options), overlay))
        except DataError as error:
            faults.append(f"{recording.name}: {error}")
    for fault in faults:
        logger.error("%s", fault)
    if not done:
        raise DataError("at least one video must be readable, but none is; the reasons are above")
    scored = [one.scored for one in done]
    _warn_of_doubt(scored)
    try:
        if options.output is not None:
            write_lines(Path(options.output), scored)
    finally:  # what was asked for at length is shown where it can't be written
        show(lambda: {"points": lines_of(scored)}, lambda: print_scores(scored, [one.name for one in models]))
    _draw(options, done)
    if faults:
        logger.error("%d of %d videos could not be read", len(faults), len(recordings))
    return 1 if faults else 0


def prefer(options: PreferOptions) -> int:
    """Run `rfm prefer`."""
    if options.output is not None:
        inputs = [Path(options.first), Path(options.second)]
        check_new_file("output", Path(options.output), overwrite=options.overwrite, inputs=inputs)
    sides = [recordings_of([path], options.task) for path in (options.first, options.second)]
    for path, found in zip((options.first, options.second), sides, strict=True):
        if len(found) != 1:
            raise ConfigError(f"a pair must be of single videos, but {path} holds {len(found)}")
    [[a], [b]] = sides
    judged = []
    for name, model in _models(options.model, options.device):
        clips = [side.read(model.reading) for side in (a, b)]
        pairs = model.prefer([clips[0]] * len(options.task), [clips[1]] * len(options.task), tasks=options.task)
        judged += [Judged(name, pair) for pair in pairs]
    lines = [{"first": a.name, "second": b.name, "model": one.model, **one.pair.to_json()} for one in judged]
    several = len(options.model) > 1
    try:
        if options.output is not None:
            _write_pairs(Path(options.output), lines)
    finally:
        show(lambda: {"pairs": lines}, lambda: print_preferences(a.name, b.name, judged, several=several))
    return 0


def _write_pairs(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        staged.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _models(paths: Sequence[str], device: str) -> list[Named]:
    from rfm.scoring.reward_model import RewardModel  # torch, which asking a server does without

    names = tails(paths)
    return [Named(name, RewardModel.from_pretrained(path, device)) for name, path in zip(names, paths, strict=True)]


def _served(url: str) -> Named:
    """Return the model of a server."""
    from rfm.scoring.remote.client import RewardClient  # httpx, which is an extra

    client = RewardClient(url, os.environ.get(KEY_VARIABLE), key_name=KEY_VARIABLE)
    return Named(tails([client.name])[0], client)


def _scored(recording: Recording, models: Sequence[Named], options: ScoreOptions) -> Scored:
    clips: dict[IngestOptions, Clip] = {}
    curves = [(name, curve) for name, model in models for curve in _curves(recording, model, options, clips)]
    by_task = sorted(curves, key=lambda one: recording.tasks.index(one[1].task))  # models side by side
    return Scored(recording.name, tuple(by_task))


def _curves(
    recording: Recording, model: RewardModel | RewardClient, options: ScoreOptions, clips: dict[IngestOptions, Clip]
) -> list[Curve]:
    """Return a model's curves, a task each, of the recording as that model reads it; it may be in `clips` already."""
    reading = _reading(model, options)
    while True:
        if reading not in clips:
            clips[reading] = recording.read(reading)
        found = model.curve(
            clips[reading],
            tasks=recording.tasks,
            points=options.points,
            frame_choice=options.frame_choice,
            batch_size=options.batch_size,
        )
        read, reading = reading, _reading(model, options)
        if read == reading:  # else a server replaced its model meanwhile by one that sees another size
            return found


def _reading(model: RewardModel | RewardClient, options: ScoreOptions) -> IngestOptions:
    """How a recording is read for a model: in its own size, or else as asked for."""
    own = replace(model.reading, max_frames=options.max_frames)
    return own if own.height is not None else replace(own, shortest_side=options.shortest_side)


def _warn_of_doubt(scored: Sequence[Scored]) -> None:
    for name in dict.fromkeys(name for one in scored for name, _ in one.curves):
        shares = [float(curve.leftover.mean()) for one in scored for model, curve in one.curves if model == name]
        share = sum(shares) / len(shares)
        if share > DOUBTFUL:
            logger.warning(
                "%s gives %.0f%% of its probability to what is no score: it was not trained for this question, and its "
                "scores say little", name, 100 * share,
            )  # fmt: skip


def _overlay_files(options: ScoreOptions, recordings: Sequence[Recording]) -> Sequence[Path | None]:
    """Return where each recording's overlay goes, if one is wanted; ConfigError where one is there."""
    if options.overlay is None:
        return [None] * len(recordings)
    target = Path(options.overlay)
    single = target.suffix.lower() == ".mp4"
    if single and len(recordings) > 1:
        raise ConfigError(f"`overlay` must name a folder for {len(recordings)} videos, but is {target}")
    stems = file_stems([one.name for one in recordings])
    files = [target] if single else [target / f"{stem}.mp4" for stem in stems]
    for file in files:
        check_new_file("overlay", file, overwrite=options.overwrite, inputs=[one.lies_in for one in recordings])
    return files


def _draw(options: ScoreOptions, done: Sequence[Done]) -> None:
    if options.plot is not None:
        from rfm.scoring.videos.plot import STRIP, plot_scores  # matplotlib, half a second

        films = [list(one.recording.read(STRIP).frames) for one in done]
        plot_scores([one.scored for one in done], films, Path(options.plot))
        logger.info("plot: %s", options.plot)
    if options.rerun is not None:
        from rfm.scoring.videos.recorded import recorded, write_rerun

        write_rerun(Path(options.rerun), recorded([(one.recording, one.scored) for one in done]))
        logger.info("recording: %s", options.rerun)
    if options.overlay is not None:
        from rfm.scoring.videos.overlay import write_overlay

        for one in tracked(done, "overlays", len(done)):
            assert one.overlay is not None
            write_overlay(one.recording, one.scored, one.overlay)
        logger.info("overlay: %s", options.overlay)
