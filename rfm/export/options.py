"""Options of the `rfm export` commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rfm.errors import ConfigError
from rfm.files.limits import LONGEST_SIDE
from rfm.model.shipped import resolve

FORMATS = ("trl", "llamafactory", "ms-swift")
FRAMES = ("jpeg", "png", "mp4")
DTYPES = ("auto", "float32", "bfloat16")


def _option(default: Any, text: str, choices: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class RowsOptions:
    """Write a VQA dataset as another framework's conversations, with frames as files."""

    dataset: str = field(metadata={"help": "VQA dataset made by `rfm generate`", "positional": True})
    format: str = field(metadata={"help": "Framework to write for", "choices": FORMATS})
    output: str = field(metadata={"help": "Folder to write"})
    frames: str = _option("jpeg", "How clips are written: images of the frames, or videos of 2 frames a second", FRAMES)
    resized_height: int | None = _option(None, "Height in pixels; default: as stored")
    resized_width: int | None = _option(None, "Width in pixels; default: as stored")
    datasets_root: str | None = _option(None, "Folder that frame paths are relative to")
    max_samples: int | None = _option(None, "Rows to write, from the start; default: all")
    max_rejected: int = _option(0, "Rows that can't be written and are put up with")
    num_workers: int = _option(1, "Processes that write")
    overwrite: bool = _option(False, "Replace an export that exists")

    def __post_init__(self) -> None:
        bounds = {"resized_height": 1, "resized_width": 1, "max_samples": 1, "max_rejected": 0, "num_workers": 1}
        faults = [
            f"`{name}` must be at least {low}, but is {getattr(self, name)}"
            for name, low in bounds.items()
            if getattr(self, name) is not None and getattr(self, name) < low
        ]
        faults += [
            f"`{name}` must be at most {LONGEST_SIDE} pixels, but is {value}"
            for name, value in (("resized_height", self.resized_height), ("resized_width", self.resized_width))
            if value is not None and value > LONGEST_SIDE
        ]
        if (self.resized_height is None) != (self.resized_width is None):
            faults.append("`resized_height` and `resized_width` must be given together, but only one is")
        if self.format == "trl" and self.frames == "mp4":
            faults.append("`frames` must be jpeg or png with `format` trl, which takes no videos, but is mp4")
        if faults:
            raise ConfigError("\n".join(faults))


@dataclass(frozen=True)
class MergeOptions:
    """Merge a LoRA adapter into its base model and verify that both give the same logits on real rows."""

    checkpoint: str = field(metadata={"help": "Folder of the adapter, such as OUTPUT_DIR/final", "positional": True})
    output: str = field(metadata={"help": "Folder to write"})
    dataset: str | None = _option(None, "Dataset with rows to verify on; default: the one it was trained on")
    datasets_root: str | None = _option(None, "Folder that frame paths are relative to")
    num_rows: int = _option(8, "Rows to verify on")
    dtype: str = _option("auto", "Of the merged weights; auto = bfloat16 on a GPU, float32 on a CPU", DTYPES)
    tolerance: float | None = _option(
        None, "Largest difference of logits that passes, as a share of the largest logit; default: by dtype"
    )
    device: str = _option("cuda", "Device to merge and verify on; the CPU where there is no GPU")
    base_model: str | None = _option(None, "Base model to take in place of the one that the adapter records")
    evaluation: str | None = _option(None, "Results of `rfm evaluate` for the model card")
    overwrite: bool = _option(False, "Replace an export that exists")
    push_to_hub: bool = _option(False, "Upload the merged model to the Hugging Face hub")
    hub_model_id: str | None = _option(None, "Repository to upload to, as in me/my-model")
    hub_private_repo: bool = _option(False, "Make that repository private where it is created")
    trust_remote_code: bool = _option(False, "Run code that a model brings along")

    def __post_init__(self) -> None:
        resolve(self, "checkpoint", "base_model")
        if self.num_rows < 1:
            raise ConfigError(f"`num_rows` must be at least 1, but is {self.num_rows}")
        if self.tolerance is not None and self.tolerance < 0:
            raise ConfigError(f"`tolerance` must be >= 0, but is {self.tolerance}")
        if self.hub_model_id is not None and not self.push_to_hub:
            raise ConfigError("`hub_model_id` must come with `push_to_hub`, but that is not set; add --push_to_hub")


@dataclass(frozen=True)
class ServableOptions:
    """Write a full checkpoint as vLLM takes it: heads of a width that it has, and known answers to check it by."""

    checkpoint: str = field(metadata={"help": "Folder of a full checkpoint, or metaworld-small", "positional": True})
    output: str = field(metadata={"help": "Folder to write"})
    overwrite: bool = _option(False, "Replace an export that exists")

    def __post_init__(self) -> None:
        resolve(self, "checkpoint")


@dataclass(frozen=True)
class ServeCommandOptions:
    """Print the line that starts an engine's server as the checkpoint needs it, and the one that evaluates it there."""

    checkpoint: str = field(
        metadata={"help": "Folder of a full checkpoint or of an adapter, or metaworld-small", "positional": True}
    )
    engine: str = _option("vllm", "What serves it", ("vllm",))
    port: int = _option(8000, "Where it listens, on this machine alone")
    enforce_eager: bool = _option(False, "Without CUDA graphs and compilation, for a machine without a GPU")

    def __post_init__(self) -> None:
        resolve(self, "checkpoint")
        if not 0 < self.port < 65536:
            raise ConfigError(f"`port` must be from 1 to 65535, but is {self.port}")


@dataclass(frozen=True)
class CardOptions:
    """Write the card of a checkpoint anew, with the metrics of an evaluation, or of a VQA dataset."""

    checkpoint: str = field(metadata={"help": "Folder of the checkpoint, or of the VQA dataset", "positional": True})
    evaluation: str | None = _option(None, "Results of `rfm evaluate`")
    license: str | None = _option(None, "Licence of a dataset's videos, by the Hub's name for it, such as cc-by-4.0")
    datasets_root: str | None = _option(None, "Folder of a dataset's frame paths, for the film strip")
    overwrite: bool = _option(False, "Replace a README.md that is none of rfm's cards")

    def __post_init__(self) -> None:
        resolve(self, "checkpoint")


@dataclass(frozen=True)
class HubOptions:
    """Upload a checkpoint folder, or a VQA dataset with its card, to the Hugging Face hub."""

    checkpoint: str = field(metadata={"help": "Folder of the checkpoint, or of the VQA dataset", "positional": True})
    hub_model_id: str = field(metadata={"help": "Repository to upload to, as in me/my-model"})
    hub_private_repo: bool = _option(False, "Make that repository private where it is created")

    def __post_init__(self) -> None:
        resolve(self, "checkpoint")
