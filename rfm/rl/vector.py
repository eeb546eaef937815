"""`VectorRewardWrapper`: several environments at once, scored in batches, in each way of starting episodes anew.

NEXT_STEP  the step after an end only resets: it is paid 0, and its observation is the new episode's first state
SAME_STEP  the step that ends an episode returns the next one's first observation; the last state is that of
           `final_obs`, so that frames must come from observations: a renderer shows the new episode already
DISABLED   `reset(options={"reset_mask": …})` begins the episodes that it names
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from rfm.errors import ConfigError
from rfm.rl.cameras import Camera, as_picture, checked_renderer, observed
from rfm.rl.gym import AutoresetMode, VectorWrapper, iterate
from rfm.rl.payment import Mode, OnError, Rules
from rfm.rl.referee import Judge, Paid, Referee
from rfm.rl.wrapper import told_of, warn_of_shaping_alone
from rfm.scoring.instructions import instructions

Pictures = dict[int, UInt8[np.ndarray, "h w 3"]]
Mask = Bool[np.ndarray, " n"]


class VectorRewardWrapper(VectorWrapper):
    """Vector environments whose steps are paid as `RewardWrapper` pays: one task for all, or one each.

    `infos` has an array a key, as Gymnasium's own, with its mask under `_key`: false where a step only reset. Under
    SAME_STEP they are about the step that was paid, the last one of its episode.
    """

    def __init__(
        self,
        envs: Any,
        model: Judge,
        task: str | Sequence[str],
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
        super().__init__(envs)
        rules = Rules(
            every, mode, gamma, weight, success_threshold, success_steps, keep_env_reward, on_error, asynchronous
        )
        warn_of_shaping_alone(rules)
        tasks = [task] * envs.num_envs if isinstance(task, str) else instructions(task, "`task`")
        if len(tasks) != envs.num_envs:
            raise ConfigError(f"`task` must be a text, or one for each of {envs.num_envs} environments: {len(tasks)}")
        self._autoreset = _autoreset(envs, camera, rules)
        checked_renderer(envs, camera)
        self._camera, self._referee = camera, Referee(model, tasks, rules)
        self._over: Mask = np.zeros(envs.num_envs, bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all environments, or those of `options["reset_mask"]`, and score their first states."""
        mask = (options or {}).get("reset_mask")  # the environments take it out of the options
        chosen = np.ones(self.num_envs, bool) if mask is None else np.array(mask)
        envs: Any = self.env  # whose type does not know seeds of each
        observations, infos = envs.reset(seed=seed, options=options)
        self._over[chosen] = False
        scores = self._referee.begin(self._pictures(observations, np.flatnonzero(chosen)))
        for name in ("progress", "success_prob"):
            _add(infos, name, {place: getattr(score, name) for place, score in scores.items()}, self.num_envs)
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Float64[np.ndarray, " n"], Mask, Mask, dict[str, Any]]:
        """Step the environments; scores of all that are due are asked for in one batch."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        anew = self._over if self._autoreset is AutoresetMode.NEXT_STEP else np.zeros(self.num_envs, bool)
        live, ended = np.flatnonzero(~anew).tolist(), terminated | truncated
        due = self._referee.due(live, np.flatnonzero(ended & ~anew).tolist())
        frames = self._last_pictures(observations, infos, due, ended)
        over = np.flatnonzero(terminated).tolist(), np.flatnonzero(truncated).tolist()
        begun = np.flatnonzero(ended if self._autoreset is AutoresetMode.SAME_STEP else anew)
        self._over = ended  # before scoring, which may fail: the environments go on as they are
        try:
            paid = self._referee.pay(live, frames, *over)
        finally:
            self._referee.forget(begun)
        terminated = terminated | [place in paid and paid[place].success for place in range(self.num_envs)]
        total = np.array([paid[place].reward if place in paid else 0.0 for place in range(self.num_envs)])
        if self._referee.rules.keep_env_reward:
            total = total + np.where(anew, 0.0, rewards)
        self._tell(infos, paid, np.asarray(rewards, np.float64), total)
        self._over = terminated | truncated
        self._referee.begin(self._pictures(observations, begun))
        return observations, total, terminated, truncated, infos

    def close(self, **kwargs: Any) -> None:
        """Close the environments."""
        self._referee.close()
        super().close(**kwargs)

    def _pictures(self, observations: Any, places: Iterable[int]) -> Pictures:
        """Return what is seen at these places now."""
        wanted = list(places)
        if not wanted:
            return {}
        if self._camera is None:
            drawn = self.env.render() or ()
            return {place: as_picture(drawn[place], "what `render()` returns") for place in wanted}
        each = list(iterate(self.env.observation_space, observations))
        return {place: observed(self._camera, each[place]) for place in wanted}

    def _last_pictures(self, observations: Any, infos: dict[str, Any], due: Sequence[int], ended: Mask) -> Pictures:
        """Return what is seen at the places that are due, of the episodes that the step was of."""
        if self._autoreset is not AutoresetMode.SAME_STEP:
            return self._pictures(observations, due)
        seen = self._pictures(observations, [place for place in due if not ended[place]])
        last = {place: observed(self._camera, infos["final_obs"][place]) for place in due if ended[place]}
        return seen | last

    def _tell(
        self, infos: dict[str, Any], paid: dict[int, Paid], rewards: Float64[np.ndarray, " n"], total: np.ndarray
    ) -> None:
        told = {place: told_of(one) for place, one in paid.items()}
        for place, of in told.items():
            of |= {"env_reward": rewards[place], "total_reward": total[place]}
        for name in dict.fromkeys(name for of in told.values() for name in of):
            _add(infos, name, {place: of[name] for place, of in told.items() if name in of}, self.num_envs)


def _autoreset(envs: Any, camera: Camera, rules: Rules) -> AutoresetMode:
    """Return how the environments start episodes anew, once it is known that they can be paid so."""
    found = envs.metadata.get("autoreset_mode")
    if not isinstance(found, AutoresetMode):
        raise ConfigError(
            f"`metadata` of the environments must say their autoreset_mode, but says {found!r}; "
            "https://farama.org/Vector-Autoreset-Mode has what it means"
        )
    if found is AutoresetMode.SAME_STEP and camera is None:
        raise ConfigError(
            "`camera` must name a picture in the observation where episodes start anew in the same step: a renderer "
            "shows the new one already; or make the environments with autoreset_mode=AutoresetMode.NEXT_STEP"
        )
    if rules.success_threshold is not None and found is not AutoresetMode.DISABLED:
        raise ConfigError(
            "`success_threshold` must be None where environments start episodes anew by themselves, as they do not "
            "know that the model ended one; wrap each by RewardWrapper, or take autoreset_mode=AutoresetMode.DISABLED"
        )
    return found


def _add(infos: dict[str, Any], name: str, values: dict[int, Any], count: int) -> None:
    """Add values of some places as Gymnasium does: an array, and a mask."""
    kind = type(next(iter(values.values()), 0.0))
    array = np.zeros(count, kind if kind in (int, float, bool, np.float64) else object)
    mask = np.zeros(count, bool)
    for place, value in values.items():
        array[place], mask[place] = value, True
    infos[name], infos[f"_{name}"] = array, mask
