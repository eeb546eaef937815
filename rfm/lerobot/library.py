"""The one place that imports LeRobot (extra `lerobot`)."""

from rfm.errors import MissingExtraError

try:
    from lerobot.configs.rewards import RewardModelConfig
    from lerobot.processor import (
        AddBatchDimensionProcessorStep,
        PolicyProcessorPipeline,
        ProcessorStep,
        ProcessorStepRegistry,
        policy_action_to_transition,
        transition_to_policy_action,
    )
    from lerobot.rewards.pretrained import PreTrainedRewardModel
    from lerobot.utils.constants import POLICY_POSTPROCESSOR_DEFAULT_NAME, POLICY_PREPROCESSOR_DEFAULT_NAME
except ImportError as error:
    raise MissingExtraError(
        f"`rfm.lerobot` needs LeRobot of release 0.6 or later, for Python 3.12 or later ({error}): "
        "run pip install 'rfm-vqa[lerobot]'"
    ) from error

__all__ = [
    "POLICY_POSTPROCESSOR_DEFAULT_NAME",
    "POLICY_PREPROCESSOR_DEFAULT_NAME",
    "AddBatchDimensionProcessorStep",
    "PolicyProcessorPipeline",
    "PreTrainedRewardModel",
    "ProcessorStep",
    "ProcessorStepRegistry",
    "RewardModelConfig",
    "policy_action_to_transition",
    "transition_to_policy_action",
]
