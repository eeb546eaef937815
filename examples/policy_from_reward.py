"""`python -m examples.policy_from_reward`: can a policy learn from what the reward model sees, and does it cheat?

One MetaWorld task, learned by the model's progress alone, and beside it by the simulator's own dense reward, by its
sparse success, and by nothing. Needs `pip install -e '.[examples]'`. Writes docs/results/policies/rewards.json, a
chart, and docs/policies.md. A second call goes on after a stop; with another model it trains the policies anew that the
model pays, and asks it about the others.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from examples.agent import REWARDS, SETTINGS, Plan, learned, watched
from examples.arm import HORIZON, REPEAT, Arm
from examples.kept import Numbers, digest_of_weights, kept, write
from examples.page import FOLDER, REWARDS_FILE, write_page
from rfm.cli import run_module
from rfm.errors import ConfigError
from rfm.scoring.reward_model import DEFAULT_MODEL, RewardModel


@dataclass(frozen=True)
class Options:
    """Train policies by the reward model and by rewards beside it, and write docs/policies.md."""

    output_dir: str = field(default="outputs/policies", metadata={"help": "Folder of the runs, a JSON each"})
    docs: str = field(default="docs", metadata={"help": "Folder of policies.md"})
    model: str = field(default=DEFAULT_MODEL, metadata={"help": "Checkpoint that pays, or metaworld-small"})
    task: str = field(default="door-close", metadata={"help": "MetaWorld task"})
    rewards: tuple[str, ...] = field(default=REWARDS, metadata={"help": "What policies are paid", "choices": REWARDS})
    seeds: int = field(default=3, metadata={"help": "Policies for each reward"})
    steps: int = field(default=4000, metadata={"help": f"Decisions of training, of {REPEAT} simulator steps each"})
    every: int = field(default=5, metadata={"help": "Decisions between two scorings of the reward model"})
    judged: int = field(default=8, metadata={"help": "How often success is measured while a policy learns"})
    episodes: int = field(default=8, metadata={"help": "Episodes that it is measured on then"})
    last_episodes: int = field(default=20, metadata={"help": "Episodes that it is measured on at the end"})

    def __post_init__(self) -> None:
        for name in ("seeds", "steps", "every", "judged", "episodes", "last_episodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must be at least 1, but is {getattr(self, name)}")
        if self.steps < self.judged:
            raise ConfigError(f"`steps` must be at least `judged`, {self.judged}, but is {self.steps}")
        if not self.rewards:
            raise ConfigError(f"`rewards` must name some of {', '.join(REWARDS)}, but names none")

    def plan(self, reward: str, seed: int) -> Plan:
        """Return what one policy learns by."""
        return Plan(self.task, reward, seed, self.steps, self.every, self.judged, self.episodes)


def run(options: Options) -> None:
    """Train what is not trained yet, and write JSON, chart and page."""
    torch.set_num_threads(1)  # on matrices this small two wait for each other
    weights, docs = digest_of_weights(options.model), Path(options.docs)
    model = RewardModel.from_pretrained(options.model, device="cpu")
    plans = [options.plan(reward, seed) for seed in range(options.seeds) for reward in options.rewards]
    runs = [_run(options, plan, model, weights) for plan in plans]
    told = {"model": Path(options.model).name, "weights": weights, "steps": options.steps, "every": options.every}
    arm = {"task": options.task, "words": Arm(options.task).words, "horizon": HORIZON, "repeat": REPEAT}
    write(docs / FOLDER / REWARDS_FILE, {**told, **arm, "runs": runs})
    write_page(docs)


def _run(options: Options, plan: Plan, model: RewardModel, weights: str) -> Numbers:
    """Return how a policy learned, and how its episodes end; only who is paid by a model learns anew with another."""
    place = Path(options.output_dir) / plan.task
    paid_by = {"weights": weights if plan.reward == "model" else None}
    name, policy = f"{plan.reward}_{plan.seed}", place / f"{plan.reward}_{plan.seed}.zip"
    training = {**asdict(plan), **SETTINGS, **paid_by}
    made = kept(place / f"{name}.json", training, lambda: learned(plan, model, policy))
    watching = {**training, "weights": weights, "episodes": options.last_episodes}
    ends = kept(place / f"{name}_ends.json", watching, lambda: watched(plan, model, policy, options.last_episodes))
    seconds = made["cpu_seconds"] + ends["cpu_seconds"]
    return {"reward": plan.reward, "seed": plan.seed, "curve": made["curve"], "ends": ends["ends"], "seconds": seconds}


if __name__ == "__main__":
    sys.exit(run_module(Options, run, "python -m examples.policy_from_reward"))
