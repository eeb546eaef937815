"""What has to be known of a model to ask it from another process or machine: small, JSON-able, no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from rfm.errors import DataError
from rfm.ingest.episode import IngestOptions
from rfm.scoring.seen_as import SeenAs
from rfm.scoring.success import SuccessRule

if TYPE_CHECKING:
    from rfm.scoring.reward_model import RewardModel


@dataclass(frozen=True)
class Description:
    """A loaded model; `fingerprint` changes with the weights and with whatever else answers depend on."""

    name: str
    fingerprint: str
    discrete: bool
    """Whether it answers in five levels, and not from 0 to 100."""
    max_frames: int
    """Frames shown of a clip, at most."""
    success: SuccessRule
    reading: IngestOptions
    """How files are read for it."""
    seen_as: SeenAs | None

    @classmethod
    def of(cls, model: RewardModel, name: str) -> Description:
        """Return the description of a loaded model, called as whoever serves it calls it."""
        return cls(
            name, model.fingerprint(), model.discrete, model.max_frames, model.success, model.reading, model.seen_as
        )

    def as_shown(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
        """Return frames in the size in which the model sees them, where that is the same for any number of them."""
        return frames if self.seen_as is None else self.seen_as.resized(frames)

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-able."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "discrete": self.discrete,
            "max_frames": self.max_frames,
            "success": asdict(self.success),
            "read_as": {"height": self.reading.height, "width": self.reading.width},
            "seen_as": None if self.seen_as is None else self.seen_as._asdict(),
        }

    @classmethod
    def from_json(cls, said: Any) -> Description:
        """Return what `to_json` gave; DataError where that is something else."""
        try:
            read, seen = said["read_as"], said["seen_as"]
            return cls(
                str(said["name"]),
                str(said["fingerprint"]),
                bool(said["discrete"]),
                int(said["max_frames"]),
                SuccessRule(**said["success"]),
                IngestOptions(height=read["height"], width=read["width"]),
                None if seen is None else SeenAs(**seen),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"a server must describe its model, but says {str(said)[:200]}") from error
