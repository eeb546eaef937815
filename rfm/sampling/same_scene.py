"""Clips that are asked another task of their scene: the answer is their recorded progress towards it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from rfm.sampling.material import Material
from rfm.sampling.pools import Runs
from rfm.sampling.random import RowRandom


class SameSceneClips:
    """Clips whose progress towards another task of their scene is recorded, by their source and that task."""

    def __init__(self, material: Material, members: Bool[np.ndarray, " n"]):
        catalog, towards = material.catalog, material.catalog.towards
        entries = material.instructions.entries
        self._entries = entries[members[towards.trajectory[entries]]]
        self._shown = towards.trajectory[self._entries]
        tasks, source = len(catalog.tasks), catalog.source_code.astype(np.int64)
        weights = None if material.weights is None else material.weights[self._shown]
        self._runs = Runs(source[self._shown] * tasks + towards.task[self._entries], weights)
        self._code: Int64[np.ndarray, " n"] = source * tasks + catalog.task_code
        self.serves: Bool[np.ndarray, " n"] = self._runs.weight(self._code) > 0
        """Trajectories whose task can be asked of a clip of their source."""

    def draw(
        self, random: RowRandom, told: Int64[np.ndarray, " m"]
    ) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
        """Return trajectories that the tasks of `told` are asked of, and the entries of `Catalog.towards`."""
        chosen = self._runs.draw(random.uniform("wrong/same scene video"), self._code[told])
        return self._shown[chosen], self._entries[chosen]
