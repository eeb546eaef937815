"""From where episodes are filmed, how large, and in how many frames; drawn from an episode's own seed."""

from dataclasses import dataclass

import numpy as np

from rfm.errors import ConfigError
from rfm.ingest.metaworld.task import Vector


@dataclass(frozen=True)
class Camera:
    """A free camera: where it looks, how far it is in metres, and from which side in degrees."""

    azimuth: float
    """Direction in which it looks: 90 is away from the robot, 180 from the robot's right to its left."""
    elevation: float
    distance: float
    look_at: Vector = (0.0, 0.74, 0.12)


CAMERAS = {
    "right": Camera(158.0, -40.0, 0.88),
    "right_low": Camera(166.0, -26.0, 0.92),
    "right_far": Camera(146.0, -46.0, 1.05),
    "side": Camera(178.0, -36.0, 0.94),
}
"""By name. `right` is the bundle's: nearer than MetaWorld's own and from the robot's right hand side, so that the
object fills the picture and the arm, which comes in from the left, seldom hides it."""
_LEAST_SIZE, _MOST_SIZE = 32, 512
_MOST_FRAMES = 128


@dataclass(frozen=True)
class Filming:
    """What the episodes of a set are filmed with; each draws one camera and one size."""

    cameras: tuple[str, ...] = ("right",)
    sizes: tuple[int, ...] = (224,)
    """Height and width of the frames in pixels."""
    num_frames: int = 32
    """Frames of each video, evenly spaced over the episode, first and last included."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.cameras if name not in CAMERAS]
        if unknown or not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ConfigError(f"`cameras` must name some of {', '.join(CAMERAS)} once, but is {list(self.cameras)!r}")
        odd = [size for size in self.sizes if size % 2 or not _LEAST_SIZE <= size <= _MOST_SIZE]
        if odd or not self.sizes or len(set(self.sizes)) != len(self.sizes):
            raise ConfigError(
                f"`sizes` must hold even numbers of pixels from {_LEAST_SIZE} to {_MOST_SIZE}, each once, but is "
                f"{list(self.sizes)!r}"
            )
        if not 2 <= self.num_frames <= _MOST_FRAMES:
            raise ConfigError(f"`num_frames` must lie between 2 and {_MOST_FRAMES}, but is {self.num_frames}")

    def drawn(self, key: tuple[int, ...]) -> tuple[str, int]:
        """Camera and size of the episode with this key."""
        camera, size = np.random.SeedSequence(key).generate_state(2)
        return self.cameras[int(camera) % len(self.cameras)], self.sizes[int(size) % len(self.sizes)]


BUNDLED = Filming()
"""How the bundled videos are filmed."""
