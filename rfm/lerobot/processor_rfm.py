"""LeRobot's batches, brought to what the model is asked: frames as bytes, channels last, and an instruction each.

In: `observation[image_key]`, (b, 3, h, w) or (b, t, 3, h, w), the frames of each clip so far in their order: floats
from 0 to 1, as LeRobot's datasets give them, or bytes. Floats that were bytes become the same bytes again, so that a
reward is the number that `RewardModel.progress` gives for the recording. Frames that LeRobot repeated in front of an
episode's first (`<image_key>_is_pad`) are not shown. Out: `observation.rfm.frames` and `observation.rfm.is_pad`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, UInt8

from rfm.errors import ConfigError, DataError
from rfm.lerobot.configuration_rfm import RfmConfig
from rfm.lerobot.library import (
    POLICY_POSTPROCESSOR_DEFAULT_NAME,
    POLICY_PREPROCESSOR_DEFAULT_NAME,
    AddBatchDimensionProcessorStep,
    PolicyProcessorPipeline,
    ProcessorStep,
    ProcessorStepRegistry,
    policy_action_to_transition,
    transition_to_policy_action,
)

FRAMES, PADDED, TASKS = "observation.rfm.frames", "observation.rfm.is_pad", "task"


@dataclass
@ProcessorStepRegistry.register(name="rfm_clips")
class RfmClipsProcessorStep(ProcessorStep):  # type: ignore[misc]  # LeRobot's classes have no types
    """The step that reads a batch's clips and instructions; see `RfmConfig`."""

    image_key: str | None = None
    default_task: str | None = None

    def __call__(self, transition: dict[Any, Any]) -> dict[Any, Any]:
        """Return the transition with the clips beside its observations."""
        observation = transition.get("observation") or {}
        told = transition.get("complementary_data") or {}
        key = _camera(observation, self.image_key)
        frames = _clips(observation[key], f"`{key}`")
        pads = _pads(told.get(f"{key}_is_pad"), frames, key)
        tasks = _tasks(told.get(TASKS), self.default_task, len(frames))
        return transition | {
            "observation": observation | {FRAMES: frames, PADDED: pads},
            "complementary_data": told | {TASKS: tasks},
        }

    def get_config(self) -> dict[str, Any]:
        """Return what makes the step anew."""
        return {"image_key": self.image_key, "default_task": self.default_task}

    def transform_features(self, features: Any) -> Any:
        """Return the features, which stay as they are."""
        return features


def make_rfm_pre_post_processors(config: RfmConfig, dataset_stats: Any = None) -> tuple[Any, Any]:
    """Return the pipelines before `compute_reward` and behind it; rewards pass the latter as they are.

    `dataset_stats` is part of LeRobot's interface: the model normalises pictures by itself.
    """
    del dataset_stats
    steps = [AddBatchDimensionProcessorStep(), RfmClipsProcessorStep(config.image_key, config.default_task)]
    before = PolicyProcessorPipeline(steps=steps, name=POLICY_PREPROCESSOR_DEFAULT_NAME)
    behind = PolicyProcessorPipeline(
        steps=[],
        name=POLICY_POSTPROCESSOR_DEFAULT_NAME,
        to_transition=policy_action_to_transition,
        to_output=transition_to_policy_action,
    )
    return before, behind


def _camera(observation: dict[str, Any], key: str | None) -> str:
    pictures = [name for name in observation if _is_picture(name)]
    if key is None and len(pictures) == 1:
        return pictures[0]
    if key is None or key not in observation:
        there = ", ".join(pictures) or "no pictures"
        raise ConfigError(f"`image_key` must name the observation to show, but is {key!r}; the batch has {there}")
    return key


def _is_picture(name: str) -> bool:
    """Whether LeRobot calls a camera's picture so."""
    return (name == "observation.image" or name.startswith("observation.images.")) and not name.endswith("_is_pad")


def _clips(given: Any, name: str) -> UInt8[torch.Tensor, "b t h w 3"]:
    tensor = torch.as_tensor(given).detach().cpu()
    if tensor.ndim == 4:
        tensor = tensor[:, None]
    if tensor.ndim != 5 or tensor.shape[2] not in (1, 3) or not tensor.numel():
        raise DataError(
            f"{name} must have shape (b, 3, h, w) or (b, t, 3, h, w), channels before height and width, but has "
            f"{tuple(torch.as_tensor(given).shape)}"
        )
    return _bytes(tensor, name).movedim(2, 4).expand(-1, -1, -1, -1, 3)


def _bytes(tensor: torch.Tensor, name: str) -> UInt8[torch.Tensor, "b t c h w"]:
    if tensor.dtype == torch.uint8:
        return tensor
    low, high = tensor.min().item(), tensor.max().item()
    if not tensor.is_floating_point() or not (low >= 0 and high <= 1):  # so that NaN is refused too
        raise DataError(
            f"{name} must be uint8, or floats from 0 to 1 as LeRobot's datasets give them, but is {tensor.dtype} from "
            f"{low:.5g} to {high:.5g}; leave out normalisation before it"
        )
    return (tensor.float() * 255).round().to(torch.uint8)


def _pads(given: Any, frames: UInt8[torch.Tensor, "b t h w 3"], key: str) -> Bool[torch.Tensor, "b t"]:
    if given is None:
        return torch.zeros(frames.shape[:2], dtype=torch.bool)
    pads = torch.as_tensor(given).detach().cpu().bool()
    if pads.shape != frames.shape[:2]:
        raise DataError(
            f"`{key}_is_pad` must have shape {tuple(frames.shape[:2])}, as the frames have, but has {tuple(pads.shape)}"
        )
    if pads.all(dim=1).any():
        raise DataError(f"`{key}_is_pad` must leave a frame of each clip, but leaves none of one")
    return pads


def _tasks(given: Any, default: str | None, count: int) -> list[str]:
    """Return an instruction a clip."""
    found = default if given is None else given
    if found is None:
        raise ConfigError("`task` must be in the batch, but is not; give it, or `default_task`")
    tasks = [found] * count if isinstance(found, str) else list(found)
    if len(tasks) != count:
        raise DataError(f"`task` must hold an instruction a clip, {count}, but holds {len(tasks)}")
    return tasks
