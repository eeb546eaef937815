"""The options of an evaluation: names, defaults and choices of `evaluate_vqa.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from rfm.errors import ConfigError

CONTROLS = ("blank",)


@dataclass(frozen=True)
class EvaluateOptions:
    """Evaluate a checkpoint on a VQA dataset: accuracy, MAE and RMSE, every sample counted."""

    model_path: str = field(metadata={"help": "Path to trained model checkpoint"})
    dataset_path: str = field(metadata={"help": "Path to test dataset"})
    output_path: str = field(default="./eval_results.json", metadata={"help": "Path to save results JSON"})
    batch_size: int = field(default=1, metadata={"help": "Batch size for inference"})
    max_new_tokens: int = field(default=10, metadata={"help": "Max tokens to generate"})
    device: str = field(default="cuda", metadata={"help": "Device to use; the CPU where there is no GPU"})
    max_samples: int | None = field(default=None, metadata={"help": "Max samples to evaluate, from the start"})
    save_predictions: bool = field(default=False, metadata={"help": "Save individual predictions in the JSON"})
    controls: tuple[str, ...] = field(
        default=(), metadata={"help": "Ask again with the content taken away: blank (grey frames)", "choices": CONTROLS}
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
        faults += [
            f"`controls` must be among {', '.join(CONTROLS)}, but one is {name!r}"
            for name in self.controls
            if name not in CONTROLS
        ]
        if faults:
            raise ConfigError("\n".join(faults))
