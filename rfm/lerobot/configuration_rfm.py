"""What LeRobot knows of our model: which checkpoint it is, which camera it sees, and what it pays."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rfm.errors import ConfigError
from rfm.lerobot.library import RewardModelConfig
from rfm.scoring.success import SuccessRule

OUTPUTS = ("progress", "success")


@RewardModelConfig.register_subclass("rfm")
@dataclass
class RfmConfig(RewardModelConfig):  # type: ignore[misc]  # LeRobot's classes have no types
    """The options of a reward model of type `rfm`; those that LeRobot's own have are inherited."""

    model_path: str = "metaworld-small"
    """The checkpoint: whatever `rfm.RewardModel.from_pretrained` takes. `pretrained_path` is LeRobot's, and means a
    folder that `save_pretrained` wrote."""
    image_key: str | None = None
    """The observation that is the camera's picture; None: the only one there is."""
    default_task: str | None = None
    """The instruction of batches without any."""
    reward_output: str = "progress"
    """`progress`: the expectation in [0, 1]; `success`: 1 where it reaches `success_threshold`, else 0."""
    success_threshold: float = SuccessRule.threshold
    license: str | None = "mit"
    tags: list[str] | None = field(default_factory=lambda: ["reward-model", "vision-language", "robotics"])

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reward_output not in OUTPUTS:
            raise ConfigError(f"`reward_output` must be one of {', '.join(OUTPUTS)}, but is {self.reward_output!r}")
        if not 0 < self.success_threshold <= 1:
            raise ConfigError(
                f"`success_threshold` must be progress above 0 and at most 1, but is {self.success_threshold}"
            )

    def movable(self) -> str:
        """Return the checkpoint as it is found from other working folders too."""
        return str(Path(self.model_path).resolve()) if Path(self.model_path).is_dir() else self.model_path
