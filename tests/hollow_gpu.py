"""A pretended GPU whose numbers have no content: a step of a model of any size runs on it, and its memory is counted.

Floats and pixels on it are meta tensors; integers (tokens, positions, segment ends) are real, since code asks for their
values. Every storage counts from when an operation makes it until it is dropped, in blocks of 512 bytes as CUDA's
allocator has them: `peak` is what `torch.cuda.max_memory_allocated` would say, but for kernels' workspaces. Attention
counts as flash attention has it: an output and a float a query.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from pretended_gpu import GPU, PretendedGPU, pretended_gpu
from torch.utils._pytree import tree_leaves, tree_map

from rfm.model.kernels import attention

META = torch.device("meta")
_BLOCK = 512
_is_meta = torch._C.TensorBase.is_meta.__get__
_DRAWS = ("uniform_", "normal_", "random_", "bernoulli_", "trunc_normal_")
_INDEXED = ("index", "index_put_", "index_put", "_index_put_impl_")
_HOLLOW = (torch.uint8, torch.int8, torch.int16)
"""Integers that are pixels or parts of an optimizer's state."""


class HollowGPU(PretendedGPU):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._sizes: dict[int, int] = {}
        self._inside = False

    def place(self, tensor: torch.Tensor) -> str | None:
        """Return where a tensor is said to lie; torch's own code for meta tensors sees what they are."""
        if self._inside:
            return None
        return GPU if _is_meta(tensor) else super().place(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation for its shapes where a hollow tensor takes part, else as it is pretended."""
        kwargs, name = dict(kwargs or {}), func._schema.name.removeprefix("aten::")
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        to_gpu = torch.device(kwargs.get("device") or "cpu").type == "cuda"
        if name.startswith("torch_attn::"):
            return self._counted(_attention(name, *args))
        if any(map(_is_meta, tensors)):
            return self._counted(self._hollow(func, name, args, kwargs))
        if to_gpu and (not tensors or name == "_to_copy") and _becomes_hollow(name, args, kwargs):
            return self._counted(self._run(func, *args, **{**kwargs, "device": META}))
        out = super().__torch_dispatch__(func, types, args, kwargs)
        return self._counted(out) if any(self.place(leaf) == GPU for leaf in tree_leaves(out) if _tensor(leaf)) else out

    def _hollow(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        first = args[0]
        if name == "_local_scalar_dense":
            return 1.0 if first.dtype.is_floating_point else 1
        if name in ("is_nonzero", "equal"):
            return True
        if name in _DRAWS:
            return first
        if name == "_to_copy" and torch.device(kwargs.get("device") or "cuda").type == "cpu":
            return torch.zeros(first.shape, dtype=kwargs.get("dtype") or first.dtype)
        if name in _INDEXED:  # the places that a mask shows are known where the mask is
            places = [part.nonzero().unbind(1) if _is_mask(part) else (part,) for part in args[1]]
            args = (first, [place for part in places for place in part], *args[2:])
        args, kwargs = tree_map(_as_meta, (args, kwargs))
        if kwargs.get("device") is not None:
            kwargs["device"] = META
        return self._run(func, *args, **kwargs)

    def _run(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        self._inside = True
        try:
            return func(*args, **kwargs)
        finally:
            self._inside = False

    def _counted(self, out: Any) -> Any:
        for leaf in tree_leaves(out):
            if _tensor(leaf):
                self._count(leaf.untyped_storage())
        return out

    def _count(self, storage: Any) -> None:
        key = storage._cdata
        if key not in self._sizes:
            self._sizes[key] = -(-storage.nbytes() // _BLOCK) * _BLOCK
            self.held += self._sizes[key]
            self.peak = max(self.peak, self.held)
            weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.held -= self._sizes.pop(key)


def _tensor(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided


def _is_mask(part: Any) -> bool:
    return isinstance(part, torch.Tensor) and part.dtype == torch.bool and not _is_meta(part)


def _as_meta(leaf: Any) -> Any:
    if not _tensor(leaf) or _is_meta(leaf) or leaf.ndim == 0:
        return leaf
    return torch.empty_strided(leaf.shape, leaf.stride(), dtype=leaf.dtype, device=META)


def _becomes_hollow(name: str, args: Any, kwargs: Any) -> bool:
    dtype = kwargs.get("dtype") or (args[0].dtype if name == "_to_copy" else None)
    if dtype is None:
        return name != "arange" or any(isinstance(number, float) for number in args)
    return bool(dtype.is_floating_point) or dtype in _HOLLOW


def _attention(name: str, *args: Any) -> Any:
    """Return tensors of the shapes that the variable-length kernel gives."""
    if name.endswith("backward"):
        return tuple(torch.empty(part.shape, dtype=part.dtype, device=META) for part in args[1:4])
    query = args[0]
    shapes = (query.shape, query.dtype), ((query.shape[1], query.shape[0]), torch.float32), ((2,), torch.uint64)
    return tuple(torch.empty(shape, dtype=dtype, device=META) for shape, dtype in shapes)


class _Attend(torch.autograd.Function):
    """What flash attention makes and keeps."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
        ctx.save_for_backward(query, key, value, out, torch.empty(query.shape[:3], device=query.device))
        return out

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        return tuple(map(torch.empty_like, ctx.saved_tensors[:3]))


def _sdpa(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return _Attend.apply(query, key, value)  # type: ignore[no-any-return, no-untyped-call]


@contextmanager
def hollow_gpu() -> Iterator[HollowGPU]:
    """Let torch have a GPU without content."""
    functional = torch.nn.functional
    with (
        mock.patch.object(functional, "scaled_dot_product_attention", _sdpa),
        mock.patch.object(attention, "scaled_dot_product_attention", _sdpa),
        pretended_gpu(HollowGPU()) as gpu,
    ):
        yield gpu  # type: ignore[misc]
