"""Ask the stock Qwen3-VL and Qwen2.5-VL processors what they make of `stock_cases.py`, and keep their answers.

Not a test: it needs torchvision, which the package and its tests do without. In an environment of its own:

    python -m venv stock && stock/bin/pip install -c constraints.txt -e .[dev]
    stock/bin/pip install --no-deps torchvision==0.28.0
    stock/bin/python tests/batch/make_stock_values.py

writes `tests/batch/stock/*.npz`: ids, positions, patches, grids and seconds a grid of each case, and the target sizes
of a table of clips. The torchvision is the one that belongs to the torch of constraints.txt.
"""

from __future__ import annotations

import importlib.metadata
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

# PyPI's torchvision beside a torch for CPUs looks for two operators that are not there; their schemas are enough
_operators = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from PIL import Image  # noqa: E402
from qwen_stock import QWEN2_5_TEMPLATE, QWEN3_TEMPLATE, qwen_tokenizer  # noqa: E402
from stock_cases import BUDGETS, CASES, COUNTS, FPS, LARGEST, PROMPT, SIZES, SMALLEST, SPECS, Case  # noqa: E402
from tiny_qwen2_5 import build_tiny_qwen2_5  # noqa: E402
from transformers import (  # noqa: E402
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)
from transformers.models.qwen2_vl import video_processing_qwen2_vl  # noqa: E402
from transformers.models.qwen3_vl import video_processing_qwen3_vl  # noqa: E402

from rfm.model.stock.preprocessing import unnest  # noqa: E402
from rfm.model.tiny import build_tiny  # noqa: E402


def processor(case: Case, template: str) -> Any:
    """Return the stock processor of a family with the case's budgets of pixels."""
    spec = SPECS[case.family]
    common = {
        "patch_size": spec.patch_size,
        "merge_size": spec.merge_size,
        "temporal_patch_size": spec.temporal_patch_size,
        "image_mean": list(spec.mean),
        "image_std": list(spec.std),
    }
    frame = {"shortest_edge": case.min_pixels or SMALLEST, "longest_edge": case.max_pixels or LARGEST}
    clip_frames = case.clips[0][0] if case.family == "qwen3_vl" else 1
    clip = {name: value * clip_frames for name, value in frame.items()}
    video, whole = (
        (Qwen3VLVideoProcessor, Qwen3VLProcessor)
        if case.family == "qwen3_vl"
        else (Qwen2VLVideoProcessor, Qwen2_5_VLProcessor)
    )
    return whole(
        Qwen2VLImageProcessor(**common, size=frame),
        qwen_tokenizer(),
        video(**common, size=clip, do_sample_frames=False, cap_pixels_per_frame=False),
        chat_template=template,
    )


def content(case: Case, clips: list[np.ndarray]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for name, clip in zip(case.names, clips, strict=True):
        pictures = [Image.fromarray(frame) for frame in clip]
        parts += [{"type": "text", "text": name}] if name else []
        parts += (
            [{"type": "image", "image": picture} for picture in pictures]
            if case.images
            else [{"type": "video", "video": pictures}]
        )
    return [*parts, {"type": "text", "text": PROMPT}]


def ask(case: Case, model: Any, template: str) -> dict[str, np.ndarray]:
    metadata = [
        {"fps": FPS, "total_num_frames": count, "frames_indices": list(range(count))} for count, _, _ in case.clips
    ]
    out = processor(case, template).apply_chat_template(
        [{"role": "user", "content": content(case, case.frames())}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={} if case.images else {"video_metadata": metadata},
    )
    names = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts")
    known = {name: torch.as_tensor(out[name]) for name in names if name in out}
    positions, _ = model.model.get_rope_index(out["input_ids"], out["mm_token_type_ids"], **known)
    return {
        "input_ids": out["input_ids"][0].numpy().astype(np.int32),
        "position_ids": positions[:, 0].numpy().astype(np.int32),
        "pixels": out["pixel_values" if case.images else "pixel_values_videos"].numpy(),
        "grids": known["image_grid_thw" if case.images else "video_grid_thw"].numpy(),
        **(
            {"second_per_grid": np.array([float(seconds) for seconds in out["second_per_grid_ts"]])}
            if "second_per_grid_ts" in out
            else {}
        ),
    }


def target_sizes() -> dict[str, np.ndarray]:
    """What `smart_resize` answers to every size, count and budget of `stock_cases`: (sizes, counts, budgets, 2)."""
    table = {}
    for family, spec in SPECS.items():
        answers = np.zeros((len(SIZES), len(COUNTS), len(BUDGETS), 2), np.int32)
        for place in np.ndindex(*answers.shape[:3]):
            (height, width), count, (least, most) = SIZES[place[0]], COUNTS[place[1]], BUDGETS[place[2]]
            least, most = least or 1, most or LARGEST // (count if family == "qwen3_vl" else 1)
            if family == "qwen3_vl":
                budget = {"min_pixels": least * count, "max_pixels": min(LARGEST, most * count)}
                resize = video_processing_qwen3_vl.smart_resize
                answers[place] = resize(count, height, width, temporal_factor=2, factor=spec.side, **budget)
            else:
                resize = video_processing_qwen2_vl.smart_resize
                answers[place] = resize(height, width, factor=spec.side, min_pixels=least, max_pixels=most)
        table[family] = answers
    return table


def main() -> None:
    tokenizer = qwen_tokenizer()
    _, small = build_tiny(0)
    models = {"qwen3_vl": build_tiny(0)[0], "qwen2_5_vl": build_tiny_qwen2_5(small)}
    for model in models.values():  # only these of a configuration enter positions
        model.config.image_token_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        model.config.video_token_id = tokenizer.convert_tokens_to_ids("<|video_pad|>")
    folder = HERE / "stock"
    folder.mkdir(exist_ok=True)
    for case in CASES:
        qwen3 = case.family == "qwen3_vl"
        released = QWEN3_TEMPLATE if qwen3 else QWEN2_5_TEMPLATE
        values = ask(case, models[case.family], unnest(released) if qwen3 else released)
        values["released_ids"] = ask(case, models[case.family], released)["input_ids"]
        np.savez_compressed(folder / f"{case.name}.npz", **values)
    versions = [importlib.metadata.version(name) for name in ("torch", "torchvision", "transformers")]
    np.savez_compressed(folder / "target_sizes.npz", **target_sizes(), versions=np.array(versions))
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{len(CASES)} cases, {math.ceil(size / 1024)} KB")  # noqa: T201


if __name__ == "__main__":
    main()
