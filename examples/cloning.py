"""Reward-weighted behaviour cloning: a small network that imitates attempts, the better ones more.

An attempt with the value v weighs exp(v / `TEMPERATURE`): reward-weighted regression (Peters and Schaal 2007) with
whole episodes in the place of steps, since approaching an object is no progress yet. All steps of an attempt weigh
alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import nn

from rfm.ingest.metaworld.engine import begin, build, success_of
from rfm.ingest.metaworld.simulate import Steps
from rfm.ingest.metaworld.task import Task

TEMPERATURE = 0.2
STEPS, BATCH, LEARNING_RATE, WIDTH = 1500, 256, 1e-3, 64
"""Of the training, alike for all weightings."""
_LEAST_SPREAD = 1e-3
"""In metres: what moves less than this in all attempts is not blown up."""


def weights_of(values: Sequence[float]) -> Float64[np.ndarray, " n"]:
    """Return the weight of each attempt by its value, 1 on average."""
    weights = np.exp(np.asarray(values, np.float64) / TEMPERATURE)
    return weights / weights.mean()


class Clone(nn.Module):
    """States to actions."""

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self, observations: Float64[np.ndarray, "n 39"]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(observations.mean(0), dtype=torch.float32))
        spread = np.maximum(observations.std(0), _LEAST_SPREAD)
        self.register_buffer("spread", torch.tensor(spread, dtype=torch.float32))
        self.layers = nn.Sequential(
            nn.Linear(39, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 4), nn.Tanh()
        )

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return actions in [-1, 1]."""
        said: torch.Tensor = self.layers((observations - self.mean) / self.spread)
        return said

    @torch.no_grad()
    def act(self, observation: Float64[np.ndarray, "39"]) -> Float32[np.ndarray, "4"]:
        """Return the action in a state."""
        return self(torch.tensor(observation, dtype=torch.float32)).numpy()


def cloned(demonstrations: Sequence[Steps], weights: Float64[np.ndarray, " n"], seed: int, steps: int) -> Clone:
    """Train on the demonstrations, of such weights: steps are drawn by them, and the squared error is the loss."""
    torch.manual_seed(seed)
    observations = np.concatenate([one.observations for one in demonstrations])
    actions = torch.tensor(np.concatenate([one.actions for one in demonstrations]))
    clone = Clone(observations)
    seen = torch.tensor(observations, dtype=torch.float32)
    of_steps = np.repeat(weights, [len(one.actions) for one in demonstrations])
    drawn = np.random.default_rng(seed).choice(len(of_steps), (steps, BATCH), p=of_steps / of_steps.sum())
    optimizer = torch.optim.Adam(clone.parameters(), LEARNING_RATE)
    for batch in drawn:
        loss = nn.functional.mse_loss(clone(seen[batch]), actions[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return clone


def successes(clone: Clone, task: Task, seeds: Sequence[int], most: int) -> list[bool]:
    """Return whether each fresh episode is a success after `most` simulator steps."""
    arm, found = build(task.env_name), []
    for seed in seeds:
        begin(arm, seed)
        for _ in range(most):
            arm.step(clone.act(np.array(arm._get_obs(), np.float64)))
        found.append(success_of(arm))
    return found
