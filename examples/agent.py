"""One policy: Soft Actor-Critic on an `Arm`, paid by one reward, judged by the simulator's success.

A decision costs 2.5 ms of simulation and about 6 ms of learning; a scoring of the reward model about 45 ms, most of
it for the picture, so that a model that is asked every 5th decision about doubles the cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from stable_baselines3 import SAC

from examples.arm import Arm
from examples.kept import Numbers
from rfm.files.staging import staged_file
from rfm.rl import RewardWrapper
from rfm.scoring.reward_model import RewardModel

REWARDS = ("model", "dense", "sparse", "none")
"""What policies are paid: the reward model's progress alone, or what `Arm` pays by itself."""
SETTINGS: dict[str, Any] = {
    "learning_rate": 1e-3,
    "gamma": 0.95,
    "batch_size": 128,
    "train_freq": 2,
    "learning_starts": 400,
    "ent_coef": "auto_0.05",
}
"""Of Soft Actor-Critic, alike for all rewards: they lie in [0, 1] a decision."""
_LAYERS = [64, 64]
_FIRST_JUDGED, _FIRST_LAST = 1_000_000, 2_000_000
"""Seeds of the episodes that policies are judged by while they learn, and at the end; alike for all."""


@dataclass(frozen=True)
class Plan:
    """What a policy learns by."""

    task: str
    reward: str
    seed: int
    steps: int
    """Decisions of training."""
    every: int
    """Decisions between two scorings of the reward model."""
    judged: int
    """How often success is measured while it learns."""
    episodes: int
    """Episodes that it is measured on then."""


def learned(plan: Plan, model: RewardModel, policy: Path) -> Numbers:
    """Train a policy and keep it in a file; returns how often it succeeded along the way."""
    torch.manual_seed(plan.seed)
    env: Any = Arm(plan.task, "none" if plan.reward == "model" else plan.reward)  # type: ignore[arg-type]
    if plan.reward == "model":
        env = RewardWrapper(env, model, env.words, every=plan.every, mode="absolute")
    agent = SAC("MlpPolicy", env, seed=plan.seed, device="cpu", policy_kwargs={"net_arch": _LAYERS}, **SETTINGS)
    judge = Arm(plan.task)
    curve = [{"steps": 0, **_judged(agent, judge, plan.episodes)}]
    for part in range(1, plan.judged + 1):
        agent.learn(plan.steps * part // plan.judged - agent.num_timesteps, reset_num_timesteps=False)
        curve.append({"steps": agent.num_timesteps, **_judged(agent, judge, plan.episodes)})
    policy.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(policy) as staged, staged.open("wb") as file:
        agent.save(file)
    return {"curve": curve}


def watched(plan: Plan, model: RewardModel, policy: Path, episodes: int) -> Numbers:
    """Return how episodes of a trained policy end, and what the model says of each."""
    judge = Arm(plan.task)
    env = RewardWrapper(judge, model, judge.words, every=plan.every)
    return {"ends": list(_episodes(SAC.load(policy, device="cpu"), env, _FIRST_LAST, episodes))}


def _judged(agent: SAC, arm: Arm, count: int) -> Numbers:
    ends = [one["success"] for one in _episodes(agent, arm, _FIRST_JUDGED, count)]
    return {"successes": sum(ends), "episodes": len(ends)}


def _episodes(agent: SAC, env: Any, first: int, count: int) -> Iterator[Numbers]:
    """Yield how episodes of these seeds end, without exploration; with what a wrapped model says of the end."""
    for seed in range(first, first + count):
        observation, info = env.reset(seed=seed)
        over, ever = False, bool(info["success"])
        while not over:
            action, _ = agent.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = env.step(action)
            over, ever = terminated or truncated, ever or info["success"]
        said = {"predicted": round(info["progress"], 4)} if "progress" in info else {}
        yield {"success": info["success"], "ever": ever, "done": info["done"], **said}
