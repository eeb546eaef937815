"""`RewardWrapper`: a Gymnasium environment whose steps are paid by a reward model."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rfm.rl.cameras import Camera, as_picture, checked_renderer, observed
from rfm.rl.gym import gymnasium
from rfm.rl.payment import Mode, OnError, Rules
from rfm.rl.referee import Judge, Paid, Referee, Shared

logger = logging.getLogger(__name__)


class RewardWrapper(gymnasium.Wrapper[Any, Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """An environment whose steps are paid by how far `model` says that the robot has got on `task`.

    `info` of each step has `relabeled_reward` (the model's part), `env_reward`, `total_reward` (what was returned),
    `progress` and `success_prob` (the last known), `progress_step` (at which step of the episode that was seen),
    `step_in_episode`, `success_from_reward_model`, and `reward_model_error` where a failed scoring was held over.
    See `rfm.rl.payment.Rules` for the other arguments.

    What ends episodes must lie inside: a `TimeLimit` around this wrapper truncates without its knowledge, so that the
    last state is not scored, and `terminal` pays nothing. It is warned of once an episode is left unfinished.
    """

    def __init__(
        self,
        env: Any,
        model: Judge | Shared,
        task: str,
        camera: Camera = None,
        *,
        every: int = 8,
        mode: Mode = "delta",
        gamma: float = 0.99,
        weight: float = 1.0,
        success_threshold: float | None = None,
        success_steps: int = 2,
        keep_env_reward: bool = False,
        on_error: OnError = "raise",
        asynchronous: bool = False,
    ) -> None:
        rules = Rules(
            every, mode, gamma, weight, success_threshold, success_steps, keep_env_reward, on_error, asynchronous
        )
        shared = model if isinstance(model, Shared) else Shared(model)
        gymnasium.utils.RecordConstructorArgs.__init__(
            self, _disable_deepcopy=True, model=shared, task=task, camera=camera, **vars(rules)
        )
        gymnasium.Wrapper.__init__(self, env)
        warn_of_shaping_alone(rules)
        checked_renderer(env, camera)
        self._camera, self._referee = camera, Referee(model, [task], rules)
        self._unfinished, self._warned = 0, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment and score its first state."""
        self._warn_of_an_end_outside()
        observation, info = self.env.reset(seed=seed, options=options)
        score = self._referee.begin({0: self._picture(observation)})[0]
        seen = {"progress": score.progress, "success_prob": score.success_prob, "progress_step": 0}
        return observation, info | seen | {"step_in_episode": 0}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment; `terminated` also where the model sees `success_threshold` reached."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        due = self._referee.due([0], [0] if terminated or truncated else [])
        frames = {0: self._picture(observation)} if due else {}
        paid = self._referee.pay([0], frames, [0] * bool(terminated), [0] * bool(truncated))[0]
        total = paid.reward + (float(reward) if self._referee.rules.keep_env_reward else 0.0)
        told = told_of(paid) | {"env_reward": float(reward), "total_reward": total}
        terminated = bool(terminated) or paid.success
        self._unfinished = 0 if terminated or truncated else paid.step
        return observation, total, terminated, bool(truncated), info | told

    def close(self) -> None:
        """Close the environment."""
        self._referee.close()
        super().close()

    def _warn_of_an_end_outside(self) -> None:
        """Say that an episode is begun whose predecessor has no end, once."""
        if self._unfinished and not self._warned:
            self._warned = True
            logger.warning(
                "an episode is begun anew after %d steps without a termination or truncation that RewardWrapper saw: "
                "its last state was not scored, and mode=terminal paid nothing. Where a TimeLimit ends episodes, put "
                "it inside: RewardWrapper(TimeLimit(env, …), …)", self._unfinished,
            )  # fmt: skip
        self._unfinished = 0

    def _picture(self, observation: Any) -> UInt8[np.ndarray, "h w 3"]:
        if self._camera is None:
            return as_picture(self.env.render(), "what `render()` returns")
        return observed(self._camera, observation)


def told_of(paid: Paid) -> dict[str, Any]:
    """Return what `info` says of a paid step."""
    told: dict[str, Any] = {
        "relabeled_reward": paid.reward,
        "progress": paid.score.progress,
        "progress_step": paid.score.step,
        "success_prob": paid.score.success_prob,
        "success_from_reward_model": paid.success,
        "step_in_episode": paid.step,
    }
    return told if paid.error is None else told | {"reward_model_error": paid.error}


def warn_of_shaping_alone(rules: Rules) -> None:
    """Say that shaping by itself leaves nothing to learn."""
    if rules.mode == "potential" and not rules.keep_env_reward:
        logger.warning(
            "mode=potential changes no optimal policy, so that alone it leaves nothing to learn: give "
            "keep_env_reward=True, or pay by mode=delta, absolute or terminal"
        )
