"""Pictures of stored states: one fixed camera for all tasks, no shadows or reflections (about 20 ms a frame).

The camera is a free one rather than MetaWorld's `corner2` (which is upside down): nearer, and from the robot's right
hand side, so that the object fills the picture and the arm, which comes in from the left, seldom hides it. Goal markers
stay visible, as MetaWorld draws them, in every quality alike.
"""

import numpy as np
from jaxtyping import UInt8

from rfm.ingest.metaworld.engine import Env, make_env, mujoco, place
from rfm.ingest.metaworld.simulate import Episode

SIZE = 224
"""Height and width of a frame in pixels."""
_LOOK_AT = (0.0, 0.74, 0.12)
_DISTANCE, _AZIMUTH, _ELEVATION = 0.88, 158.0, -40.0


def render(episode: Episode) -> UInt8[np.ndarray, "t h w 3"]:
    """RGB frames of an episode's shown states."""
    env = make_env(episode.task, episode.seed)  # body and goal positions live in the model, drawn from the seed
    renderer, frames = _renderer(env), []
    for qpos, mocap_pos in zip(episode.qpos, episode.mocap_pos, strict=True):
        place(env, qpos, mocap_pos)
        frames.append(_draw(renderer, env))
    return np.stack(frames)


_open: "dict[Env, mujoco.Renderer]" = {}


def _renderer(env: Env) -> "mujoco.Renderer":
    """The renderer of an environment's model, which takes 0.3 s to make; the last one is kept open."""
    if env not in _open:
        while _open:  # closed before, not after, the next one opens: that would break its OpenGL context
            _open.popitem()[1].close()
        env.model.vis.global_.offwidth = env.model.vis.global_.offheight = SIZE  # the default buffer takes 0.6 s
        _open[env] = mujoco.Renderer(env.model, SIZE, SIZE)
    return _open[env]


def _draw(renderer: "mujoco.Renderer", env: Env) -> UInt8[np.ndarray, "h w 3"]:
    renderer.update_scene(env.data, camera=_camera())
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
    return np.array(renderer.render(), np.uint8)


def _camera() -> "mujoco.MjvCamera":
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.lookat[:] = _LOOK_AT
    camera.distance, camera.azimuth, camera.elevation = _DISTANCE, _AZIMUTH, _ELEVATION
    return camera
