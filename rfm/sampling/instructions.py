"""What is known of asking a task's instruction of a clip: the answer to a wrong instruction must be known, not assumed.

    OWN        the clip's own task
    e >= 0     entry e of `Catalog.towards`: the recorded progress of the clip's frames towards that task
    ELSEWHERE  the task belongs to another scene: nothing of it can be done here, progress 0
    UNKNOWN    the scene is the same and nothing is recorded or what is recorded contradicts itself, the video has a
               score or a second description of its own (`barred`), or one text means both tasks: never asked

A task occurs in a scene where a trajectory of it is, or one with recorded progress towards it. Which those are says the
whole dataset: on a side of a split too, and those too short to show (`Catalog.witnesses`).

A row without `scene_id` has a place of its own task's: it counts as another scene for all other tasks. That is an
assumption, so questions that rest on it are told apart (`unknown_scene`).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int, Int8, Int64

from rfm.sampling.barred import Barred, barred
from rfm.trajectories.catalog import Catalog
from rfm.trajectories.witnesses import Witnesses

OWN, ELSEWHERE, UNKNOWN = -1, -2, -3
OWN_TASK, SAME_SCENE, OTHER_SCENE, UNKNOWN_SCENE = range(4)
"""Codes of `rfm.vqa.schema.INSTRUCTION_KINDS`."""


class Instructions:
    """The answers to instructions of all tasks about the trajectories of a catalog."""

    def __init__(self, catalog: Catalog):
        self._catalog = catalog
        all_of, row = catalog.witnesses, catalog.row_among_witnesses
        number = np.full(len(all_of.family), -1, np.int64)
        number[row] = np.arange(len(row))
        family = all_of.family.astype(np.int64)
        pairs = barred(family, all_of.group, "preference_group_id").joined(barred(family, all_of.file, "frames"))
        pairs = pairs.only(number[pairs.trajectory] >= 0)
        place = _places(all_of)
        self._span = int(place.max(initial=0)) + 1
        occurring = np.concatenate([family, all_of.recorded_family]), np.concatenate([place, place[all_of.recorded]])
        self._held: Int64[np.ndarray, " h"] = np.unique(occurring[0] * self._span + occurring[1])
        self.place: Int64[np.ndarray, " n"] = place[row]
        """The scene of each trajectory; where that is not known, its task family's own."""
        self.barred: Barred = Barred(pairs.family, number[pairs.trajectory])
        """Families and trajectories of other ones that may fulfil their instructions."""
        self._seen_everywhere = np.ones(int(family.max(initial=0)) + 1, bool)
        self._seen_everywhere[family[all_of.scene < 0]] = False

    @cached_property
    def family_of_task(self) -> Int64[np.ndarray, " t"]:
        """The family of each task of the catalog."""
        out = np.zeros(len(self._catalog.tasks), np.int64)
        out[self._catalog.task_code] = self._catalog.family_code
        return out

    @property
    def places_held(self) -> tuple[Int64[np.ndarray, " h"], Int64[np.ndarray, " h"]]:
        """(family, place): where each family's tasks occur."""
        return self._held // self._span, self._held % self._span

    @cached_property
    def barred_elsewhere(self) -> Barred:
        """Barred pairs whose trajectory is in no place of the family."""
        pairs = self.barred
        return pairs.only(~self._occurs(pairs.family, self.place[pairs.trajectory]))

    def may_fit(self, trajectories: Int64[np.ndarray, " v"]) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
        """Return each trajectory (by its place in the list) with each family that occurs in its place or is barred."""
        family, place = self.places_held
        by_place, barred = np.argsort(place, kind="stable"), self.barred_elsewhere
        by_trajectory = np.argsort(barred.trajectory, kind="stable")
        found = []
        for wanted, keys, families in (
            (self.place[trajectories], place[by_place], family[by_place]),
            (trajectories, barred.trajectory[by_trajectory], barred.family[by_trajectory]),
        ):
            at, entry = spans(*(np.searchsorted(keys, wanted, side) for side in ("left", "right")))
            found.append(np.stack([at, families[entry]]))
        at, fitting = np.concatenate(found, axis=1)
        return at, fitting

    @cached_property
    def entries(self) -> Int64[np.ndarray, " k"]:
        """Entries of `towards` that may be asked: of another family, not barred, and not contradicting each other."""
        towards = self._catalog.towards
        family = self.family_of_task[towards.task]
        other = family != self._catalog.family_code[towards.trajectory]
        usable = np.flatnonzero(other & ~self.barred.hold(family, towards.trajectory))
        return usable[~self._contradicted(usable, family[usable])]

    def relation(self, task: Int[np.ndarray, " m"], trajectory: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return what is known of asking each task's instruction of each trajectory's clips."""
        family = self.family_of_task[task]
        own_family = family == self._catalog.family_code[trajectory]
        unknown = own_family | self.barred.hold(family, trajectory) | self._occurs(family, self.place[trajectory])
        out = np.where(unknown, UNKNOWN, ELSEWHERE)
        entry = self._entry(family, trajectory)
        out = np.where(entry >= 0, entry, out)
        return np.where(task == self._catalog.task_code[trajectory], OWN, out)

    def kind(
        self, relation: Int64[np.ndarray, " m"], task: Int[np.ndarray, " m"], trajectory: Int64[np.ndarray, " m"]
    ) -> Int8[np.ndarray, " m"]:
        """Return the code of `INSTRUCTION_KINDS` for each relation."""
        seen = self._seen_everywhere[self.family_of_task[task]] & (self._catalog.scene_code[trajectory] >= 0)
        out = np.where(seen, OTHER_SCENE, UNKNOWN_SCENE)
        same = self._occurs(self.family_of_task[task], self.place[trajectory])
        out = np.where(same, SAME_SCENE, out)
        return np.where(relation == OWN, OWN_TASK, out).astype(np.int8)

    def _occurs(self, family: Int[np.ndarray, " m"], place: Int64[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        key = family.astype(np.int64) * self._span + place
        at = np.minimum(np.searchsorted(self._held, key), max(len(self._held) - 1, 0))
        return self._held[at] == key if len(self._held) else np.zeros(len(key), bool)

    def _entry(self, family: Int[np.ndarray, " m"], trajectory: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Return an entry towards a task of the family: those that a trajectory has of one agree."""
        keys, entries = self._entry_keys
        if not len(keys):
            return np.full(len(family), UNKNOWN, np.int64)
        key = trajectory * len(self._seen_everywhere) + family
        at = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        return np.where(keys[at] == key, entries[at], UNKNOWN)

    @cached_property
    def _entry_keys(self) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
        towards, entries = self._catalog.towards, self.entries
        keys = towards.trajectory[entries] * len(self._seen_everywhere) + self.family_of_task[towards.task[entries]]
        order = np.argsort(keys, kind="stable")
        return keys[order], entries[order]

    def _contradicted(
        self, entries: Int64[np.ndarray, " k"], family: Int64[np.ndarray, " k"]
    ) -> Bool[np.ndarray, " k"]:
        """Return which entries have another one of their trajectory and family with other values."""
        towards = self._catalog.towards
        _, first, of = np.unique(
            towards.trajectory[entries] * (int(family.max(initial=0)) + 1) + family,
            return_index=True,
            return_inverse=True,
        )
        differs = np.zeros(len(first), bool)
        for at in np.flatnonzero(first[of] != np.arange(len(entries))).tolist():
            one, other = int(entries[at]), int(entries[first[of[at]]])
            differs[of[at]] |= not np.array_equal(towards.curve(one), towards.curve(other))
        return differs[of]


def spans(
    low: Int64[np.ndarray, " k"], high: Int64[np.ndarray, " k"]
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Return for each number of each span [low, high) the span's place and the number."""
    held = high - low
    owner = np.repeat(np.arange(len(low)), held)
    return owner, np.arange(len(owner)) + np.repeat(low - (np.cumsum(held) - held), held)


def _places(all_of: Witnesses) -> Int64[np.ndarray, " n"]:
    scenes = int(all_of.scene.max(initial=-1)) + 1
    return np.where(all_of.scene >= 0, all_of.scene, scenes + all_of.family).astype(np.int64)
