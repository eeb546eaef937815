"""Simulated episodes made up from their slots, and a worker that is killed; a module, since workers import it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

DIES_AT = "MADE_UP_EPISODES_DIE_AT"
"""Names the slot whose worker is killed, as soon as there are the parts of three others."""
END = {"successful": 1.0, "suboptimal": 0.5, "failure": 0.1}


def made_up(slot):
    from rfm.ingest.metaworld.simulate import Episode

    positions = np.linspace([0.0, 0, 0], [END[slot.quality], 0, 0], 32, dtype=np.float32)
    return Episode(
        task=replace(slot.task, threshold=0.05, axes=(True, True, True)),
        seed=slot.seed(0),
        variant="made_up",
        finished=True,
        steps=np.arange(32, dtype=np.int32),
        qpos=np.zeros((32, 10 + slot.index % 2), np.float32),
        mocap_pos=np.zeros((32, 3), np.float32),
        object_pos=positions,
        goal=np.array([1.0, 0, 0], np.float32),
        success=positions[:, 0] >= 0.95,
    )


def make_up(patch: pytest.MonkeyPatch):
    """Have the episodes made up that the module, which is returned, would simulate: grey frames in place of a film."""
    from rfm.ingest.metaworld import generate

    patch.setattr(generate, "find_episode", made_up)
    patch.setattr(
        generate, "render", lambda episode, camera, size: np.full((32, 16, 16, 3), episode.seed % 256, np.uint8)
    )
    return generate


def make_episode(output: Path, slot) -> None:
    """What a worker does in place of the module's own."""
    if slot.id == os.environ.get(DIES_AT):
        while len(list(output.glob("parts/*.npz"))) < 3:
            os.sched_yield()
        os.kill(os.getpid(), signal.SIGKILL)
    with pytest.MonkeyPatch.context() as patch:
        make_up(patch).make_episode(output, slot)
