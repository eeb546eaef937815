"""How a model's inputs are made from rows: what a checkpoint must remember besides weights and tokenizer.

Saved as `rfm_config.json` beside every checkpoint. Whoever predicts with the checkpoint shows it frames of the same
size, resized by the same filter, in the same conversation; another format version is refused rather than guessed at.
How its questions were put (frames of a clip, wording, scale of scores) stands there too: what asks by itself asks so,
and what asks a dataset's questions compares (`rfm.batch.as_trained`). Null: not known, as of older versions.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rfm.batch.pictures.patches import Family, VisionSpec
from rfm.batch.tokens.conversation import FORMAT_VERSION, OLDER_VERSIONS
from rfm.configs.experiment_configs import MOST_FRAMES, RESIZE_FILTERS
from rfm.errors import DataError
from rfm.files.documents.json_documents import read_json_object
from rfm.files.limits import LONGEST_SIDE, MOST_PIXELS
from rfm.vqa.presentation import Presentation

FILE_NAME = "rfm_config.json"
_PIXELS = 2**28
_BOUNDS = {
    "resized_height": LONGEST_SIDE,
    "resized_width": LONGEST_SIDE,
    "min_pixels": _PIXELS,
    "max_pixels": _PIXELS,
    "max_frames": MOST_FRAMES,
    "prompt_version": 2**31,
    "model_video_pixels": 2**40,
    "model_image_pixels": 2**40,
}
"""Largest value of each number; the least is 1."""
OF_FRAMES = ("resized_height", "resized_width", "resize_filter", "use_multi_image", "min_pixels", "max_pixels")
"""What decides how a frame is shown; the other fields tell which frames, and in what words is asked."""


@dataclass(frozen=True)
class InputFormat:
    """Frame size (null: that of the files, within the budgets), resize filter, image or video mode, and questions."""

    resized_height: int | None = None
    resized_width: int | None = None
    resize_filter: str = "box"
    use_multi_image: bool = False
    min_pixels: int | None = None
    """Pixels that a frame is enlarged to where it has fewer; null: none is."""
    max_pixels: int | None = None
    """Pixels that a frame may have; null: as many as the model's own budget allows."""
    format_version: int = FORMAT_VERSION
    max_frames: int | None = None
    """Frames of a clip in training, at most."""
    frame_choice: str | None = None
    """How they were chosen, see `rfm.vqa.presentation`."""
    prompt_version: int | None = None
    """Wording of the questions, see `rfm.vqa.prompts`."""
    discrete_progress: bool | None = None
    """Scores from 1 to 5 instead of 0 to 100."""
    model_video_pixels: int | None = field(default=None, compare=False)
    """The model's own budget of a video; its preprocessing files have this format's (`model.processor_sizes`)."""
    model_image_pixels: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise DataError("\n".join(faults))

    def _faults(self) -> Iterator[str]:
        for name, most in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value <= most):
                yield f"`{name}` must be null or a whole number from 1 to {most}, but is {value!r}"
        height, width = self.resized_height, self.resized_width
        if type(height) is int and type(width) is int and height * width > MOST_PIXELS:
            yield (
                f"`resized_height` and `resized_width` must give at most {MOST_PIXELS} pixels a frame, but are "
                f"{height} and {width}"
            )
        for name, optional in (("use_multi_image", False), ("discrete_progress", True)):
            value = getattr(self, name)
            if type(value) is not bool and not (optional and value is None):
                yield f"`{name}` must be true or false{', or null' if optional else ''}, but is {value!r}"
        if self.frame_choice is not None and type(self.frame_choice) is not str:
            yield f"`frame_choice` must be a text or null, but is {self.frame_choice!r}"
        if self.resize_filter not in RESIZE_FILTERS:
            yield f"`resize_filter` must be one of {', '.join(RESIZE_FILTERS)}, but is {self.resize_filter!r}"
        if (self.resized_height is None) != (self.resized_width is None):
            yield (
                "`data.resized_height` and `data.resized_width` must both be given or both be null, but are"
                f" {self.resized_height} and {self.resized_width}"
            )
        if self.resized_height is not None and (self.min_pixels is not None or self.max_pixels is not None):
            yield (
                "`data.min_pixels` and `data.max_pixels` must be null with `data.resized_height`, but are "
                f"{self.min_pixels} and {self.max_pixels}: a size leaves nothing to decide"
            )
        if self.format_version not in (FORMAT_VERSION, *OLDER_VERSIONS):
            yield (
                f"`format_version` of the checkpoint must be {FORMAT_VERSION}, but is {self.format_version}: it was "
                "trained with another conversation format; use the version of rfm-vqa that made it, or train again"
            )

    def put_as(self, shown: Presentation) -> InputFormat:
        """Return the format of a model that is trained on such questions, in the conversation of today."""
        return dataclasses.replace(
            self,
            format_version=FORMAT_VERSION,
            max_frames=shown.max_frames,
            frame_choice=shown.frame_choice,
            prompt_version=shown.prompt_version,
            discrete_progress=shown.discrete_progress,
        )

    def with_budgets(self, spec: VisionSpec) -> InputFormat:
        """Return the format with the model's own budgets in it."""
        return dataclasses.replace(
            self, model_video_pixels=spec.max_video_pixels, model_image_pixels=spec.max_image_pixels
        )

    def shows_frames_as(self, other: InputFormat) -> bool:
        """Tell whether both show a frame in the same size and mode."""
        return all(getattr(self, name) == getattr(other, name) for name in OF_FRAMES)

    def check_family(self, family: Family) -> None:
        """Raise `DataError` where a checkpoint of this family was trained in another conversation than today's."""
        if self.format_version == 1 and family == "qwen2_5_vl" and not self.use_multi_image:
            raise DataError(
                f"`format_version` of the checkpoint must be {FORMAT_VERSION}, but is 1: it was trained with other "
                "positions behind videos of Qwen2.5-VL (docs/batches.md); use the version of rfm-vqa that made it, or "
                "train again"
            )

    def save(self, folder: Path) -> None:
        """Write `rfm_config.json` into a checkpoint folder."""
        (folder / FILE_NAME).write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> InputFormat | None:
        """Read `rfm_config.json` of a checkpoint folder; None where there is none (a stock model)."""
        path = folder / FILE_NAME
        return cls.read(path) if path.is_file() else None

    @classmethod
    def read(cls, path: Path) -> InputFormat:
        """Read a file of that kind; fields that it lacks, of an older version, are not known."""
        known = {field.name for field in dataclasses.fields(cls)}
        values = read_json_object(path)
        if unknown := set(values) - known:
            raise DataError(f"`{path}` must hold only {sorted(known)}, but also holds {sorted(unknown)}")
        try:
            return cls(**values)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
