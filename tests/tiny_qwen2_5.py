"""A random Qwen2.5-VL of tiny size, in the stock class, with windowed and full attention in the tower."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from rfm.batch.pictures.patches import VisionSpec

SPEC = VisionSpec("qwen2_5_vl", 8, 2, 2, (0.5,) * 3, (0.5,) * 3, 10**6, 10**6, tokens_per_second=2.0)


def build_tiny_qwen2_5(tokenizer: Any, seed: int = 0, text_width: int = 32) -> Any:
    """Two heads, a quarter of whose rotations is for each side of a frame."""
    sections = [text_width // part for part in (8, 16, 16)]
    ids = tokenizer.convert_tokens_to_ids
    text = {"hidden_size": text_width, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "vocab_size": len(tokenizer), "initializer_range": 0.2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": sections}}  # fmt: skip
    vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 32, "out_hidden_size": text_width,
              "patch_size": 8, "tokens_per_second": 2, "fullatt_block_indexes": [1], "window_size": 32,
              "initializer_range": 0.2}  # fmt: skip
    tokens = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    tokens |= {f"vision_{part}": f"<|vision_{part}|>" for part in ("start", "end")}  # by which transformers 5.17 counts
    config = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, **{f"{name}_token_id": ids(token) for name, token in tokens.items()}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen2_5_VLForConditionalGeneration(config)
