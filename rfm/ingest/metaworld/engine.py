"""The one module that imports MuJoCo and MetaWorld (extra `sim`); everything else reaches them through it.

Observations are fully observable (goal included: some scripted experts read it). Every reset starts from its own seed
alone: object and goal positions come from the environment's generator, never from numpy's global one, and a used
environment reset from a seed is bit for bit a fresh one (tested), so each process builds each only once (0.15 s).
"""

import ctypes.util
import os
import warnings
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float

from rfm.errors import MissingExtraError
from rfm.ingest.metaworld.task import Task
from rfm.ingest.metaworld.tasks import TASKS

_WAY_OUT = "run `pip install 'rfm-vqa[sim]'` and, on Debian or Ubuntu, `apt-get install libosmesa6`"

# MuJoCo picks its OpenGL backend once, at import; software rendering needs no display and draws alike everywhere.
os.environ.setdefault("MUJOCO_GL", "osmesa")
if os.environ["MUJOCO_GL"] == "osmesa" and ctypes.util.find_library("OSMesa") is None:
    raise MissingExtraError(f"simulated videos need the OSMesa library, which is not installed: {_WAY_OUT}")
try:
    import mujoco
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS
    from metaworld.policies import ENV_POLICY_MAP
except ImportError as error:
    raise MissingExtraError(f"simulated videos need `metaworld` and `mujoco` ({error}): {_WAY_OUT}") from error

Env = Any
"""A MetaWorld environment; the library is untyped."""
Expert = Any
"""A scripted MetaWorld policy with `get_action(observation) -> action`."""

SETTLING_STEPS = 40
"""Simulator steps between the reset and the first frame."""

__all__ = [
    "SETTLING_STEPS",
    "Env",
    "Expert",
    "begin",
    "build",
    "expert_action",
    "goal_of",
    "make_env",
    "make_expert",
    "mujoco",
    "object_of",
    "place",
    "success_of",
    "versions",
]


def versions() -> dict[str, str]:
    """Versions of the libraries that the frames depend on."""
    return {name: version(name) for name in ("metaworld", "mujoco")}


def make_env(task: Task, seed: int) -> Env:
    """The task's environment, reset from `seed` (0 <= seed < 2**32) and at rest; the one before it is gone."""
    env = _built(task.env_name)
    begin(env, seed)
    return env


def begin(env: Env, seed: int) -> None:
    """Start an episode: a reset from `seed` (0 <= seed < 2**32), and rest."""
    env.seed(seed)
    env.reset()
    for _ in range(SETTLING_STEPS):  # reset drops doors and handles off their rest, where they swing back untouched
        env.step(np.array([0.0, 0.0, 0.0, -1.0], np.float32))


@cache
def _built(env_name: str) -> Env:
    return build(env_name)


def build(env_name: str) -> Env:
    """An environment of one's own, not begun."""
    env = ALL_V3_ENVIRONMENTS[env_name]()
    env._partially_observable = False
    env.__dict__.pop("sawyer_observation_space", None)  # cached for partial observability by the constructor
    env._set_task_called = True
    env._freeze_rand_vec = False
    env.seeded_rand_vec = True
    return env


def make_expert(name: str) -> Expert:
    """The scripted expert of the task `name`."""
    return ENV_POLICY_MAP[TASKS[name].env_name]()


def expert_action(expert: Expert, observation: Float[np.ndarray, "39"]) -> Float[np.ndarray, "4"]:
    """The expert's action, clipped to [-1, 1] as the environment would."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Constant")  # "may be too high": it is, and is clipped here
        action: Float[np.ndarray, "4"] = np.clip(expert.get_action(observation), -1.0, 1.0).astype(np.float64)
    return action


def object_of(task: Task, env: Env) -> Float[np.ndarray, "3"]:
    """What the task measures, now: a position in metres, or (-angle, 0, 0) in radians for a joint."""
    if task.joint is not None:
        return np.array([-env.data.joint(task.joint).qpos.item(), 0.0, 0.0])
    if task.measured == "hand":
        return np.array(env.tcp_center, np.float64)
    position: Float[np.ndarray, "3"] = np.array(env._get_pos_objects()[:3], np.float64) + np.array(task.offset)
    return position


def goal_of(task: Task, env: Env) -> Float[np.ndarray, "3"]:
    """Where `object_of` should be; constant during an episode."""
    if task.joint is not None:
        return np.array([task.goal_angle, 0.0, 0.0])
    return np.array(env._target_pos, np.float64)


def place(env: Env, qpos: Float[np.ndarray, "q"], mocap_pos: Float[np.ndarray, "3"]) -> None:
    """Put a freshly reset environment (of the same seed) into a stored state, velocities zero."""
    env.data.qpos[:] = qpos
    env.data.qvel[:] = 0.0
    env.data.mocap_pos[0] = mocap_pos
    mujoco.mj_forward(env.model, env.data)
    for name, position in env._target_site_config:  # mj_forward puts goal markers back to the model's defaults
        env.data.site(name).xpos = position[:3]


def success_of(env: Env) -> bool:
    """MetaWorld's own verdict on the present state, as `step` would report it."""
    _, info = env.evaluate_state(env._get_obs(), np.zeros(4, np.float32))
    return bool(info["success"])
