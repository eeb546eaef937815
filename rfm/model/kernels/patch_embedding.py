"""The tower's patch embedding as a matrix product.

The stock module applies a Conv3d to patches that are exactly its kernel's size: a matrix product in disguise, ten
times slower on a CPU (benchmarks/RESULTS.md) and up to twenty on some GPU builds. Here the same parameter is used as a
matrix; names, shapes and checkpoints stay the stock ones.

The stock way to the same end, `from_pretrained(..., fusion_config={"patch_embeddings": True})`, renames the parameter
inside the process: when training goes on from a checkpoint, the Trainer loads stock names with `strict=False` and
silently leaves the patch embedding at its old values; it also changes every model built later in that process.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from jaxtyping import Float
from torch.nn.functional import linear


def use_matrix_product(model: Any) -> None:
    """Let a stock model (not wrapped by adapters yet) embed patches by one matrix product."""
    embedding = model.model.visual.patch_embed
    embedding.forward = MethodType(_embed, embedding)  # a method, so that copies of the model use their own weights


def _embed(embedding: Any, patches: Float[torch.Tensor, "n d"]) -> Float[torch.Tensor, "n width"]:
    weight = embedding.proj.weight
    return linear(patches.to(weight.dtype), weight.flatten(1), embedding.proj.bias)
