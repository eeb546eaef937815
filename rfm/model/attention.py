"""Vision-tower attention without a Python loop: equal segments become one batch.

The tower attends within one temporal patch (Qwen2.5-VL: within a window). With SDPA the stock model splits the
sequence and calls attention once a segment, thousands of small calls. Attention functions with "flash" in their name
get the whole sequence with its segment ends instead; this one groups segments of equal length and makes one SDPA call
a group. Same values, any device, no extra package.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "flash_equal_segments"


def use_equal_segments(model: Any) -> None:
    """Switch the tower of a stock model to this attention; the language model keeps its own."""
    AttentionInterface.register(NAME, equal_segments)
    model.model.visual.config._attn_implementation = NAME


def equal_segments(
    module: Any,
    query: Float[torch.Tensor, "1 heads n d"],
    key: Float[torch.Tensor, "1 heads n d"],
    value: Float[torch.Tensor, "1 heads n d"],
    attention_mask: None = None,
    *,
    scaling: float,
    cu_seq_lens_q: Int[torch.Tensor, "segments+1"],
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Float[torch.Tensor, "1 n heads d"], None]:
    """Attend within segments; `cu_seq_lens_q` holds their ends, starting with 0."""
    lengths = cu_seq_lens_q.diff()
    stacked = torch.stack((query[0], key[0], value[0]))  # 3 h n d
    kinds = torch.unique(lengths).tolist()
    if len(kinds) == 1:
        return _attend(stacked, len(lengths), scaling, dropout).unsqueeze(0), None
    out = query.new_empty(query.shape[2], query.shape[1], query.shape[3])
    length_of_token = lengths.repeat_interleave(lengths)
    for length in kinds:
        rows = (length_of_token == length).nonzero().squeeze(1)
        out[rows] = _attend(stacked[:, :, rows], len(rows) // length, scaling, dropout)
    return out.unsqueeze(0), None


def _attend(
    stacked: Float[torch.Tensor, "3 heads n d"], segments: int, scaling: float, dropout: float
) -> Float[torch.Tensor, "n heads d"]:
    heads, count, width = stacked.shape[1:]
    query, key, value = stacked.reshape(3, heads, segments, count // segments, width).transpose(1, 2)
    attended = scaled_dot_product_attention(query, key, value, scale=scaling, dropout_p=dropout)
    return attended.transpose(1, 2).reshape(count, heads, width)
