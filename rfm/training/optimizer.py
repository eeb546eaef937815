"""Muon for hidden matrices with AdamW for everything else, as one optimizer for the stock Trainer.

A model trained from random weights learns to look at the video only once its attention has found the few visual tokens
that matter; on the demo's task Muon gets there in a third of AdamW's steps (benchmarks/RESULTS.md). Fine-tuning a
released checkpoint needs none of this: the default stays AdamW.

Source: Muon (https://kellerjordan.github.io/posts/muon), torch's own implementation, with its steps scaled to the size
of AdamW's (`match_rms_adamw`, arXiv:2502.16982).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from rfm.errors import MissingExtraError

_NOT_HIDDEN = ("embed", "lm_head")


class MuonWithAdamW(torch.optim.Optimizer):
    """Steps both parts; their groups and states are its own, so that schedulers and checkpoints see one optimizer."""

    def __init__(self, muon: torch.optim.Optimizer, adamw: torch.optim.Optimizer) -> None:
        self._parts = (muon, adamw)
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Make the parts work on this optimizer's groups and state, which loading a checkpoint replaces."""
        start = 0
        for part in self._parts:
            stop = start + len(part.param_groups)
            part.param_groups, part.state = self.param_groups[start:stop], self.state
            start = stop

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step both parts; a closure is not supported."""
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        super().load_state_dict(state_dict)
        self._share()


def muon_with_adamw(
    model: Any,
    *,
    learning_rate: float,
    muon_learning_rate: float,
    betas: tuple[float, float],
    weight_decay: float,
) -> MuonWithAdamW:
    """Return the optimizer for a model that trains in full; raises `MissingExtraError` where torch has no Muon."""
    if not hasattr(torch.optim, "Muon"):
        raise MissingExtraError(f"`optim` muon needs torch 2.9 or later, but this is {torch.__version__}; use adamw")
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    hidden = set(_hidden_matrices(trained))
    rest = [parameter for name, parameter in trained.items() if name not in hidden]
    muon = torch.optim.Muon(
        [trained[name] for name in trained if name in hidden],
        lr=muon_learning_rate,
        weight_decay=weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW(
        [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        betas=betas,
    )
    return MuonWithAdamW(muon, adamw)


def _hidden_matrices(trained: dict[str, torch.Tensor]) -> Iterator[str]:
    for name, parameter in trained.items():
        if parameter.ndim == 2 and not any(part in name for part in _NOT_HIDDEN):
            yield name
