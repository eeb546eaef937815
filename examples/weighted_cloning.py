"""`python -m examples.weighted_cloning`: does imitation get better when the reward model says which attempts were good?

Policies imitate attempts of mixed quality (a third successes, a third half done, a third failures): all alike, weighted
by what the reward model says of their videos, and weighted by the simulator's own labels. Needs
`pip install -e '.[examples]'`. Writes docs/results/policies/cloning.json and docs/policies.md. A second
call goes on after a stop, and repeats only what another model changes.

The attempts are those of the bundled videos (`bundled`), and ones simulated anew (`fresh`): metaworld-small learned
from the same simulations as the former, filmed otherwise, and only from others than the latter.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from examples.attempts import GROUNDS, Attempt, attempts_of
from examples.cloning import STEPS, TEMPERATURE, cloned, successes, weights_of
from examples.kept import Numbers, digest_of_weights, kept, write
from examples.page import CLONING_FILE, FOLDER, write_page
from rfm.cli import run_module
from rfm.errors import ConfigError
from rfm.ingest.metaworld.simulate import MAX_STEPS, Steps, demonstrated
from rfm.ingest.metaworld.tasks import TASKS, select_tasks
from rfm.scoring.reward_model import DEFAULT_MODEL, RewardModel

WEIGHTINGS: Mapping[str, Callable[[Attempt], float]] = {
    "model": lambda attempt: attempt.said,
    "labels": lambda attempt: attempt.true,
    "none": lambda attempt: 0.0,
}
"""The value by which an attempt is weighed."""
_FIRST_JUDGED = 3_000_000
"""Seed of the first episode that policies are judged by; alike for all."""


@dataclass(frozen=True)
class Options:
    """Clone attempts by three weightings, judge the policies in the simulator, and write docs/policies.md."""

    output_dir: str = field(default="outputs/cloning", metadata={"help": "Folder of the runs, a JSON each"})
    docs: str = field(default="docs", metadata={"help": "Folder of policies.md"})
    model: str = field(default=DEFAULT_MODEL, metadata={"help": "Checkpoint that weighs, or metaworld-small"})
    tasks: tuple[str, ...] = field(
        default=("door-close", "drawer-open", "button-press"), metadata={"help": "MetaWorld tasks, a policy each"}
    )
    grounds: tuple[str, ...] = field(default=GROUNDS, metadata={"help": "Whose attempts", "choices": GROUNDS})
    attempts: int = field(default=30, metadata={"help": "Attempts of a task, at most 30"})
    seeds: int = field(default=3, metadata={"help": "Trainings of each policy"})
    steps: int = field(default=STEPS, metadata={"help": "Optimizer steps of a training"})
    episodes: int = field(default=20, metadata={"help": "Fresh episodes that a policy is judged on"})
    horizon: int = field(default=MAX_STEPS, metadata={"help": "Simulator steps of these"})

    def __post_init__(self) -> None:
        for name in ("seeds", "steps", "episodes", "horizon"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must be at least 1, but is {getattr(self, name)}")
        if not 3 <= self.attempts <= 30:
            raise ConfigError(f"`attempts` must lie between 3 and 30, but is {self.attempts}")
        if not self.grounds:
            raise ConfigError(f"`grounds` must name some of {', '.join(GROUNDS)}, but names none")
        select_tasks(self.tasks)


def run(options: Options) -> None:
    """Clone what is not cloned yet, and write JSON, chart and page."""
    torch.set_num_threads(1)  # on matrices this small two wait for each other
    weights, docs = digest_of_weights(options.model), Path(options.docs)
    model = RewardModel.from_pretrained(options.model, device="cpu")
    tried = {
        (ground, task): _attempts(options, ground, task, model, weights)
        for ground in options.grounds
        for task in options.tasks
    }
    runs = [one for (ground, task), found in tried.items() for one in _policies(options, ground, task, found)]
    attempts = [{"ground": ground, **asdict(one)} for (ground, _), found in tried.items() for one in found]
    told = {"model": Path(options.model).name, "weights": weights, "temperature": TEMPERATURE, "steps": options.steps}
    write(docs / FOLDER / CLONING_FILE, {**told, "horizon": options.horizon, "attempts": attempts, "runs": runs})
    write_page(docs)


def _attempts(options: Options, ground: str, task: str, model: RewardModel, weights: str) -> list[Attempt]:
    """Return the attempts of a task, with what the model says of each."""
    path = Path(options.output_dir) / ground / task / "attempts.json"
    settings = {"ground": ground, "task": task, "count": options.attempts, "weights": weights}

    def make() -> Numbers:
        return {"made": [asdict(one) for one in attempts_of(ground, task, options.attempts, model)]}

    return [Attempt(**one) for one in kept(path, settings, make)["made"]]


def _policies(options: Options, ground: str, task: str, attempts: Sequence[Attempt]) -> Iterator[Numbers]:
    """Yield how often policies of a task succeed, a training each."""

    @cache
    def demonstrations() -> list[Steps]:
        return [demonstrated(TASKS[one.task], one.quality, one.policy, one.seed) for one in attempts]

    for weighting, value in WEIGHTINGS.items():
        weights = weights_of([value(one) for one in attempts])
        for seed in range(options.seeds):
            settings = {
                "attempts": [(one.policy, one.seed) for one in attempts],
                "weights": weights.round(6).tolist(),
                "seed": seed,
                **{name: getattr(options, name) for name in ("steps", "episodes", "horizon")},
            }
            path = Path(options.output_dir) / ground / task / f"{weighting}_{seed}.json"
            made = kept(path, settings, partial(_policy, options, task, demonstrations, weights, seed))
            told = {"successes": made["successes"], "seconds": made["cpu_seconds"]}
            yield {"ground": ground, "task": task, "weighting": weighting, "seed": seed, **told}


def _policy(
    options: Options,
    task: str,
    demonstrations: Callable[[], Sequence[Steps]],
    weights: Float64[np.ndarray, " n"],
    seed: int,
) -> Numbers:
    """Return on which episodes a policy succeeds, trained with these weights."""
    clone = cloned(demonstrations(), weights, seed, options.steps)
    judged = range(_FIRST_JUDGED, _FIRST_JUDGED + options.episodes)
    return {"successes": successes(clone, TASKS[task], judged, options.horizon)}


if __name__ == "__main__":
    sys.exit(run_module(Options, run, "python -m examples.weighted_cloning"))
