"""How many floating-point operations a training step needs, and how many a second the machine's matrix product makes.

Counted are products of matrices, two operations a multiplication, that the mathematics of a step needs: what
checkpointing computes again, padding and logits that carry no loss count as waste. Forward 1, gradient of the inputs 1,
gradient of the weights 1; so a part that trains in full counts 3, one with adapters 2 (their own products, under 1%,
are left out), and a frozen tower, through which nothing goes back, 1.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch


class RowSize(NamedTuple):
    """What one row consists of, on average."""

    tokens: float
    visual: float
    answer: float
    patches: float
    patches_a_segment: float


def row_flops(config: Any, row: RowSize, *, lora: bool, frozen: bool) -> float:
    """Return the operations of one row in one training step."""
    text, vision = config.text_config, config.vision_config
    backbone = 2 if lora else 3
    language = text.num_hidden_layers * (2 * _language_layer(text) * row.tokens + _causal(text, row.tokens))
    head = 2 * text.vocab_size * text.hidden_size * row.answer
    tower = vision.depth * (2 * _tower_block(vision) * row.patches + _segments(vision, row))
    tower += (
        2 * vision.hidden_size * vision.in_channels * vision.temporal_patch_size * vision.patch_size**2 * row.patches
    )
    mergers = (1 + len(vision.deepstack_visual_indexes)) * 2 * _merger(vision) * row.visual
    return backbone * (language + head + mergers) + (1 if frozen else backbone) * tower


def _language_layer(text: Any) -> int:
    heads = (2 * text.num_attention_heads + 2 * text.num_key_value_heads) * text.head_dim
    return text.hidden_size * heads + 3 * text.hidden_size * text.intermediate_size


def _causal(text: Any, tokens: float) -> float:
    return 2 * 2 * tokens**2 * text.num_attention_heads * text.head_dim / 2


def _tower_block(vision: Any) -> int:
    return 4 * vision.hidden_size**2 + 2 * vision.hidden_size * vision.intermediate_size


def _segments(vision: Any, row: RowSize) -> float:
    return 2 * 2 * row.patches * row.patches_a_segment * vision.hidden_size


def _merger(vision: Any) -> int:
    wide = vision.hidden_size * vision.spatial_merge_size**2
    return wide**2 + wide * vision.out_hidden_size


def matmul_rate(device: str, seconds: float = 1.0) -> float:
    """Return the operations a second of the dtype that training computes in, for a square product of good size."""
    on_gpu = device == "cuda"
    size, dtype = (8192, torch.bfloat16) if on_gpu else (512, torch.float32)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        left @ right
    _wait(on_gpu)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(10):
            left @ right
        _wait(on_gpu)
        done += 10
    return done * 2 * size**3 / (time.perf_counter() - start)


def _wait(on_gpu: bool) -> None:
    if on_gpu:
        torch.cuda.synchronize()
