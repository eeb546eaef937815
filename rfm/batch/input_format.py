"""How a model's inputs are made from rows: what a checkpoint must remember besides weights and tokenizer.

Saved as `rfm_config.json` beside every checkpoint. Whoever predicts with the checkpoint shows it frames of the same
size, resized by the same filter, in the same conversation; another format version is refused rather than guessed at.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass
from pathlib import Path

from rfm.batch.tokens.conversation import FORMAT_VERSION
from rfm.errors import DataError
from rfm.files.documents import read_json_object

FILE_NAME = "rfm_config.json"


@dataclass(frozen=True)
class InputFormat:
    """Frame size (null: that of the files, within the budgets), resize filter and image or video mode."""

    resized_height: int | None = None
    resized_width: int | None = None
    resize_filter: str = "box"
    use_multi_image: bool = False
    min_pixels: int | None = None
    """Pixels that a frame is enlarged to where it has fewer; null: none is."""
    max_pixels: int | None = None
    """Pixels that a frame may have; null: as many as the model's own budget allows."""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if (self.resized_height is None) != (self.resized_width is None):
            raise DataError(
                "`data.resized_height` and `data.resized_width` must both be given or both be null, but are"
                f" {self.resized_height} and {self.resized_width}"
            )
        if self.resized_height is not None and (self.min_pixels is not None or self.max_pixels is not None):
            raise DataError(
                "`data.min_pixels` and `data.max_pixels` must be null with `data.resized_height`, but are "
                f"{self.min_pixels} and {self.max_pixels}: a size leaves nothing to decide"
            )
        if self.format_version != FORMAT_VERSION:
            raise DataError(
                f"`format_version` of the checkpoint must be {FORMAT_VERSION}, but is {self.format_version}: it was "
                "trained with another conversation format; use the version of rfm-vqa that made it, or train again"
            )

    def save(self, folder: Path) -> None:
        """Write `rfm_config.json` into a checkpoint folder."""
        (folder / FILE_NAME).write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> InputFormat | None:
        """Read `rfm_config.json` of a checkpoint folder; None where there is none (a stock model)."""
        path = folder / FILE_NAME
        if not path.is_file():
            return None
        known = {field.name for field in dataclasses.fields(cls)}
        values = read_json_object(path)
        if unknown := set(values) - known:
            raise DataError(f"`{path}` must hold only {sorted(known)}, but also holds {sorted(unknown)}")
        for name, kind in typing.get_type_hints(cls).items():
            if name in values and type(values[name]) not in (typing.get_args(kind) or (kind,)):
                shown = getattr(kind, "__name__", kind)
                raise DataError(f"`{name}` in {path} must be of the type {shown}, but is {values[name]!r}")
        return cls(**values)
