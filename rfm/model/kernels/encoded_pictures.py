"""Pictures that went through the vision tower before: a batch names them by numbers in place of pixels.

The tower attends within one temporal patch and knows no time, so what it makes of one is the same in any clip that
shows it. `pixels.ENCODERS` are where every path to it meets: within `encoded` they look numbers up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8

from rfm.model.freeze import inner_model
from rfm.model.kernels.pixels import ENCODERS

AT_ONCE = 64
"""Pictures that go through the tower together."""


class EncodedPictures:
    """What a model's tower made of pictures, by their numbers."""

    def __init__(self, model: Any, patches: Sequence[UInt8[torch.Tensor, "p d"]], sizes: Sequence[tuple[int, int]]):
        """Encode pictures of `sizes` in patches, each given as its patches."""
        self._inner = inner_model(model)
        self._kind: type = dict
        self._together = False
        self._final: list[Float[torch.Tensor, "tokens width"]] = []
        self._between: list[list[Float[torch.Tensor, "tokens width"]]] = []
        device = next(model.parameters()).device
        for start in range(0, len(patches), AT_ONCE):
            grids = torch.tensor([(1, *size) for size in sizes[start : start + AT_ONCE]], device=device)
            self._add(torch.cat(list(patches[start : start + AT_ONCE])).to(device), grids)

    def _add(self, pixels: UInt8[torch.Tensor, "p d"], grids: Int64[torch.Tensor, "k 3"]) -> None:
        out = self._inner.get_video_features(pixels, grids)
        self._kind = type(out)
        self._final += list(out.pooler_output)
        deeper = getattr(out, "deepstack_features", None) or []
        self._together = any(isinstance(layer, torch.Tensor) for layer in deeper)  # as in older transformers 5
        if self._together:
            tokens = [len(picture) for picture in out.pooler_output]
            deeper = [layer.split(tokens) for layer in deeper]
        self._between += [list(layers) for layers in zip(*deeper, strict=True)] or [[] for _ in out.pooler_output]

    def of(self, numbers: Int64[torch.Tensor, " k"]) -> Any:
        """Return what the encoders return, for these pictures."""
        chosen = numbers.tolist()
        features: dict[str, Any] = {"pooler_output": tuple(self._final[number] for number in chosen)}
        if self._between[chosen[0]]:
            layers = zip(*(self._between[number] for number in chosen), strict=True)
            features["deepstack_features"] = [torch.cat(layer) if self._together else tuple(layer) for layer in layers]
        return self._kind(**features)

    @contextmanager
    def in_place_of_pixels(self) -> Iterator[None]:
        """Let the model take numbers of pictures where it takes pixels."""
        own = {name: getattr(self._inner, name) for name in ENCODERS}
        for name in ENCODERS:
            setattr(self._inner, name, lambda numbers, *_, **__: self.of(numbers))
        try:
            yield
        finally:
            for name, encode in own.items():
                setattr(self._inner, name, encode)
