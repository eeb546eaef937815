"""The worst errors of a model on a side, and film strips of them.

A score is as wrong as it is far from the truth (one that can't be parsed: by 100); a wrong choice of two videos as the
probability that it was given. The worst are taken one a trajectory, so that one odd episode does not fill the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rfm.evaluation.metrics.accuracy import Numbers
from rfm.files.staging import staged_file
from rfm.frames.reader import read_frames
from rfm.vqa.dataset import frames_root, load_dataset
from rfm.vqa.schema import CLIP_PREFIXES

HEIGHT = 88
"""Of a frame in a strip, in pixels."""
GAP = 6
"""White between frames, clips and errors."""
EACH = 3


def worst_errors(results: Numbers, questions: Path) -> list[Numbers]:
    """Return the three worst scores, then the three worst choices, each with the clips that were shown."""
    dataset, _ = load_dataset(questions)
    chosen = [*_worst(results["predictions"], "progress"), *_worst(results["predictions"], "preference")]
    return [_error(one, dataset[one["row"]]) for one in chosen]


def draw(errors: Sequence[Numbers], questions: Path, path: Path) -> None:
    """Write a JPEG with a line of frames an error, the two clips of a pair one after the other."""
    dataset, config = load_dataset(questions)
    root = frames_root(None, str(questions), config, dataset)
    strips = [_strip(root, error["clips"]) for error in errors]
    width = max(strip.shape[1] for strip in strips)
    lines = [np.pad(strip, ((0, GAP), (0, width - strip.shape[1]), (0, 0)), constant_values=255) for strip in strips]
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        Image.fromarray(np.concatenate(lines)[:-GAP]).save(staged, format="JPEG", quality=80)


def _worst(predictions: Sequence[Numbers], kind: str) -> list[Numbers]:
    errors = [{**one, "loss": _loss(one)} for one in predictions if one["sample_type"] == kind and "truth" in one]
    found: dict[Any, Numbers] = {}
    for one in sorted(errors, key=lambda one: (-one["loss"], one["row"])):
        if one["loss"] > 0:
            found.setdefault(one["trajectory"], one)
    return list(found.values())[:EACH]


def _loss(one: Numbers) -> float:
    if one["sample_type"] == "progress":
        return 100.0 if one["predicted"] is None else abs(one["predicted"] - one["truth"])
    if one["predicted"] == one["truth"]:
        return 0.0
    return 1.0 - one["probabilities"][int(one["truth"]) - 1] if "probabilities" in one else 1.0


def _error(one: Numbers, row: Numbers) -> Numbers:
    prefixes = CLIP_PREFIXES[one["sample_type"]]
    return {
        "sample_type": one["sample_type"],
        "task": row["task"],
        "strategy": one["strategy"],
        "instruction": one["instruction"],
        "truth": one["truth"],
        "said": one["predicted"],
        "loss": one["loss"],
        "clips": [
            {
                "trajectory": row[f"{prefix}trajectory_id"],
                "frames": row[f"{prefix}npz_path"],
                "shown": row[f"{prefix}frame_indices"],
                "end": row[f"{prefix}end_progress"],
            }
            for prefix in prefixes
        ],
    }


def _strip(root: Path, clips: Sequence[Numbers]) -> UInt8[np.ndarray, "h w 3"]:
    return np.concatenate(list(_pictures(root, clips))[:-1], axis=1)


def _pictures(root: Path, clips: Sequence[Numbers]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    for clip in clips:
        for frame in read_frames(root, clip["frames"], np.array(clip["shown"])):
            width = round(frame.shape[1] * HEIGHT / frame.shape[0])
            yield np.asarray(Image.fromarray(frame).resize((width, HEIGHT), Image.Resampling.BOX))
            yield np.full((HEIGHT, 1, 3), 255, np.uint8)
        yield np.full((HEIGHT, 2 * GAP, 3), 255, np.uint8)
