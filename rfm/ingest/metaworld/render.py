"""Pictures of stored states, without shadows or reflections: 10 to 20 ms a frame, mostly the arm's meshes.

Goal markers stay visible, as MetaWorld draws them, in every quality alike.
"""

import numpy as np
from jaxtyping import UInt8

from rfm.ingest.metaworld.cameras import CAMERAS, Camera
from rfm.ingest.metaworld.engine import Env, make_env, mujoco, place
from rfm.ingest.metaworld.simulate import Episode


def render(episode: Episode, camera: str, size: int) -> UInt8[np.ndarray, "t h w 3"]:
    """RGB frames of an episode's shown states, from the camera of `CAMERAS`, `size` pixels high and wide."""
    env = make_env(episode.task, episode.seed)  # body and goal positions live in the model, drawn from the seed
    frames = []
    for qpos, mocap_pos in zip(episode.qpos, episode.mocap_pos, strict=True):
        place(env, qpos, mocap_pos)
        frames.append(draw(env, camera, size))
    return np.stack(frames)


def draw(env: Env, camera: str, size: int) -> UInt8[np.ndarray, "h w 3"]:
    """RGB frame of an environment's present state."""
    renderer = _renderer(env, size)
    renderer.update_scene(env.data, camera=_free_camera(CAMERAS[camera]))
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
    return np.array(renderer.render(), np.uint8)


_open: "dict[tuple[Env, int], mujoco.Renderer]" = {}


def _renderer(env: Env, size: int) -> "mujoco.Renderer":
    """The renderer of an environment's model, which takes 0.3 s to make; the last one is kept open."""
    if (env, size) not in _open:
        while _open:  # closed before, not after, the next one opens: that would break its OpenGL context
            _open.popitem()[1].close()
        env.model.vis.global_.offwidth = env.model.vis.global_.offheight = size  # the default buffer takes 0.6 s
        _open[env, size] = mujoco.Renderer(env.model, size, size)
    return _open[env, size]


def _free_camera(camera: Camera) -> "mujoco.MjvCamera":
    free = mujoco.MjvCamera()
    free.type = mujoco.mjtCamera.mjCAMERA_FREE
    free.lookat[:] = camera.look_at
    free.distance, free.azimuth, free.elevation = camera.distance, camera.azimuth, camera.elevation
    return free
