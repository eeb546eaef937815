"""A GPU that is not there: tensors say they lie on it, and operations that mix it with the CPU fail as they would.

Everything is computed on the CPU. A dispatch mode notes which storages were put on the GPU, refuses what CUDA refuses
(tensors of two devices in one operation, `numpy()` of a GPU tensor), and counts what makes the host wait for the device
(`item`, `nonzero`, copies back). The variable-length attention kernel, which no CPU has, checks its arguments as the
real one does and is computed segment by segment. So the code that runs on a GPU alone is run by every test run; its
kernels, memory and speed are not.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext, _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
GPU, EITHER = "gpu", "either"
"""Where a storage is said to lie; one that is not noted lies on the CPU. `EITHER`: made by torch's own derivatives."""
_WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_consecutive", "equal", "is_nonzero")
_ACROSS = ("copy_", "_to_copy", "set_")
_INDEXED = ("index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index")
_REAL_DEVICE = torch._C.TensorBase.device
_REAL = {name: getattr(torch.Tensor, name) for name in ("to", "numpy", "__array__", "tolist")}
_PACKAGE = str(Path(__file__).parents[1] / "rfm") + "/"


class PretendedGPU(TorchDispatchMode):
    """See the module. `waits` counts by operation and the line of the package that asked, "" where none did."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Any = WeakIdKeyDictionary()
        self.waits: Counter[tuple[str, str]] = Counter()
        self.strict = False
        """Whether waiting is an error, as with `torch.cuda.set_sync_debug_mode("error")`."""

    def place(self, tensor: torch.Tensor) -> str | None:
        """Return where a tensor is said to lie; None: on the CPU."""
        return self.places.get(tensor.untyped_storage()) if tensor.layout == torch.strided else None

    def wait(self, name: str) -> None:
        """Count something that waits for the device."""
        if self.strict:
            raise RuntimeError("called a synchronizing CUDA operation")
        frame: Any = sys._getframe()
        while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
            frame = frame.f_back
        self.waits[name, "" if frame is None else f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"] += 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation on the CPU and note where its results lie."""
        kwargs, name = dict(kwargs or {}), func._schema.name.removeprefix("aten::")
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        places = [self.place(tensor) for tensor in tensors]
        self._refuse_mixtures(name, tensors, places)
        if name.startswith("torch_attn::"):
            return self._placed(_KERNELS[name.removeprefix("torch_attn::")](*args, **kwargs), GPU, tensors)
        wanted = kwargs.pop("device", None)
        asked = None if wanted is None else torch.device(wanted).type
        by_torch = torch._C._current_graph_task_id() != -1 and asked == "cpu"  # a derivative that takes it for CPU
        if GPU in places and (name in _WAITS or self._goes_back(name, asked, by_torch, places, tensors)):
            self.wait(name)
        if wanted is not None:
            kwargs |= {"device": CPU if asked == "cuda" else wanted}
            kwargs |= {"pin_memory": False} if kwargs.get("pin_memory") else {}
        out = func(*args, **kwargs)
        if name == "_to_copy" and asked is not None and not by_torch:
            return self._placed(out, GPU if asked == "cuda" else None, tensors)
        if asked == "cuda" or GPU in places:
            return self._placed(out, GPU, tensors)
        return self._placed(out, EITHER if EITHER in places or (by_torch and not tensors) else None, tensors)

    def _refuse_mixtures(self, name: str, tensors: list[torch.Tensor], places: list[str | None]) -> None:
        if name in _ACROSS or GPU not in places:
            return
        pairs = list(zip(tensors, places, strict=True))
        if name in _INDEXED:  # indices may lie on the CPU
            pairs = [pairs[0], pairs[-1]] if "put" in name else pairs[:1]
        alone = [tuple(tensor.shape) for tensor, place in pairs if place is None and tensor.ndim > 0]
        if alone:
            raise RuntimeError(f"Expected all tensors to be on the same device: {name} with {alone} on the CPU")

    @staticmethod
    def _goes_back(
        name: str, asked: str | None, by_torch: bool, places: list[str | None], tensors: list[torch.Tensor]
    ) -> bool:
        if name == "_to_copy":
            return asked == "cpu" and not by_torch
        by_mask = name == "index" and any(tensor.dtype == torch.bool for tensor in tensors[1:])
        return by_mask or (name == "copy_" and places[0] is None)

    def _placed(self, out: Any, place: str | None, given: list[torch.Tensor]) -> Any:
        """Note where new storages lie; views and results in place lie where they did."""
        old = {id(tensor.untyped_storage()) for tensor in given if tensor.layout == torch.strided}
        for leaf in tree_leaves(out):
            is_new = isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided
            if place is not None and is_new and id(leaf.untyped_storage()) not in old:
                self.places[leaf.untyped_storage()] = place
        return out


def _checked(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ends: torch.Tensor, longest: int) -> None:
    """Refuse what the flash kernel refuses."""
    for part in (query, key, value):
        assert (part.ndim, part.stride(-1)) == (3, 1), "tokens x heads x width, contiguous in width"
        assert part.dtype in (torch.bfloat16, torch.float16), f"16-bit numbers, not {part.dtype}"
        assert part.shape[-1] in range(8, 257, 8), f"width {part.shape[-1]}"
    assert (ends.dtype, ends.is_contiguous(), ends.is_cuda) == (torch.int32, True, True)
    assert (int(ends[0]), int(ends[-1])) == (0, len(query))
    assert 0 <= int(ends.diff().min()) <= int(ends.diff().max()) <= longest


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ends: torch.Tensor, ends_of_keys: torch.Tensor,
    longest: int, longest_keys: int, causal: bool, scale: float, *_: Any,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """Stand in for the kernel's forward pass."""
    _checked(query, key, value, ends, longest)
    outs = []
    for start, stop in _segments(ends):
        parts = (part[start:stop].transpose(0, 1)[None] for part in (query, key, value))
        out = scaled_dot_product_attention(*parts, scale=scale, is_causal=causal, enable_gqa=True)
        outs.append(out[0].transpose(0, 1))
    return torch.cat(outs), torch.zeros(query.shape[1], len(query)), torch.zeros(2, dtype=torch.uint64)


def _attend_backward(
    grad: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, out: torch.Tensor,
    lse: torch.Tensor, ends: torch.Tensor, ends_of_keys: torch.Tensor, longest: int, longest_keys: int, causal: bool,
    rng: torch.Tensor, scale: float, *_: Any,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """Stand in for the kernel's backward pass: autograd is above dispatch, so the derivative is written out."""
    _checked(query, key, value, ends, longest)
    grads = [torch.zeros(part.shape) for part in (query, key, value)]
    times = query.shape[1] // key.shape[1]
    for start, stop in _segments(ends):
        q, k, v, g = (part[start:stop].float().transpose(0, 1) for part in (query, key, value, grad))
        k, v = k.repeat_interleave(times, 0), v.repeat_interleave(times, 0)
        scores = q @ k.transpose(1, 2) * scale
        if causal:
            later = torch.ones(stop - start, stop - start, dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, float("-inf"))
        share = scores.softmax(-1)
        above = g @ v.transpose(1, 2)
        slope = share * (above - (above * share).sum(-1, keepdim=True)) * scale
        grads[0][start:stop] = (slope @ k).transpose(0, 1)
        for held, whole in ((grads[1], slope.transpose(1, 2) @ q), (grads[2], share.transpose(1, 2) @ g)):
            held[start:stop] = whole.unflatten(0, (-1, times)).sum(1).transpose(0, 1)
    return tuple(part.to(query.dtype) for part in grads)


def _segments(ends: torch.Tensor) -> list[tuple[int, int]]:
    numbers = _REAL["tolist"](ends)
    return [(start, stop) for start, stop in pairwise(numbers) if stop > start]


_KERNELS = {"_varlen_attn": _attend, "_varlen_attn_backward": _attend_backward}


def _tensor_methods(gpu: PretendedGPU) -> dict[str, Any]:
    """Return what tensors answer while the GPU is pretended: C++ would take them for what they are."""

    def device(self: torch.Tensor) -> torch.device:
        return CUDA if gpu.place(self) == GPU else _REAL_DEVICE.__get__(self)

    def to(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        copy = kwargs.pop("copy", False)
        if args and isinstance(args[0], torch.Tensor):
            args = (args[0].device, args[0].dtype)
        wanted, dtype, non_blocking, _ = torch._C._nn._parse_to(*args, **kwargs)
        if wanted is None:
            return _REAL["to"](self, *args, copy=copy, **kwargs)
        dtype = dtype or self.dtype
        if wanted.type == self.device.type and dtype == self.dtype and not copy:
            return self
        return torch.ops.aten._to_copy.default(self, dtype=dtype, device=wanted, non_blocking=non_blocking)

    def new_tensor(self: torch.Tensor, data: Any, *, dtype: Any = None, device: Any = None) -> torch.Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype, device=device or self.device)

    def tolist(self: torch.Tensor) -> Any:
        if self.is_cuda:
            gpu.wait("tolist")
        return _REAL["tolist"](self)

    def on_cpu_only(name: str) -> Callable[..., Any]:
        def convert(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            if self.is_cuda:
                raise TypeError("can't convert cuda:0 device type tensor to numpy")
            return _REAL[name](self, *args, **kwargs)

        return convert

    return {
        "device": property(device), "is_cuda": property(lambda self: self.device.type == "cuda"), "to": to,
        "cuda": lambda self, *_, **__: self.to(CUDA), "cpu": lambda self, *_, **__: self.to(CPU), "tolist": tolist,
        "new_tensor": new_tensor, "numpy": on_cpu_only("numpy"), "__array__": on_cpu_only("__array__"),
    }  # fmt: skip


def _making(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Make a tensor where it really can be, and move it."""

    def made(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        if device is None and not isinstance(data, torch.Tensor):
            around = [mode.device for mode in _get_current_function_mode_stack() if isinstance(mode, DeviceContext)]
            device = around[-1] if around else None
        with torch.device(CPU):
            out = make(data, *args, **kwargs)
        return out if device is None else out.to(device)

    return made


_PROPERTIES = SimpleNamespace(total_memory=80 * 10**9, name="pretended", major=9, minor=0, multi_processor_count=132)
_QUERIES: dict[str, Any] = {
    "is_available": True, "device_count": 1, "current_device": 0, "max_memory_allocated": 0, "memory_allocated": 0,
    "is_bf16_supported": True, "get_device_capability": (9, 0), "get_device_name": "pretended",
    "get_device_properties": _PROPERTIES, "get_rng_state_all": [], "is_initialized": False,
}  # fmt: skip
_COMMANDS = (
    "_lazy_init", "set_device", "synchronize", "empty_cache", "reset_peak_memory_stats", "manual_seed",
    "manual_seed_all", "set_rng_state", "set_rng_state_all",
)  # fmt: skip


@contextmanager
def pretended_gpu(gpu: PretendedGPU | None = None) -> Iterator[PretendedGPU]:
    """Let torch have a GPU."""
    gpu, cuda, generator = gpu or PretendedGPU(), torch.cuda, torch.Generator
    _device_constructors()  # remembers torch's functions for good: these must be the real ones
    with ExitStack() as stack:

        def patch(owner: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(owner, name, value))

        for name, value in _tensor_methods(gpu).items():
            patch(torch.Tensor, name, value)
        for name, value in _QUERIES.items():
            patch(cuda, name, lambda *_, value=value, **__: value)
        for name in _COMMANDS:
            patch(cuda, name, lambda *_, **__: None)
        for owner in (cuda, cuda.random):  # what checkpoints keep of a GPU's generator
            patch(owner, "get_rng_state", lambda *_: torch.zeros(1, dtype=torch.uint8))
            patch(owner, "set_rng_state", lambda *_: None)
        patch(cuda, "set_sync_debug_mode", lambda mode: setattr(gpu, "strict", mode == "error"))
        patch(torch, "Generator", lambda *_, **__: generator())
        patch(torch, "tensor", _making(torch.tensor))
        patch(torch, "as_tensor", _making(torch.as_tensor))
        with gpu:
            yield gpu
