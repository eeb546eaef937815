"""`RfmRewardModel`: LeRobot's interface over `rfm.RewardModel`, with the same numbers.

It judges and is not trained by LeRobot (`rfm train` does that). What it saves is its configuration alone, which names
the checkpoint; the weights stay where they are.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float

from rfm.errors import ConfigError, DataError
from rfm.lerobot.configuration_rfm import RfmConfig
from rfm.lerobot.library import PreTrainedRewardModel, RewardModelConfig
from rfm.lerobot.processor_rfm import FRAMES, PADDED, TASKS
from rfm.scoring.reward_model import RewardModel
from rfm.scoring.success import SuccessRule


class RfmRewardModel(PreTrainedRewardModel):  # type: ignore[misc]  # LeRobot's classes have no types
    """A reward model of type `rfm`; its weights are a submodule, so that `.to(device)` moves them."""

    name: ClassVar[str] = "rfm"
    config_class: ClassVar[type[RfmConfig]] = RfmConfig

    def __init__(self, config: RfmConfig, *, dataset_stats: Any = None, dataset_meta: Any = None) -> None:
        """Load the checkpoint that `config` names; what LeRobot tells of a dataset to train on is not needed."""
        del dataset_stats, dataset_meta
        super().__init__(config)
        rule = SuccessRule(config.success_threshold, release=min(config.success_threshold, SuccessRule.release))
        self.judge = RewardModel.from_pretrained(config.model_path, config.device or "auto", success=rule)
        self.network = self.judge.network

    def compute_reward(self, batch: dict[str, Any]) -> Float[torch.Tensor, " b"]:
        """Return how far each clip of a batch has got at its last frame, or whether it is a success.

        The batch is one that the preprocessor made; ConfigError where it is not.
        """
        if FRAMES not in batch:
            raise ConfigError(
                f"a batch must hold `{FRAMES}`, but does not: send it through the preprocessor of "
                "make_reward_pre_post_processors first"
            )
        clips = [frames[~pads].numpy() for frames, pads in zip(batch[FRAMES].cpu(), batch[PADDED].cpu(), strict=True)]
        said = self.judge.progress(clips, tasks=batch[TASKS])
        paid = [float(one.success) if self.config.reward_output == "success" else one.expected for one in said]
        return torch.tensor(paid, dtype=torch.float32, device=next(self.network.parameters()).device)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_name_or_path: str | Path,
        *,
        config: RfmConfig | None = None,
        dataset_stats: Any = None,
        dataset_meta: Any = None,
        **options: Any,
    ) -> RfmRewardModel:
        """Load what `save_pretrained` wrote, from a folder or the hub; `options` are those of LeRobot's hub class."""
        _check_is_lerobots(Path(pretrained_name_or_path))
        found = config or RewardModelConfig.from_pretrained(pretrained_name_or_path, **options)
        if not isinstance(found, RfmConfig):
            raise ConfigError(f"{pretrained_name_or_path} must be of type rfm, but is of type {found.type}")
        return cls(found, dataset_stats=dataset_stats, dataset_meta=dataset_meta)

    def _save_pretrained(self, save_directory: Path) -> None:
        dataclasses.replace(self.config, model_path=self.config.movable())._save_pretrained(save_directory)


def _check_is_lerobots(folder: Path) -> None:
    """Raise where a checkpoint of ours is taken for a folder of LeRobot's."""
    file = folder / "config.json"
    if not folder.is_dir():
        return
    try:
        held = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise DataError(f"{file} must be JSON, but is not: {error}") from error
    if not isinstance(held, dict) or "type" not in held:
        raise ConfigError(
            f"`pretrained_path` must be a folder that RfmRewardModel.save_pretrained wrote, but {folder} is none; "
            "give a checkpoint as `model_path`"
        )
