"""The preprocessing parameters of a model, read from its files without torchvision.

In: a local folder or hub name and its configuration. Out: `VisionSpec`. `AutoProcessor` would build the video
processor, which needs torchvision; the few numbers we need stand in `video_preprocessor_config.json` and
`preprocessor_config.json`, and patch sizes in the configuration itself.
"""

from __future__ import annotations

from typing import Any

from rfm.batch.input_format import FILE_NAME as FORM_FILE
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.patches import Family, VisionSpec
from rfm.errors import ConfigError, DataError
from rfm.files.documents.json_documents import read_json_object
from rfm.model.stock.files import usable
from rfm.model.stock.hub_names import file_of

FAMILIES: dict[str, Family] = {"qwen3_vl": "qwen3_vl", "qwen3_vl_moe": "qwen3_vl", "qwen2_5_vl": "qwen2_5_vl"}

PROCESSOR_FILES = (
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "chat_template.json",
    "chat_template.jinja",
)

HALF = [0.5, 0.5, 0.5]
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]

DEFAULTS: dict[Family, dict[str, Any]] = {
    "qwen3_vl": {"mean": HALF, "std": HALF, "video": 32 * 32 * 768, "image": 28 * 28 * 1280},
    "qwen2_5_vl": {"mean": CLIP_MEAN, "std": CLIP_STD, "video": 28 * 28 * 768, "image": 28 * 28 * 1280},
}
"""Of the stock processor classes: what holds where a file does not say."""


_RELEASED_VIDEO, _UNNESTED_VIDEO = "<|vision_start|><|video_pad|><|vision_end|>", "<|video_pad|>"
"""A video in templates. From 5.10 on the stock processor puts `<|vision_start|>` and `<|vision_end|>` around each
temporal patch itself, and the released template's outer pair would nest them."""


def family_of(config: Any) -> Family:
    """Return the family of a model's configuration; other model types are refused."""
    if config.model_type not in FAMILIES:
        raise ConfigError(
            f"`model_name` must be a model of type {sorted(FAMILIES)}, but is of type {config.model_type!r}; "
            "take a Qwen3-VL or Qwen2.5-VL checkpoint"
        )
    return FAMILIES[config.model_type]


def read_spec(name: str, config: Any) -> VisionSpec:
    """Read what a model wants of its frames."""
    family = family_of(config)
    with usable(f"the preprocessing files of {name}"):
        return _spec(name, config.vision_config, family)


def _spec(name: str, vision: Any, family: Family) -> VisionSpec:
    image, video = _read(name, "preprocessor_config.json"), _read(name, "video_preprocessor_config.json")
    defaults = DEFAULTS[family]
    form = load_form(name) or InputFormat()
    mean = image.get("image_mean") or defaults["mean"]
    std = image.get("image_std") or defaults["std"]
    return VisionSpec(
        family=family,
        patch_size=vision.patch_size,
        merge_size=vision.spatial_merge_size,
        temporal_patch_size=vision.temporal_patch_size,
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        max_video_pixels=form.model_video_pixels or _budget(video) or defaults["video"],
        max_image_pixels=form.model_image_pixels or _budget(image) or defaults["image"],
        tokens_per_second=float(getattr(vision, "tokens_per_second", 1.0)),
    )


def load_form(name: str) -> InputFormat | None:
    """Return what training here recorded in a checkpoint folder or at a hub name; None where it made neither."""
    path = file_of(name, FORM_FILE)
    return None if path is None else InputFormat.read(path)


def read_processor_files(name: str, family: Family) -> dict[str, str]:
    """Read the files that `AutoProcessor` needs beside the tokenizer's, to be saved with every checkpoint.

    Qwen3-VL's template is saved without the outer vision tags, the form that the collator writes.
    """
    texts = {file_name: _text(name, file_name) for file_name in PROCESSOR_FILES}
    found = {file_name: text for file_name, text in texts.items() if text is not None}
    if family == "qwen3_vl":
        found = {key: unnest(text) if key.startswith("chat_template") else text for key, text in found.items()}
    return found


def _budget(values: dict[str, Any]) -> int | None:
    budget = (values.get("size") or {}).get("longest_edge") or values.get("max_pixels")
    return None if budget is None else int(budget)


def _read(name: str, file_name: str) -> dict[str, Any]:
    path = file_of(name, file_name)
    return {} if path is None else read_json_object(path)


def _text(name: str, file_name: str) -> str | None:
    path = file_of(name, file_name)
    try:
        return None if path is None else path.read_text(encoding="utf-8")
    except ValueError as error:
        raise DataError(f"{path} must be text in UTF-8, but is not ({error}); copy it again") from error


def unnest(template: str) -> str:
    """Return a Qwen3-VL template that writes videos without the outer pair of vision tags."""
    return template.replace(_RELEASED_VIDEO, _UNNESTED_VIDEO)
