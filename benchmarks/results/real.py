"""Recordings of real robots: what a model trained in simulation says of them, where they lie beside the repository.

Nobody recorded their progress, and those of BridgeData stop before the task is done, so no answer is right or wrong:
what is told is where scores begin and end, and how well they go with time over an episode (Spearman, 0 where the score
never changes). Without the recordings (`../shared/data`) the page says that they were not there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.results.judging import Judged
from benchmarks.results.steps import Workshop
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.alignment import correlate
from rfm.evaluation.metrics.bootstrap import interval
from rfm.files.seal import digest
from rfm.ingest.sources.rlds import IngestRldsOptions, ingest_rlds_command
from rfm.ingest.sources.videos import ingest_videos
from rfm.scoring.relabelling.command import relabel
from rfm.scoring.relabelling.options import PARQUET, RelabelOptions

SCORES = "scores.parquet"
CLIPS = {
    "berkeley_rpt_stack_cup": "Pick up the yellow cup and stack it on the other cup",
    "jaco_play_pick_up_green_cup": "Pick up the green cup",
    "soar_put_green_stick_in_brown_bowl": "Put green stick in brown bowl",
}
"""What the three clips show from beginning to end, by file."""
TITLES = {
    "real_clips": "whole real successes",
    "bridge_rlds": "BridgeData (they stop before the end)",
}


def _clips(source: Path, folder: Path) -> None:
    manifest = folder / "list.jsonl"
    lines = [json.dumps({"path": f"{name}.mp4", "task": text}) for name, text in CLIPS.items()]
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ingest_videos(source, folder / "root", manifest=manifest, form="jpeg")


def _bridge(source: Path, folder: Path) -> None:
    options = IngestRldsOptions(path=str(source), output=str(folder / "root"), camera="image_0", form="jpeg")
    ingest_rlds_command(options)


_INGEST: dict[str, Callable[[Path, Path], None]] = {"real_clips": _clips, "bridge_rlds": _bridge}


def on_real_robots(workshop: Workshop, model: Judged, shared: Path) -> list[Numbers]:
    """Return what the model says of each set of recordings that is there."""
    there = {name: shared / name for name in _INGEST if (shared / name).is_dir()}
    return [_said(workshop, model, name, path) for name, path in there.items()]


def _said(workshop: Workshop, model: Judged, name: str, source: Path) -> Numbers:
    files = sorted(path for path in source.iterdir() if path.is_file())
    content = {path.name: digest(path) for path in files}
    trajectories = workshop.step(f"real/{name}", content, lambda folder: _INGEST[name](source, folder))
    step = f"models/{model.name}/real/{name}"
    options = RelabelOptions(
        path=name,
        model_path=str(model.made.folder),
        output=str(workshop.place(step) / SCORES),
        format=PARQUET,
        datasets_root=str(trajectories.folder / "root"),
        device="cpu",
        max_frames=model.max_frames,
    )
    inputs = {"command": "relabel", "dataset": name, "model": model.name, "max_frames": model.max_frames}
    made = workshop.step(step, inputs, lambda _: relabel(options), [trajectories, model.made])
    return {"name": name, "title": TITLES[name], **told(made.folder / SCORES)}


def told(path: Path) -> Numbers:
    """Return what a parquet of scores says, with intervals over its episodes."""
    table = pq.read_table(path)
    episode, frame, score = (np.array(table[name].to_pylist()) for name in ("episode", "frame", "progress"))
    curves = [100.0 * score[episode == one][np.argsort(frame[episode == one])] for one in np.unique(episode)]
    values = {
        "begin": np.array([curve[0] for curve in curves]),
        "end": np.array([curve[-1] for curve in curves]),
        "spearman": np.nan_to_num([correlate(curve, np.arange(len(curve), dtype=float))[1] for curve in curves]),
    }
    each = np.arange(len(curves))
    return {
        "episodes": len(curves),
        **{name: {"value": float(one.mean()), "interval": interval(one, each)} for name, one in values.items()},
    }
