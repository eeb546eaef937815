"""The presets `tiny`, `tiny-64` and `tiny-wide`: random Qwen3-VLs of 0.6, 0.7 and 1.1 million parameters for one core.

In: a seed and texts for the tokenizer. Out: the stock `Qwen3VLForConditionalGeneration`, a small `Qwen2Tokenizer` and
the preprocessing parameters. It is the true architecture (vision tower, merger, DeepStack, interleaved rotary
positions), so what runs on it runs on the released checkpoints: `AutoModelForImageTextToText` and `AutoProcessor` load
what is saved.

Weights are drawn with a standard deviation of 0.04, twice the stock one: at a width of 96 the stock draw starts so flat
that the vision path learns late.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from rfm.batch.pictures.patches import VisionSpec
from rfm.model.tiny_tokenizer import CHAT_TEMPLATE, build_tokenizer

FRAME_SIZE = 32
"""Side in pixels that frames are resized to where no size was asked for."""


@dataclass(frozen=True)
class TinySizes:
    """Every size of the preset; all are free to change, divisibility permitting."""

    patch_size: int = 8
    merge_size: int = 2
    temporal_patch_size: int = 2
    vision_depth: int = 1
    vision_width: int = 64
    vision_heads: int = 4
    vision_mlp: int = 192
    deepstack: tuple[int, ...] = (0,)
    grid_side: int = FRAME_SIZE // 8
    """Of the learned table of patch positions; other frame sizes interpolate it."""
    text_depth: int = 2
    text_width: int = 96
    text_heads: int = 4
    key_value_heads: int = 2
    text_mlp: int = 288
    rope_theta: float = 10_000.0
    std: float = 0.04


NAME = "tiny"
PRESETS = {
    NAME: TinySizes(),
    "tiny-64": TinySizes(text_width=128, text_mlp=256),
    "tiny-wide": TinySizes(
        vision_depth=2, vision_width=96, vision_heads=3, vision_mlp=288, deepstack=(0,), grid_side=8,
        text_depth=2, text_width=128, text_mlp=384,
    ),
}  # fmt: skip
"""By model name; 4-bit weights need inner sizes of the language model that are multiples of 64, servers heads of 32."""


def tiny_spec(sizes: TinySizes = TinySizes()) -> VisionSpec:  # frozen
    """Return the preprocessing parameters of the preset: Qwen3-VL's with smaller patches."""
    return VisionSpec(
        family="qwen3_vl",
        patch_size=sizes.patch_size,
        merge_size=sizes.merge_size,
        temporal_patch_size=sizes.temporal_patch_size,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        max_video_pixels=64 * 128 * 128,
        max_image_pixels=128 * 128,
    )


def build_tiny(
    seed: int,
    texts: Iterable[str] = (),
    sizes: TinySizes = TinySizes(),
) -> tuple[Any, Any]:
    """Return (model, tokenizer); the same seed, texts and sizes give the same weights."""
    tokenizer = build_tokenizer(texts)
    with torch.random.fork_rng(devices=[]):  # the stock draw, which is overwritten, leaves the caller's generator alone
        model = Qwen3VLForConditionalGeneration(tiny_config(tokenizer, sizes))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, sizes.std, generator=generator)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def tiny_config(tokenizer: Any, sizes: TinySizes) -> Any:
    """Return the stock configuration with the preset's sizes and the tokenizer's ids."""
    ids = tokenizer.convert_tokens_to_ids
    return Qwen3VLConfig(
        text_config=_text_config(len(tokenizer), ids("<|im_end|>"), tokenizer.pad_token_id, sizes),
        vision_config=_vision_config(sizes),
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def _text_config(vocabulary: int, end: int, pad: int, sizes: TinySizes) -> dict[str, Any]:
    head = sizes.text_width // sizes.text_heads
    third = head // 6
    return {
        "model_type": "qwen3_vl_text",
        "vocab_size": vocabulary,
        "hidden_size": sizes.text_width,
        "intermediate_size": sizes.text_mlp,
        "num_hidden_layers": sizes.text_depth,
        "num_attention_heads": sizes.text_heads,
        "num_key_value_heads": sizes.key_value_heads,
        "head_dim": head,
        "max_position_embeddings": 8192,
        "initializer_range": sizes.std,
        "tie_word_embeddings": True,
        "eos_token_id": end,
        "pad_token_id": pad,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": sizes.rope_theta,
            "mrope_section": [head // 2 - 2 * third, third, third],
            "mrope_interleaved": True,
        },
    }


def _vision_config(sizes: TinySizes) -> dict[str, Any]:
    return {
        "model_type": "qwen3_vl_vision",
        "depth": sizes.vision_depth,
        "hidden_size": sizes.vision_width,
        "intermediate_size": sizes.vision_mlp,
        "num_heads": sizes.vision_heads,
        "patch_size": sizes.patch_size,
        "spatial_merge_size": sizes.merge_size,
        "temporal_patch_size": sizes.temporal_patch_size,
        "out_hidden_size": sizes.text_width,
        "num_position_embeddings": sizes.grid_side**2,
        "deepstack_visual_indexes": list(sizes.deepstack),
        "initializer_range": sizes.std,
    }


def processor_files(spec: VisionSpec) -> dict[str, str]:
    """Return name and text of the files that `AutoProcessor` needs beside the tokenizer's.

    They are written by hand: the stock classes that would write them can't be built without torchvision.
    """
    common = {
        "patch_size": spec.patch_size,
        "merge_size": spec.merge_size,
        "temporal_patch_size": spec.temporal_patch_size,
        "image_mean": list(spec.mean),
        "image_std": list(spec.std),
    }
    smallest = spec.side**2
    image = {
        **common,
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen3VLProcessor",
        "size": {"shortest_edge": smallest, "longest_edge": spec.max_image_pixels},
    }
    video = {
        **common,
        "video_processor_type": "Qwen3VLVideoProcessor",
        "processor_class": "Qwen3VLProcessor",
        "do_sample_frames": False,
        "size": {"shortest_edge": smallest, "longest_edge": spec.max_video_pixels},
    }
    return {
        "preprocessor_config.json": json.dumps(image, indent=2) + "\n",
        "video_preprocessor_config.json": json.dumps(video, indent=2) + "\n",
        "chat_template.jinja": CHAT_TEMPLATE,
    }
