"""Which optimizer a run has; Muon for hidden matrices with AdamW for everything else, as one optimizer.

AdamW on float32 weights is the Trainer's own, on bfloat16 weights ours, which keeps masters (`adamw`).

A model trained from random weights learns to look at the video only once its attention has found the few visual tokens
that matter; on the demo's task Muon gets there in a third of AdamW's steps (benchmarks/RESULTS.md). Fine-tuning a
released checkpoint needs none of this: the default stays AdamW.

Muon itself is in `rfm.training.optimizers.muon`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import torch

from rfm.training.optimizers.adamw import MasterAdamW, can_fuse
from rfm.training.optimizers.muon import Muon
from rfm.training.options import TrainOptions

logger = logging.getLogger(__name__)

_NOT_HIDDEN = ("embed", "lm_head")


def optimizer_arguments(options: TrainOptions, model: Any) -> dict[str, Any]:
    """Return the arguments that give the stock Trainer the optimizer of a run; none where it has it itself."""
    betas = options.adam_beta1, options.adam_beta2
    if options.optim == "muon":
        muon = muon_with_adamw(
            model,
            learning_rate=options.learning_rate,
            muon_learning_rate=options.muon_learning_rate,
            betas=betas,
            weight_decay=options.weight_decay,
        )
        return {"optimizers": (muon, None)}
    dtypes = {parameter.dtype for parameter in model.parameters() if parameter.requires_grad}
    if options.optim == "adamw" and torch.bfloat16 not in dtypes:
        return {}
    eight_bit = options.optim == "adamw_8bit"
    if torch.bfloat16 in dtypes:
        logger.info("bfloat16 weights have float32 masters, %d bytes a trained weight in all", 8 if eight_bit else 14)
    return {
        "optimizer_cls_and_kwargs": (
            MasterAdamW,
            {"lr": options.learning_rate, "betas": betas, "eight_bit": eight_bit, "fused": can_fuse()},
        )
    }


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
    """Return the optimizer for a model that trains in full."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    hidden = set(_hidden_matrices(trained))
    rest = [parameter for name, parameter in trained.items() if name not in hidden]
    matrices = [trained[name] for name in trained if name in hidden]
    muon = Muon(matrices, lr=muon_learning_rate, weight_decay=weight_decay)
    adamw = torch.optim.AdamW(
        [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        betas=betas,
    )
    return MuonWithAdamW(muon, adamw)


def is_hidden(name: str, parameter: torch.Tensor) -> bool:
    """Tell whether a parameter is one that Muon steps."""
    return parameter.ndim == 2 and not any(part in name for part in _NOT_HIDDEN)


def _hidden_matrices(trained: dict[str, torch.Tensor]) -> Iterator[str]:
    for name, parameter in trained.items():
        if is_hidden(name, parameter):
            yield name
