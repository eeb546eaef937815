"""Clips as image or video files, named by what they show, so that nothing is written twice.

In: frames. Out: `frames/<2 digits>/<digest>.jpg` for each frame, in the clip's order (episodes are shown in many
overlapping clips, so single frames repeat far more than clips do), or `clips/<2 digits>/<digest>.mp4`. The digest is of
the pixels: the same frames get the same name in every run and process, and a file that carries its name is complete.
PNG keeps every pixel; JPEG is quality 95 with 4:4:4 colour; mp4 is H.264 with 4:2:0 colour, 2 frames a second.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rfm.batch.tokens.conversation import FRAMES_PER_SECOND
from rfm.files.staging import staged_file
from rfm.frames.npz.file import JPEG_QUALITY
from rfm.frames.video.mp4 import write_mp4

FRAMES, CLIPS = "frames", "clips"
_SUFFIX = {"jpeg": "jpg", "png": "png"}
_CRF = 18


def write_clip(folder: Path, frames: UInt8[np.ndarray, "t h w 3"], kind: str) -> tuple[str, ...]:
    """Write what of a clip is not there yet; return its files relative to `folder`: the frames, or one video."""
    if kind != "mp4":
        return tuple(_write_picture(folder, frame, kind) for frame in frames)
    relative = f"{CLIPS}/{_name(frames)}.mp4"
    target = folder / relative
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        write_mp4(target, frames, fps=FRAMES_PER_SECOND, crf=_CRF)
    return (relative,)


def _write_picture(folder: Path, frame: UInt8[np.ndarray, "h w 3"], kind: str) -> str:
    relative = f"{FRAMES}/{_name(frame)}.{_SUFFIX[kind]}"
    target = folder / relative
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(target, durable=False) as staged:
            _save(Image.fromarray(frame), staged, kind)
    return relative


def _name(pixels: UInt8[np.ndarray, "*shape"]) -> str:
    shape = "x".join(map(str, pixels.shape))
    digest = hashlib.sha256(shape.encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:32]
    return f"{digest[:2]}/{digest}"


def _save(picture: Image.Image, path: Path, kind: str) -> None:
    if kind == "png":
        picture.save(path, format="PNG")
    else:
        picture.save(path, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
