"""The flags of `rfm check-collator`, which need no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from rfm.errors import ConfigError
from rfm.model.shipped import resolve


@dataclass(frozen=True)
class CheckOptions:
    """Verify frame loading, tokenization and label masking on a dataset."""

    dataset_path: str | None = field(
        default=None, metadata={"help": "Generated dataset; default: a small one is drawn from the bundled videos"}
    )
    model_name: str = field(default="tiny", metadata={"help": "Model whose tokenizer and preprocessing are used"})
    num_samples: int = field(default=8, metadata={"help": "Rows in the batch"})
    datasets_root: str | None = field(default=None, metadata={"help": "Folder that frame paths are relative to"})
    use_multi_image: bool = field(default=False, metadata={"help": "Show frames as images instead of videos"})

    def __post_init__(self) -> None:
        resolve(self, "model_name")
        if self.num_samples < 1:
            raise ConfigError(f"`num_samples` must be at least 1, but is {self.num_samples}")
