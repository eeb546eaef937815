"""The reward model in reinforcement learning: wrappers that pay an environment's steps by what a camera sees.

`RewardWrapper` wraps an environment, `VectorRewardWrapper` several at once, scored in batches; `relabel` pays the steps
of a replay buffer (extra `rl`).
"""

from rfm.rl.buffers import relabel
from rfm.rl.vector import VectorRewardWrapper
from rfm.rl.wrapper import RewardWrapper

__all__ = ["RewardWrapper", "VectorRewardWrapper", "relabel"]
