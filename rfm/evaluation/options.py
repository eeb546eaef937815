"""The options of an evaluation: names, defaults and choices of `evaluate_vqa.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from rfm.errors import ConfigError

CONTROLS = (
    "blank",
    "last_frame",
    "shuffled",
    "reversed",
    "frozen_tail",
    "other_instruction",
    "swapped",
    "floor",
)
ALL = "all"
BASELINES = ("constant", "random", "frame_difference")


@dataclass(frozen=True)
class EvaluateOptions:
    """Evaluate a checkpoint on a VQA dataset: accuracy, MAE and RMSE, every sample counted."""

    model_path: str = field(
        metadata={"help": "Path to trained model checkpoint, or constant, random, frame_difference"}
    )
    dataset_path: str = field(metadata={"help": "Path to test dataset"})
    output_path: str = field(default="./eval_results.json", metadata={"help": "Path to save results JSON"})
    batch_size: int = field(default=1, metadata={"help": "Batch size for inference"})
    max_new_tokens: int = field(default=10, metadata={"help": "Max tokens to generate"})
    device: str = field(default="cuda", metadata={"help": "Device to use; the CPU where there is no GPU"})
    max_samples: int | None = field(default=None, metadata={"help": "Max samples to evaluate, from the start"})
    save_predictions: bool = field(default=False, metadata={"help": "Save individual predictions in the JSON"})
    controls: tuple[str, ...] = field(
        default=(),
        metadata={"help": "Ask again with a part of the content taken away; all of them", "choices": (*CONTROLS, ALL)},
    )
    baselines: tuple[str, ...] = field(
        default=(), metadata={"help": "Answer the same rows without a model", "choices": BASELINES}
    )
    calibrate_on: str | None = field(
        default=None, metadata={"help": "Validation set to fit the temperature of probabilities on"}
    )
    max_unreadable: int = field(default=0, metadata={"help": "Rows without readable frames that are put up with"})
    datasets_root: str | None = field(default=None, metadata={"help": "Folder that frame paths are relative to"})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code that a model brings along"})

    def __post_init__(self) -> None:
        bounds = {"batch_size": 1, "max_new_tokens": 1, "max_unreadable": 0, "max_samples": 1}
        faults = [
            f"`{name}` must be at least {low}, but is {getattr(self, name)}"
            for name, low in bounds.items()
            if getattr(self, name) is not None and getattr(self, name) < low
        ]
        for option, valid in (("controls", (*CONTROLS, ALL)), ("baselines", BASELINES)):
            faults += [
                f"`{option}` must be among {', '.join(valid)}, but one is {name!r}"
                for name in getattr(self, option)
                if name not in valid
            ]
        if faults:
            raise ConfigError("\n".join(faults))

    @property
    def all_controls(self) -> tuple[str, ...]:
        """The controls by name, each once."""
        return CONTROLS if ALL in self.controls else tuple(dict.fromkeys(self.controls))
