"""How much memory a training step takes, found without weights and without a GPU.

In: a model whose parameters may lie on the meta device (adapted and frozen as it will train), the optimizer's name and
the sizes of the largest batch. Out: `Memory`, in bytes, on one GPU that holds the whole model.

Weights, gradients and optimizer are counted exactly. Activations are measured: one decoder layer and one vision block
run on the meta device with the batch's sizes, and what autograd keeps of them is multiplied by the number of layers;
attention counts as flash attention does it (query, key, value and output). With checkpointing a layer keeps its
input, and one layer at a time is whole. So adapters, frozen parts, dtypes and model families need no formulas of their
own. What is not seen: CUDA itself (about 1 GB), fragmentation, and temporaries of kernels; on a CPU the sum of what is
kept agrees with a real pass to 3% (tests/training/budget/test_memory.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from transformers import AttentionInterface

from rfm.model.freeze import PROJECTORS, inner_model
from rfm.training.optimizers.choice import is_hidden

PROBE = "flash_memory_probe"
LOGIT_COPIES = 3
"""Float32 copies of the logits that the loss makes: themselves, their log-softmax and its gradient."""
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A 4-bit weight with its blocks' scales, quantized twice (arXiv:2305.14314, section 3)."""


class BatchSize(NamedTuple):
    """Sizes of one batch in one process."""

    rows: int
    positions: int
    """Tokens that the model computes, padding included."""
    patches: int
    answer_tokens: int
    """Columns of logits a row."""

    def scaled(self, share: float) -> BatchSize:
        """Return the sizes of a batch with a share of the rows."""
        rows = max(1, round(self.rows * share))
        share = rows / self.rows
        return BatchSize(rows, round(self.positions * share), round(self.patches * share), self.answer_tokens)

    def with_tokens(self, share: float) -> BatchSize:
        """Return the sizes of a batch whose rows have a share of the visual tokens, of which rows mostly consist."""
        return self._replace(positions=round(self.positions * share), patches=round(self.patches * share))


class Memory(NamedTuple):
    """Bytes by what they are for."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    """What the forward pass keeps for the backward pass."""
    working: int
    """The layer at work: its gradients, and with checkpointing its activations, computed again."""
    logits: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)

    def shared(self, processes: int) -> Memory:
        """Return what each of several processes holds that share out weights, gradients and optimizer."""
        shares = {name: round(getattr(self, name) / processes) for name in ("weights", "gradients", "optimizer")}
        return self._replace(**shares)

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value / 1e9:.2f}" for name, value in self._asdict().items())
        return f"{self.total / 1e9:.2f} GB ({parts})"


def estimate(
    model: Any, size: BatchSize, *, optim: str, checkpointing: bool, dtype: torch.dtype, four_bit: bool = False
) -> Memory:
    """Return the memory of a step; `dtype` is that of the arithmetic."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    config = inner_model(model).config.get_text_config()
    logits = size.rows * size.answer_tokens * config.vocab_size
    kept, layer = _activations(model, size, checkpointing, dtype)
    return Memory(
        weights=round(sum(_stored(name, p, four_bit) for name, p in model.named_parameters())),
        gradients=sum(p.numel() * p.element_size() for _, p in named),
        optimizer=round(sum(p.numel() * _optimizer_bytes(name, p, optim) for name, p in named)),
        activations=kept,
        working=layer * (2 if checkpointing else 1),
        logits=logits * (dtype.itemsize + LOGIT_COPIES * 4),
    )


def _stored(name: str, parameter: torch.Tensor, four_bit: bool) -> float:
    quantized = four_bit and parameter.ndim == 2 and ".layers." in name and "lora_" not in name
    return parameter.numel() * (NF4_BYTES if quantized else parameter.element_size())


def _optimizer_bytes(name: str, parameter: torch.Tensor, optim: str) -> float:
    """Return bytes a trained number: moments, and the lower halves of float32 masters of bfloat16 weights."""
    lower = 2 if parameter.dtype == torch.bfloat16 and optim != "muon" else 0
    if optim == "adamw_8bit":
        return lower + 2 * (1 + 4 / 64)
    if optim == "muon":
        return parameter.element_size() * (1 if is_hidden(name, parameter) else 2)
    return lower + 8


def _activations(model: Any, size: BatchSize, checkpointing: bool, dtype: torch.dtype) -> tuple[int, int]:
    """Return what all layers keep, and the largest layer by itself."""
    inner = inner_model(model)
    text, visual = inner.language_model, inner.visual
    width = inner.config.get_text_config().hidden_size
    tower = any(p.requires_grad for name, p in visual.named_parameters() if not name.startswith(PROJECTORS))
    layers, blocks = len(text.layers), len(visual.blocks)
    vision_width = visual.config.hidden_size
    patches = size.patches * visual.config.in_channels * visual.config.temporal_patch_size * visual.config.patch_size**2
    with _probed(model, dtype):
        layer = kept_bytes(text.layers[0], _text_input(inner, size.positions, dtype))
        block = kept_bytes(visual.blocks[0], _vision_input(visual, size.patches, dtype)) if tower else 0
        mergers = [visual.merger, *getattr(visual, "deepstack_merger_list", ())]
        merged = sum(kept_bytes(merger, lambda: ((_new(size.patches, vision_width, dtype),), {})) for merger in mergers)
        normed = kept_bytes(text.norm, lambda: ((_new(size.positions, width, dtype),), {}))
    inputs = (layers * size.positions * width + (blocks * size.patches * vision_width if tower else 0)) * dtype.itemsize
    whole = layers * layer + blocks * block
    embedded = 2 * size.positions * width * dtype.itemsize
    kept = inputs if checkpointing else whole
    embeds = any(p.requires_grad for p in visual.patch_embed.parameters())
    pixels = patches * (1 + (4 + dtype.itemsize if embeds else 0))  # as integers; their floats only for a gradient
    return kept + merged + normed + embedded + pixels, max(layer, block)


def kept_bytes(module: Any, make: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]) -> int:
    """Return the bytes that autograd keeps of one call, parameters aside; each storage counts once."""
    own = {p.untyped_storage()._cdata for p in module.parameters()}
    kept: dict[int, tuple[Any, int]] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = (storage, storage.nbytes())  # held, or the next one could have its address
        return tensor

    args, kwargs = make()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = module(*args, **kwargs)
    del output
    return sum(size for _, size in kept.values())


def _text_input(inner: Any, positions: int, dtype: torch.dtype) -> Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]:
    width = inner.config.get_text_config().hidden_size

    def make() -> tuple[tuple[Any, ...], dict[str, Any]]:
        hidden = _new(positions, width, dtype)[None]
        places = torch.zeros(3, 1, positions, dtype=torch.int64, device="meta")
        return (hidden,), {"position_embeddings": inner.language_model.rotary_emb(hidden.detach(), places)}

    return make


def _vision_input(
    visual: Any, patches: int, dtype: torch.dtype
) -> Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]:
    config = visual.config

    def make() -> tuple[tuple[Any, ...], dict[str, Any]]:
        hidden = _new(patches, config.hidden_size, dtype)
        turns = torch.empty(patches, config.hidden_size // config.num_heads, device="meta", dtype=dtype)
        ends = torch.tensor([0, patches], dtype=torch.int32)
        return (hidden,), {"cu_seqlens": ends, "position_embeddings": (turns, turns)}

    return make


def _new(rows: int, width: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(rows, width, device="meta", dtype=dtype, requires_grad=True)


class _Attend(torch.autograd.Function):
    """What flash attention keeps, and an output of its shape."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format)
        ctx.save_for_backward(query, key, value, out)
        return out


def _probe(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> Any:
    return _Attend.apply(query, key, value), None  # type: ignore[no-untyped-call]


@contextmanager
def _probed(model: Any, dtype: torch.dtype) -> Iterator[None]:
    """Attention that only keeps; modules must lie on the meta device, in the dtype of the arithmetic."""
    AttentionInterface.register(PROBE, _probe)
    inner = inner_model(model)
    configs = [inner.language_model.config, inner.visual.config]
    before = [config._attn_implementation for config in configs]
    for config in configs:
        config._attn_implementation = PROBE
    try:
        yield
    finally:
        for config, own in zip(configs, before, strict=True):
            config._attn_implementation = own
