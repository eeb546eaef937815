"""The sizes that a checkpoint's preprocessing files name: those that training showed frames in.

Servers know a checkpoint by its stock files alone. With the released sizes in them they show 224 x 224 to a model that
was trained on 64 x 64, twelve times the tokens, and enlarge what is small. So `size` of the saved files is that of the
training, and the model's own budgets move to `rfm_config.json`, for who trains on.

What `size` can say is a least and a most number of pixels, of a frame, or of a whole video for Qwen3-VL. Frames
that have the size of training already, as our engines send them, stay as they are whatever their number; stored ones
of the same shape are reduced to it, in clips of the most frames. Aspect ratio and filter can't be said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.patches import VisionSpec
from rfm.errors import DataError
from rfm.files.documents.json_documents import named_kind, parse_json

IMAGE_FILE, VIDEO_FILE, BOTH_FILE = (
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
)
_OLD_NAMES = ("min_pixels", "max_pixels")
"""Of `shortest_edge` and `longest_edge`; where a file has both these win."""

Size = dict[str, int]


def with_sizes(files: Mapping[str, str], form: InputFormat, spec: VisionSpec) -> dict[str, str]:
    """Return the files with `size` as training had it."""
    found = dict(files)
    image, video = image_size(form, spec), video_size(form, spec)
    if IMAGE_FILE in found and VIDEO_FILE not in found and spec.family == "qwen2_5_vl":
        values = _values(found, IMAGE_FILE)  # what the stock video processor falls back to
        values.pop("image_processor_type", None)
        found[VIDEO_FILE] = json.dumps({**values, "video_processor_type": "Qwen2VLVideoProcessor"})
    for name, size in ((IMAGE_FILE, image), (VIDEO_FILE, video)):
        if name in found:
            found[name] = _text(_sized(_values(found, name), size))
    if BOTH_FILE in found:
        values = _values(found, BOTH_FILE)
        for part, size in (("image_processor", image), ("video_processor", video)):
            if isinstance(values.get(part), dict):
                values[part] = _sized(values[part], size)
        found[BOTH_FILE] = _text(values)
    return found


def image_size(form: InputFormat, spec: VisionSpec) -> Size:
    """Return least and most pixels of a frame that is shown as an image."""
    return _of_frame(form, spec, spec.max_image_pixels)


def video_size(form: InputFormat, spec: VisionSpec) -> Size:
    """Return least and most pixels: of a whole clip for Qwen3-VL, of a frame for Qwen2.5-VL."""
    budget, patch = spec.max_video_pixels, spec.temporal_patch_size
    if spec.family == "qwen2_5_vl":
        return _of_frame(form, spec, budget)
    frames = None if form.max_frames is None else max(-(-form.max_frames // patch) * patch, patch)
    if form.resized_height is not None and form.resized_width is not None:
        pixels = form.resized_height * form.resized_width
        return _size(pixels * patch, max(budget, pixels * patch) if frames is None else pixels * frames)
    least = (spec.side**2 if form.min_pixels is None else form.min_pixels) * patch
    most = budget if form.max_pixels is None or frames is None else min(budget, form.max_pixels * frames)
    return _size(least, most)


def _of_frame(form: InputFormat, spec: VisionSpec, budget: int) -> Size:
    if form.resized_height is not None and form.resized_width is not None:
        return _size(*[form.resized_height * form.resized_width] * 2)
    least = spec.side**2 if form.min_pixels is None else form.min_pixels
    return _size(least, budget if form.max_pixels is None else min(budget, form.max_pixels))


def _values(files: Mapping[str, str], name: str) -> dict[str, Any]:
    values = parse_json(files[name], name, way_out="it comes from the model that is trained; get that anew")
    if not isinstance(values, dict):
        raise DataError(f"{name} of the model must hold a JSON object, but holds {named_kind(values)}")
    return values


def _size(least: int, most: int) -> Size:
    return {"shortest_edge": min(least, most), "longest_edge": most}


def _sized(values: dict[str, Any], size: Size) -> dict[str, Any]:
    return {**{name: value for name, value in values.items() if name not in _OLD_NAMES}, "size": size}


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2) + "\n"
