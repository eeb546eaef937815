"""The one place that imports Gymnasium (extra `rl`)."""

from rfm.errors import MissingExtraError

try:
    import gymnasium
    from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
    from gymnasium.vector.utils import iterate
except ImportError as error:
    raise MissingExtraError(f"the reward wrappers need `gymnasium` ({error}): run pip install 'rfm-vqa[rl]'") from error

__all__ = ["AutoresetMode", "VectorEnv", "VectorWrapper", "gymnasium", "iterate"]
