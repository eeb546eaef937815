"""What a worker is told to load. No torch, as the server itself needs none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """Which model, where, how many threads of the processor it may use, and how many questions it answers at once."""

    model: str
    device: str
    threads: int
    batch_size: int
