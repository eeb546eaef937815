"""Questions about made-up clips, the same wherever they are asked: no file is read and no frame travels with a model.

In: how a model was trained to be asked. Out: a dozen rows, six about progress and six about pairs, and the frames they
show: colours that change from pixel to pixel, so that lossy or resized pictures give other answers, and a bright square
that walks across. Clips have from two frames to as many as training showed. Closed form in whole numbers: the same
bytes on every machine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from rfm.batch.clips import Row
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.patches import VisionSpec
from rfm.vqa.prompts import prompt

NUMBER = 12
USUAL_FRAMES = 8
"""Of the longest clip, where it is not known how many frames training showed."""
_TOKENS_A_SIDE = 8
"""Of a frame, where no size is fixed."""
_TASKS = ("open the drawer", "push the button", "close the door")


class Questions(NamedTuple):
    """Rows, and the clips that they name."""

    rows: list[Row]
    clips: dict[str, UInt8[np.ndarray, "t h w 3"]]


def questions(form: InputFormat, spec: VisionSpec) -> Questions:
    """Return the questions for a model that was trained in this format."""
    most = form.max_frames or USUAL_FRAMES
    discrete = bool(form.discrete_progress)
    clips: dict[str, UInt8[np.ndarray, "t h w 3"]] = {}
    rows: list[Row] = []
    for number in range(NUMBER):
        task, frames = _TASKS[number % len(_TASKS)], max(2, most - number // 2 % 4)
        if number % 2:
            names = [_shown(clips, frames, 2 * number + side, form, spec) for side in (0, 1)]
            sides = zip(("first", "second"), names, strict=True)
            shown = {f"{side}_{key}": value for side, name in sides for key, value in _clip(name, frames).items()}
            rows.append({"sample_type": "preference", "prompt": prompt("preference", task), **shown})
        else:
            name = _shown(clips, frames, 2 * number, form, spec)
            text = prompt("progress", task, discrete=discrete)
            rows.append({"sample_type": "progress", "prompt": text, **_clip(name, frames)})
    return Questions(rows, clips)


def long_question(frames: int, form: InputFormat, spec: VisionSpec) -> Questions:
    """Return one question about progress with a clip of so many frames."""
    clips: dict[str, UInt8[np.ndarray, "t h w 3"]] = {}
    name = _shown(clips, frames, 1, form, spec)
    return Questions(
        [{"sample_type": "progress", "prompt": prompt("progress", _TASKS[0]), **_clip(name, frames)}], clips
    )


def _shown(clips: dict[str, Any], frames: int, seed: int, form: InputFormat, spec: VisionSpec) -> str:
    name = f"known/{seed}"
    side = _TOKENS_A_SIDE * spec.side
    clips[name] = _film(frames, form.resized_height or side, form.resized_width or side, seed)
    return name


def _clip(name: str, frames: int) -> dict[str, Any]:
    return {"npz_path": name, "frame_indices": list(range(frames))}


def _film(frames: int, height: int, width: int, seed: int) -> UInt8[np.ndarray, "t h w 3"]:
    t, y, x, colour = np.ogrid[:frames, :height, :width, :3]
    mixed = (x + 3 * seed) ** 2 * 7 + (y + 1) ** 2 * 13 + x * y * (5 + 2 * colour) + t * 11 + colour * 97
    film = (mixed % 251).astype(np.uint8)
    side = max(height // 4, 1)
    top = seed * 5 % (height - side + 1)
    for index in range(frames):
        shift = index if seed % 4 < 2 else frames - 1 - index
        left = shift * (width - side) // max(frames - 1, 1)
        film[index, top : top + side, left : left + side] = (250, 200, 40)
    return film
