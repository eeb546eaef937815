"""Attention without a Python loop and without masks: equal segments become one batch.

Two places of a stock model attend within segments of one long sequence: the vision tower (a temporal patch, in
Qwen2.5-VL a window), and the language model when rows are packed (a row, causally).

With SDPA the tower splits its sequence and calls attention once a segment, thousands of small calls, and packing
builds a mask of length x length, which also rules out the fast kernels. Registered functions get the whole sequence
with its segment ends instead. `attend` makes one call where all segments are equally long (it sees so without asking
the device), one call of torch's variable-length kernel on a GPU with 16-bit numbers, and one call a length elsewhere.
Same values, any device, no extra package.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rfm.model.freeze import inner_model
from rfm.model.stock.kv_cache import cache_in

NAME = "flash_equal_segments"
"""Of the tower's attention: stock code passes segment ends to functions with "flash" in their name."""
PACKED = "packed_segments"
"""Of the language model's attention in packed training."""

Ends = Int[torch.Tensor, "segments+1"]


def use_equal_segments(model: Any) -> None:
    """Switch the tower of a stock model to attention by segments; the language model keeps its own."""
    AttentionInterface.register(NAME, equal_segments)
    model.model.visual.config._attn_implementation = NAME


def use_packed_segments(model: Any) -> None:
    """Switch the language model, inside adapters or not, to attention that takes packed batches without a mask.

    Batches with an attention mask, and generation, go to SDPA as before.
    """
    AttentionInterface.register(PACKED, packed_segments)
    AttentionMaskInterface.register(PACKED, _mask)
    language = inner_model(model).language_model
    language.config._attn_implementation = PACKED
    language.register_forward_pre_hook(_pass_segment_ends, with_kwargs=True)


def equal_segments(
    module: Any,
    query: Float[torch.Tensor, "1 heads n d"],
    key: Float[torch.Tensor, "1 heads n d"],
    value: Float[torch.Tensor, "1 heads n d"],
    attention_mask: None = None,
    *,
    scaling: float,
    cu_seq_lens_q: Ends,
    max_length_q: int | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Float[torch.Tensor, "1 n heads d"], None]:
    """Attend within segments; `cu_seq_lens_q` holds their ends, starting with 0."""
    return attend(query, key, value, cu_seq_lens_q, max_length_q, scaling=scaling, dropout=dropout), None


def packed_segments(
    module: Any,
    query: Float[torch.Tensor, "b heads n d"],
    key: Float[torch.Tensor, "b groups m d"],
    value: Float[torch.Tensor, "b groups m d"],
    attention_mask: Any,
    *,
    scaling: float,
    dropout: float = 0.0,
    cu_seq_lens_q: Ends | None = None,
    max_length_q: int | None = None,
    **others: Any,
) -> tuple[Float[torch.Tensor, "b n heads d"], None]:
    """Attend causally within the rows of a packed batch; any other batch goes to SDPA."""
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
    attended = attend(query, key, value, cu_seq_lens_q, max_length_q, scaling=scaling, dropout=dropout, causal=True)
    return attended, None


def attend(
    query: Float[torch.Tensor, "1 heads n d"],
    key: Float[torch.Tensor, "1 groups n d"],
    value: Float[torch.Tensor, "1 groups n d"],
    ends: Ends,
    longest: int | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    causal: bool = False,
) -> Float[torch.Tensor, "1 n heads d"]:
    """Attend within segments, of which the longest has `longest` tokens (None: not known)."""
    parts = query[0], key[0], value[0]
    if parts[0].shape[1] == (longest or 0) * (len(ends) - 1):
        return _batched(parts, len(ends) - 1, scaling, dropout, causal).unsqueeze(0)
    if longest is not None and dropout == 0.0 and (varlen := _varlen(query)) is not None:
        whole = (part.transpose(0, 1) for part in parts)
        window = (-1, 0) if causal else (-1, -1)
        ends = ends.int()
        out = varlen(
            *whole,
            ends,
            ends,
            longest,
            longest,
            scale=scaling,
            window_size=window,
            enable_gqa=len(key[0]) < len(query[0]),
        )
        return out.unsqueeze(0)
    return _by_length(parts, ends, scaling, dropout, causal).unsqueeze(0)


Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _by_length(parts: Parts, ends: Ends, scaling: float, dropout: float, causal: bool) -> torch.Tensor:
    """Make one call for the segments of each length; asking for the lengths waits for the device."""
    lengths = ends.diff()
    kinds = torch.unique(lengths).tolist()
    if len(kinds) == 1:
        return _batched(parts, len(lengths), scaling, dropout, causal)
    heads, count, width = parts[0].shape
    out = parts[0].new_empty(count, heads, width)
    length_of_token = lengths.repeat_interleave(lengths)
    for length in kinds:
        rows = (length_of_token == length).nonzero().squeeze(1)
        chosen = parts[0][:, rows], parts[1][:, rows], parts[2][:, rows]
        out[rows] = _batched(chosen, len(rows) // length, scaling, dropout, causal)
    return out


def _batched(
    parts: Parts, segments: int, scaling: float, dropout: float, causal: bool
) -> Float[torch.Tensor, "n heads d"]:
    """Attend within `segments` segments of one length that follow each other."""
    heads, count, width = parts[0].shape
    length = count // segments
    query, key, value = (part.reshape(len(part), segments, length, width).transpose(0, 1) for part in parts)
    attended = scaled_dot_product_attention(
        query, key, value, scale=scaling, dropout_p=dropout, is_causal=causal, enable_gqa=key.shape[1] != heads
    )
    return attended.transpose(1, 2).reshape(count, heads, width)


def _find_varlen() -> Callable[..., Any] | None:
    """Return torch's variable-length attention, where this torch has it with all that is needed here."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn if "enable_gqa" in inspect.signature(varlen_attn).parameters else None


VARLEN = _find_varlen()


def _varlen(query: torch.Tensor) -> Callable[..., Any] | None:
    fits = query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and query.shape[-1] <= 256
    return VARLEN if fits else None


def _mask(*args: Any, **options: Any) -> Any:
    """Make SDPA's mask, except for a packed batch, whose segment ends say all of it."""
    packed = (
        options.get("attention_mask") is None
        and not options.get("allow_is_causal_skip", True)
        and options.get("q_length") == options.get("kv_length")
        and options.get("batch_size") == 1
    )
    return None if packed else sdpa_mask(*args, **options)


def _pass_segment_ends(module: Any, args: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
    """Before the language model runs: find the rows of a packed batch in the first of its four rows of positions."""
    positions = options.get("position_ids")
    packed = options.get("attention_mask") is None and cache_in(options) is None
    if not packed or positions is None or positions.ndim != 3 or positions.shape[:2] != (4, 1):
        return None
    ends = segment_ends(positions[0, 0])
    longest = int(ends.diff().max())
    return args, {**options, "cu_seq_lens_q": ends, "max_length_q": longest}


def segment_ends(positions: Int[torch.Tensor, " n"]) -> Ends:
    """Return where rows end, starting with 0: text positions count on within a row, as stock code has it."""
    starts = (positions.diff() != 1).nonzero().squeeze(1) + 1
    return pad(torch.cat((starts, starts.new_tensor([len(positions)]))), (1, 0)).int()
