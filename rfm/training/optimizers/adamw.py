"""AdamW for bfloat16 weights: exact float32 masters for two more bytes a parameter, and moments in 8 bits if wanted.

A bfloat16 number has 8 significant bits: an update of less than 1/512 of a weight rounds to nothing, and at a
learning rate of 2e-5 that is most of them. So each bfloat16 weight is the upper half of a float32 master, rounded to
nearest, and the optimizer keeps the lower half as int16: together the master, bit for bit, for 2 bytes instead of 4
and, unlike stochastic rounding, without chance. Float32 weights are updated as they are.

Bytes a trained parameter (weight + gradient + lower half + moments):

                    adamw              adamw_8bit
    bfloat16        2+2+2+8 = 14       2+2+2+2 = 8
    float32         4+4+0+8 = 16       4+4+0+2 = 10

Moments in 8 bits are kept in blocks of 64 with one float32 scale each (1/16 byte more each): the first as the signed
square root of its share of the block's largest value, the second as the fourth root, rounded so that there is no bias
over the steps.

Work is done in pieces of 2**24 numbers, so that temporaries stay below half a GB whatever the size of a matrix.
Sources: AdamW (arXiv:1711.05101); splitting of masters and companding of moments after FlashOptim (arXiv:2602.23349);
block-wise 8-bit moments after Dettmers et al. (arXiv:2110.02861).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import BFloat16, Float, Float32, Int16
from torch.nn.functional import pad

from rfm.errors import ConfigError

PIECE = 2**24
BLOCK = 64


class MasterAdamW(torch.optim.Optimizer):
    """AdamW whose bfloat16 parameters have float32 masters; `eight_bit` keeps the moments in 8 bits.

    `fused` compiles the arithmetic of a step into one kernel: on a GPU it is bound by memory, and read once.
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        eight_bit: bool = False,
        fused: bool = False,
    ) -> None:
        self._update: Callable[..., None] = _update
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "eight_bit": eight_bit}
        )
        if fused:
            self.compile()

    def compile(self, backend: str = "inductor") -> None:
        """Fuse the arithmetic of a step with `torch.compile`."""
        self._update = torch.compile(_update, dynamic=True, backend=backend)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step all parameters that have a gradient; a closure is not supported."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, group)

    def _step(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(_new_state(parameter, group["eight_bit"]))
        state["step"] += 1
        first, second = group["betas"]
        count = float(state["step"])
        size, correction = group["lr"] / (1 - first**count), math.sqrt(1 - second**count)
        keep = 1 - group["lr"] * group["weight_decay"]
        factors = torch.tensor([first, second, size, correction, group["eps"], keep, count], dtype=torch.float32)
        factors = factors.to(parameter.device, non_blocking=True)
        for piece in _pieces([parameter, parameter.grad, *(state.get(name) for name in _HELD)]):
            self._update(factors, *piece)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned; the stock method would cast all of it to the parameter's dtype."""
        kept = {key: dict(state) for key, state in state_dict["state"].items()}
        super().load_state_dict({**state_dict, "state": {}})
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for key, state in kept.items():
            parameter = parameters[key]
            self.state[parameter] = {
                name: value if name == "step" else value.to(parameter.device) for name, value in state.items()
            }


def can_fuse() -> bool:
    """Tell whether steps are compiled: on a GPU that Triton and the C compiler it needs can serve."""
    compiler = any(shutil.which(name) for name in ("cc", "gcc", "clang"))
    return torch.cuda.is_available() and find_spec("triton") is not None and compiler


_HELD = ("lower", "first", "second", "first_scale", "second_scale")


def _new_state(parameter: torch.Tensor, eight_bit: bool) -> dict[str, Any]:
    if parameter.dtype not in (torch.float32, torch.bfloat16):
        raise ConfigError(f"Trained weights must be float32 or bfloat16, but some are {parameter.dtype}")
    if not parameter.is_contiguous() or type(parameter.data) is not torch.Tensor:
        raise ConfigError(
            "Weights that are split over processes must be float32 and stepped by torch's AdamW, since the masters and "
            "8-bit moments here are of whole weights; pass --model_dtype float32 --optim adamw"
        )
    count, device = parameter.numel(), parameter.device
    state: dict[str, Any] = {"step": torch.tensor(0.0)}
    if parameter.dtype == torch.bfloat16:
        state["lower"] = torch.zeros(count, dtype=torch.int16, device=device)
    if not eight_bit:
        state["first"] = torch.zeros(count, dtype=torch.float32, device=device)
        return state | {"second": torch.zeros(count, dtype=torch.float32, device=device)}
    blocks = -(-count // BLOCK)
    return state | {
        "first": torch.zeros(count, dtype=torch.int8, device=device),
        "second": torch.zeros(count, dtype=torch.uint8, device=device),
        "first_scale": torch.zeros(blocks, dtype=torch.float32, device=device),
        "second_scale": torch.zeros(blocks, dtype=torch.float32, device=device),
    }


def _pieces(tensors: list[torch.Tensor | None]) -> Iterator[tuple[torch.Tensor | None, ...]]:
    """Cut flat tensors, and the scales of their blocks, into pieces that belong together."""
    *whole, first_scale, second_scale = tensors
    count = whole[0].numel()  # type: ignore[union-attr]
    for start in range(0, count, PIECE):
        stop = min(start + PIECE, count)
        blocks = slice(start // BLOCK, -(-stop // BLOCK))
        parts = [None if tensor is None else tensor.reshape(-1)[start:stop] for tensor in whole]
        scales = [None if scale is None else scale[blocks] for scale in (first_scale, second_scale)]
        yield (*parts, *scales)


def _update(
    factors: Float[torch.Tensor, " 7"],
    weight: torch.Tensor,
    gradient: torch.Tensor,
    lower: Int16[torch.Tensor, " n"] | None,
    first: torch.Tensor,
    second: torch.Tensor,
    first_scale: torch.Tensor | None,
    second_scale: torch.Tensor | None,
) -> None:
    """Take one step with one piece, in place."""
    beta1, beta2, size, correction, eps, keep, step = factors.unbind()
    slope = gradient.float()
    master = weight if lower is None else join(weight, lower)
    mean = first if first_scale is None else _open(first, first_scale, 127, 2)
    square = second if second_scale is None else _open(second, second_scale, 255, 4)
    mean = mean * beta1 + slope * (1 - beta1)
    square = square * beta2 + slope * slope * (1 - beta2)
    master = master * keep - size * mean / (square.sqrt() / correction + eps)
    if lower is None:
        weight.copy_(master)
    else:
        split(master, weight, lower)
    if first_scale is None or second_scale is None:
        first.copy_(mean)
        second.copy_(square)
    else:
        ticket = _tickets(len(mean), step, mean.device)
        _close(mean, first, first_scale, 127, 2, ticket)
        _close(square, second, second_scale, 255, 4, ticket)
        second.clamp_(min=1)  # a zero would turn the step into mean / eps


def join(upper: BFloat16[torch.Tensor, " n"], lower: Int16[torch.Tensor, " n"]) -> Float32[torch.Tensor, " n"]:
    """Return the master of which `upper` is the nearest bfloat16 and `lower` the rest, as integers of their bits."""
    return ((upper.view(torch.int16).int() << 16) + lower.int()).view(torch.float32)


def split(
    master: Float32[torch.Tensor, " n"], upper: BFloat16[torch.Tensor, " n"], lower: Int16[torch.Tensor, " n"]
) -> None:
    """Write a master into its two halves."""
    bits = master.view(torch.int32)
    nearest = (bits + 0x8000) >> 16
    upper.view(torch.int16).copy_(nearest)
    lower.copy_(bits - (nearest << 16))


def _open(codes: torch.Tensor, scale: torch.Tensor, top: int, power: int) -> Float32[torch.Tensor, " n"]:
    share = codes.float() / top
    values = share.abs() ** power * share.sign()
    return (_blocks(values) * scale[:, None]).reshape(-1)[: len(codes)]


def _close(
    values: torch.Tensor, codes: torch.Tensor, scale: torch.Tensor, top: int, power: int, ticket: torch.Tensor
) -> None:
    blocks = _blocks(values)
    largest = blocks.abs().amax(1)
    scale.copy_(largest)
    share = (blocks / largest.clamp(min=1e-38)[:, None]).reshape(-1)[: len(codes)]
    wanted = share.abs() ** (1 / power) * top
    codes.copy_((wanted + ticket).floor().clamp(max=top) * share.sign())


def _blocks(values: torch.Tensor) -> torch.Tensor:
    return pad(values, (0, -len(values) % BLOCK)).view(-1, BLOCK)


def _tickets(count: int, step: torch.Tensor, device: torch.device) -> Float32[torch.Tensor, " n"]:
    """Return numbers in [0, 1) that, over the steps, fall evenly on each number: rounding by them has no bias.

    Rounding to nearest would: a moment that shrinks by a thousandth a step never leaves its code.
    """
    place = torch.arange(count, dtype=torch.int32, device=device) * 40_503 + step.int() * 25_717
    return (place & 0xFFFF).float() / 0x10000
