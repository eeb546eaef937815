"""Muon: momentum whose matrix is made orthogonal before it is taken as a step.

In: float32 matrices. torch's own Muon orthogonalises one matrix at a time and always in bfloat16, which a CPU without
instructions for it multiplies twelve times slower than float32: a step of `tiny` then takes half a second instead of
a tenth. Here matrices of one shape are orthogonalised together, on a CPU in float32, on a GPU in bfloat16.

Source: https://kellerjordan.github.io/posts/muon (quintic Newton-Schulz iteration, Nesterov momentum), with steps
scaled to the size of AdamW's, 0.2 sqrt(max(rows, columns)) (arXiv:2502.16982).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float

COEFFICIENTS = (3.4445, -4.775, 2.0315)
ITERATIONS = 5
_LEAST_NORM = 1e-7

Matrices = Float[torch.Tensor, "count rows columns"]


class Muon(torch.optim.Optimizer):
    """Steps matrices along their orthogonalised momentum, with decoupled weight decay."""

    def __init__(
        self, params: Iterable[torch.Tensor], *, lr: float, weight_decay: float = 0.1, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        wrong = [tuple(p.shape) for group in self.param_groups for p in group["params"] if p.ndim != 2]
        if wrong:
            raise ValueError(f"`params` must be matrices, but one is {wrong[0]}")

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step; a closure is not supported."""
        for group in self.param_groups:
            stacks: dict[torch.Size, list[torch.Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    stacks.setdefault(parameter.shape, []).append(parameter)
            for alike in stacks.values():
                self._step(alike, group)

    def _step(self, alike: list[torch.Tensor], group: dict[str, Any]) -> None:
        """Step the matrices of one shape."""
        momentum, lr = group["momentum"], group["lr"]
        buffers = [self._buffer(parameter) for parameter in alike]
        gradients = [parameter.grad for parameter in alike if parameter.grad is not None]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        updates = orthogonalised(torch.stack(torch._foreach_lerp(gradients, buffers, momentum)))
        torch._foreach_mul_(alike, 1 - lr * group["weight_decay"])
        scale = 0.2 * max(alike[0].shape) ** 0.5
        torch._foreach_add_(alike, list(updates.to(alike[0].dtype)), alpha=-lr * scale)

    def _buffer(self, parameter: torch.Tensor) -> torch.Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: torch.Tensor = state["momentum_buffer"]
        return buffer


def orthogonalised(matrices: Matrices) -> Matrices:
    """Return about U V^T of each matrix U S V^T; singular values end near 1 and not at it, which is enough for Muon."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_LEAST_NORM)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT
