"""The questions that stock processors were asked for `stock/*.npz`: frames, budgets and what stands around them.

Shared by the script that asked (`make_stock_values.py`, in an environment of its own) and by the test that compares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rfm.batch.pictures.patches import Family, VisionSpec

FPS = 2.0
PROMPT = "Which one makes the most progress? Format your answer as: ANS: 1/2\n\nTask: push the 2 buttons"
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
SMALLEST, LARGEST = 28 * 28, 2**24
"""Budgets that change nothing: the stock processors must be given some."""

SPECS: dict[Family, VisionSpec] = {
    "qwen3_vl": VisionSpec("qwen3_vl", 16, 2, 2, HALF, HALF, LARGEST, LARGEST),
    "qwen2_5_vl": VisionSpec("qwen2_5_vl", 14, 2, 2, CLIP_MEAN, CLIP_STD, LARGEST, LARGEST, tokens_per_second=2.0),
}


@dataclass(frozen=True)
class Case:
    """One conversation: clips of (frames, height, width), shown as videos or as images."""

    family: Family
    clips: tuple[tuple[int, int, int], ...]
    images: bool = False
    min_pixels: int | None = None
    """Of a frame, where the processor is to enlarge."""
    max_pixels: int | None = None
    """Of a frame, where it is to reduce."""

    @property
    def name(self) -> str:
        mode = "images" if self.images else "video"
        sizes = "+".join("x".join(map(str, clip)) for clip in self.clips)
        budgets = "".join(
            f"_{kind}{value}" for kind, value in (("min", self.min_pixels), ("max", self.max_pixels)) if value
        )
        return f"{self.family}_{mode}_{sizes}{budgets}"

    @property
    def resized(self) -> bool:
        side = SPECS[self.family].side
        return any(clip[1] % side or clip[2] % side for clip in self.clips) or bool(self.min_pixels or self.max_pixels)

    @property
    def names(self) -> tuple[str, ...]:
        return ("",) if len(self.clips) == 1 else ("Video 1:", "Video 2:")

    def frames(self) -> list[np.ndarray]:
        """The clips: noise of few levels where nothing is resized (it packs well), else smooth pictures."""
        rng = np.random.default_rng([*self.name.encode()])
        if not self.resized:
            return [rng.integers(0, 8, (*clip, 3), dtype=np.uint8) * 36 for clip in self.clips]
        return [_smooth(rng, *clip) for clip in self.clips]


def _smooth(rng: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width] / 20.0
    wave = rng.uniform(0.5, 1.5, (count, 1, 1, 3, 2))
    level = np.sin(wave[..., 0] * y[None, ..., None]) + np.cos(wave[..., 1] * x[None, ..., None])
    return np.round(127.5 + 60 * level).astype(np.uint8)


def _of(family: Family) -> list[Case]:
    side = SPECS[family].side
    even, odd, wide = (4, side, 2 * side), (5, side, 2 * side), (3, 2 * side, side)
    return [
        Case(family, (even,)),
        Case(family, (odd,)),
        Case(family, (even, odd)),
        Case(family, (wide, wide)),
        Case(family, ((3, side, 2 * side),), images=True),
        Case(family, ((2, side, 2 * side), (1, side, side)), images=True),
        Case(family, ((4, 50, 75),)),
        Case(family, ((5, 90, 120),), max_pixels=5000),
        Case(family, ((3, 90, 120), (3, 60, 60)), max_pixels=5000),
        Case(family, ((4, 30, 40),), min_pixels=5000),
        Case(family, ((2, 90, 120), (1, 50, 40)), images=True, max_pixels=5000),
        Case(family, ((1, 30, 40),), images=True, min_pixels=5000),
    ]


CASES = [*_of("qwen3_vl"), *_of("qwen2_5_vl")]

SIZES = [(30, 40), (50, 75), (64, 64), (90, 120), (224, 224), (240, 320), (480, 640), (720, 1280), (37, 301)]
COUNTS = (2, 3, 4, 5, 8, 15, 16, 17, 32)
BUDGETS = ((None, None), (None, 50_000), (100_000, None), (20_000, 30_000))
"""Sizes, frame counts and budgets of a frame whose target sizes alone are compared."""
