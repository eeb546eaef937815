"""Attention heads made wider without changing what a model computes, for kernels that want widths of 32, 64, 96, ….

In: a Qwen3-VL whose language model has heads of any width. Out: the same function with heads of a greater width, to
rounding (1e-6 in float32). What is added are zeros, and what depends on the width is undone:

- queries and keys are normalised by the mean of their squares, which zeros lower: projections grow by
  s = sqrt(new / old), and the norm's weights shrink by s again; those of queries grow by s once more, since scores are
  divided by the root of the width;
- rotary frequencies are theta^(-2i / width): theta becomes theta^(new / old). Zeros turn into zeros, and the
  frequencies that are added are given to time, behind all others.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from jaxtyping import Float

from rfm.errors import ConfigError

WIDTHS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256)
"""Of heads that vLLM's attention on a CPU takes; those on GPUs take these too."""


def head_width(config: Any) -> int:
    """Return the width of a language model's heads, from the configuration of a whole model."""
    text = config.get_text_config()
    return int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)


def servable_width(width: int) -> int | None:
    """Return the least width that is taken and no narrower; None where there is none."""
    return next((wider for wider in WIDTHS if wider >= width), None)


def with_wider_heads(model: Any, width: int) -> Any:
    """Return a Qwen3-VL of the same class and dtype with heads of `width`, which computes what `model` does.

    Raises:
        ConfigError: the model is of another family, or its heads are wider already.

    """
    old = head_width(model.config)
    if model.config.model_type != "qwen3_vl" or width < old:
        raise ConfigError(
            f"`checkpoint` must be a Qwen3-VL with heads of at most {width} to be widened, but is of type "
            f"{model.config.model_type} with heads of {old}"
        )
    wider = type(model)._from_config(_config(model.config, old, width), dtype=model.dtype, attn_implementation="sdpa")
    scale = math.sqrt(width / old)
    state = {name: _widened(name, value, old, width, scale) for name, value in model.state_dict().items()}
    wider.load_state_dict(state)
    wider.generation_config = model.generation_config
    return wider.eval()


def _config(config: Any, old: int, new: int) -> Any:
    wider = copy.deepcopy(config)
    text = wider.get_text_config()
    rope = dict(text.rope_parameters)
    time, *rest = rope["mrope_section"]
    rope["mrope_section"] = [time + (new - old) // 2, *rest]
    rope["rope_theta"] = float(rope["rope_theta"]) ** (new / old)
    text.head_dim, text.rope_parameters = new, rope
    return wider


def _widened(name: str, value: torch.Tensor, old: int, new: int, scale: float) -> torch.Tensor:
    if "language_model" not in name or "self_attn" not in name:
        return value
    part = name.rpartition("self_attn.")[2]
    if part in ("q_proj.weight", "k_proj.weight"):
        return _by_heads(value * scale, old, new)
    if part == "v_proj.weight":
        return _by_heads(value, old, new)
    if part == "o_proj.weight":
        return _by_heads(value.T.contiguous(), old, new).T.contiguous()
    if part == "q_norm.weight":
        return _halves(value, old, new)
    return _halves(value / scale, old, new) if part == "k_norm.weight" else value


def _by_heads(weights: Float[torch.Tensor, "heads_old d"], old: int, new: int) -> Float[torch.Tensor, "heads_new d"]:
    heads = weights.reshape(-1, old, weights.shape[1]).transpose(1, 2)
    return _halves(heads, old, new).transpose(1, 2).reshape(-1, weights.shape[1]).contiguous()


def _halves(values: Float[torch.Tensor, "*n old"], old: int, new: int) -> Float[torch.Tensor, "*n new"]:
    """Add zeros behind each half: rotation pairs the places of one half with those of the other."""
    zeros = values.new_zeros(*values.shape[:-1], (new - old) // 2)
    return torch.cat([values[..., : old // 2], zeros, values[..., old // 2 :], zeros], dim=-1)
