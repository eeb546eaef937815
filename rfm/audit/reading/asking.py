"""What a row's instruction is to the clip that it is asked of: worked out anew from the records of the trajectories.

Texts are compared by their meaning (case, space, punctuation, articles and plurals aside). Of a clip an instruction is

    OWN           one of its own task
    ELSEWHERE     of another scene, or of one that is not known to be the same: nothing of it is done, progress 0
    RECORDED      another task's, and the trajectory records its frames' progress towards it

or may not be asked, since nobody knows the answer:

    SAME_TEXT     its task and the clip's are one task in other words, or under another task id
    SAME_FILE     another row about the clip's frames file has that task
    SCORED        another row of its preference group has a score for that task
    SAME_SCENE    that task belongs to the clip's scene, where one of its trajectories or a record of progress towards
                  it is, and no progress towards it is recorded of the clip
    CONTRADICTED  two tasks of that text have different records

Shape legend: n rows, t trajectories, m meanings, e records of progress towards other tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64

from rfm.audit.reading.questions import Words
from rfm.trajectories.catalog import Catalog
from rfm.trajectories.task_groups import meaning

UNKNOWN = -1
OWN, ELSEWHERE, RECORDED, SAME_TEXT, SAME_FILE, SCORED, SAME_SCENE, CONTRADICTED = range(8)


@dataclass(frozen=True)
class Asked:
    """An instruction and a clip, row by row."""

    relation: Int64[np.ndarray, " n"]
    """One of the above; UNKNOWN where the text is no trajectory's or the clip's trajectory is not found."""
    record: Int64[np.ndarray, " n"]
    """The entry of `Catalog.towards` where the relation is RECORDED, else UNKNOWN."""

    def holds(self, *relations: int) -> Bool[np.ndarray, " n"]:
        """Return which rows have one of these relations."""
        return np.isin(self.relation, relations)

    @property
    def wrong(self) -> Bool[np.ndarray, " n"]:
        """Return which rows ask for another task than the clip's own."""
        return self.relation > OWN


@dataclass(frozen=True)
class Asking:
    """The instructions of a catalog's tasks."""

    catalog: Catalog

    def instruction(self, task: Words) -> Int64[np.ndarray, " n"]:
        """Return the meaning of each row's instruction; UNKNOWN where no trajectory has it."""
        code, _ = self._meanings
        found = np.array([code.get(meaning(text), UNKNOWN) for text in task.distinct], np.int64)
        return task.map(found, UNKNOWN)

    def asked(self, instruction: Int64[np.ndarray, " n"], trajectory: Int64[np.ndarray, " n"]) -> Asked:
        """Return what each instruction, as `instruction` gives it, is to a clip of each trajectory."""
        known = (instruction >= 0) & (trajectory >= 0)
        relation, record = (np.full(len(instruction), UNKNOWN, np.int64) for _ in range(2))
        said, at = instruction[known], trajectory[known]
        relation[known], record[known] = self._relate(said, at)
        return Asked(relation, record)

    def kind_fits(
        self, kind: Words, asked: Asked, instruction: Int64[np.ndarray, " n"], trajectory: Int64[np.ndarray, " n"]
    ) -> Bool[np.ndarray, " n"]:
        """Return whether each row's `instruction_kind` says what the instruction is to the clip.

        That a task is of another scene may rest on trajectories which were not drawn from (another side of a split):
        where some of the task's trajectories have a scene and some have none, either word is right.
        """
        said = {name: kind.map(np.array([text == name for text in kind.distinct], bool), False) for name in _KINDS}
        family, scene = self._families[instruction], self.catalog.scene_code[trajectory]
        known, unknown = self._scened
        here = self._is_here(family, trajectory)
        may_be_known = known[family] & (scene >= 0)
        may_be_unknown = unknown[family] | (scene < 0)
        elsewhere = (said["other_scene"] & may_be_known) | (said["unknown_scene"] & may_be_unknown)
        recorded = said["same_scene"] | (said["other_scene"] & may_be_known & ~here)
        fits = np.where(asked.holds(ELSEWHERE), elsewhere, np.where(asked.holds(RECORDED), recorded, False))
        return np.where(asked.holds(OWN), said["own"], fits).astype(bool)

    def _relate(
        self, said: Int64[np.ndarray, " n"], at: Int64[np.ndarray, " n"]
    ) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        catalog, family = self.catalog, self._families[said]
        record, agree = self._record(said, at)
        relation = np.where(record >= 0, np.where(agree, RECORDED, CONTRADICTED), ELSEWHERE)
        relation[self._is_here(family, at) & (record < 0)] = SAME_SCENE
        relation[self._in(self._by_group, family, catalog.preference_group[at])] = SCORED
        relation[self._in(self._by_file, family, catalog.file_code[at])] = SAME_FILE
        relation[family == catalog.family_code[at]] = SAME_TEXT
        relation[self._in(self._by_task, said, catalog.task_code[at])] = OWN
        return relation, np.where(relation == RECORDED, record, UNKNOWN)

    def _is_here(self, family: Int64[np.ndarray, " n"], at: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Return which families have a task in the scene of each trajectory, as far as that is known."""
        scene, own = self.catalog.scene_code[at], self.catalog.family_code[at]
        return self._in(self._by_scene, family, scene) | (
            (scene < 0) & self._in(self._beside_family, family, own.astype(np.int64))
        )

    def _record(
        self, said: Int64[np.ndarray, " n"], at: Int64[np.ndarray, " n"]
    ) -> tuple[Int64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Return the record of each trajectory's progress towards a task of each meaning, and whether all agree."""
        keys, first, agree = self._records
        if not len(keys):
            return np.full(len(said), UNKNOWN, np.int64), np.ones(len(said), bool)
        key = at * len(self._families) + said
        place = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        found = keys[place] == key
        return np.where(found, first[place], UNKNOWN), agree[place] | ~found

    @cached_property
    def _meanings(self) -> tuple[dict[str, int], Int64[np.ndarray, " t"]]:
        """The code of each meaning, and that of each trajectory's own text."""
        told = [meaning(text) for text in self.catalog.texts.to_pylist()]
        code = {text: at for at, text in enumerate(dict.fromkeys(told))}
        return code, np.array([code[text] for text in told], np.int64)[self.catalog.text_code]

    @cached_property
    def _by_task(self) -> Int64[np.ndarray, " k"]:
        """Every (meaning, task) that occurs."""
        return self._keys(self._meanings[1], self.catalog.task_code)

    @cached_property
    def _families(self) -> Int64[np.ndarray, " m"]:
        """The family of tasks of each meaning: one, since tasks that share a text are of one family."""
        out = np.zeros(len(self._meanings[0]), np.int64)
        out[self._meanings[1]] = self.catalog.family_code
        return out

    @cached_property
    def _scened(self) -> tuple[Bool[np.ndarray, " f"], Bool[np.ndarray, " f"]]:
        """Families of which some trajectory's scene is known, and of which some's is not."""
        families = int(self.catalog.family_code.max(initial=-1)) + 1
        has = self.catalog.scene_code >= 0
        known, unknown = (np.bincount(self.catalog.family_code[rows], minlength=families) > 0 for rows in (has, ~has))
        return known, unknown

    @cached_property
    def _recorded(self) -> tuple[Int64[np.ndarray, " e"], Int64[np.ndarray, " e"]]:
        """The family of the task of each record of progress, and the trajectory."""
        family = np.zeros(len(self.catalog.tasks), np.int64)
        family[self.catalog.task_code] = self.catalog.family_code
        return family[self.catalog.towards.task], self.catalog.towards.trajectory

    @cached_property
    def _by_scene(self) -> Int64[np.ndarray, " k"]:
        catalog, (family, at) = self.catalog, self._recorded
        scene = np.concatenate([catalog.scene_code, catalog.scene_code[at]])
        return self._keys(np.concatenate([catalog.family_code, family]), scene)

    @cached_property
    def _beside_family(self) -> Int64[np.ndarray, " k"]:
        """Every (family, family of a trajectory whose scene is not known) with a record of progress."""
        catalog, (family, at) = self.catalog, self._recorded
        return self._keys(family, np.where(catalog.scene_code[at] < 0, catalog.family_code[at], -1))

    @cached_property
    def _by_file(self) -> Int64[np.ndarray, " k"]:
        return self._keys(self.catalog.family_code, self.catalog.file_code)

    @cached_property
    def _by_group(self) -> Int64[np.ndarray, " k"]:
        return self._keys(self.catalog.family_code, self.catalog.preference_group)

    @cached_property
    def _records(self) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"], Bool[np.ndarray, " k"]]:
        """Keys (trajectory, meaning) in order, the first record of each, and whether its others say the same."""
        towards = self.catalog.towards
        task, told = np.unique(np.stack([self.catalog.task_code, self._meanings[1]]), axis=1)
        first, past = (np.searchsorted(task, towards.task, side) for side in ("left", "right"))
        entry = np.repeat(np.arange(len(towards)), past - first)
        begin = np.repeat(np.cumsum(past - first) - (past - first), past - first)
        said = told[np.arange(len(entry)) - begin + first[entry]]
        keys, one, of = np.unique(
            towards.trajectory[entry] * len(self._families) + said, return_index=True, return_inverse=True
        )
        agree = np.ones(len(keys), bool)
        for at in np.flatnonzero(one[of] != np.arange(len(entry))).tolist():
            agree[of[at]] &= np.array_equal(towards.curve(int(entry[at])), towards.curve(int(entry[one[of[at]]])))
        return keys, entry[one], agree

    def _keys(self, one: np.ndarray, other: np.ndarray) -> Int64[np.ndarray, " k"]:
        """Return every (one, other) as a number, in order; `other` -1 is none."""
        held = other >= 0
        return np.unique(one[held].astype(np.int64) * self._span + other[held])

    def _in(self, keys: Int64[np.ndarray, " k"], one: np.ndarray, other: np.ndarray) -> Bool[np.ndarray, " n"]:
        """Return which (one, other) are among the keys."""
        key = one.astype(np.int64) * self._span + other
        if not len(keys):
            return np.zeros(len(key), bool)
        return (keys[np.minimum(np.searchsorted(keys, key), len(keys) - 1)] == key) & (other >= 0)

    @cached_property
    def _span(self) -> int:
        catalog = self.catalog
        others = catalog.task_code, catalog.scene_code, catalog.file_code, catalog.preference_group, catalog.family_code
        return 1 + max(int(codes.max(initial=0)) for codes in others)


_KINDS = ("own", "same_scene", "other_scene", "unknown_scene")
