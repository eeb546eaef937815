"""Which task an instruction is of: that of the clip which it is asked of where it is the clip's own, else of its text.

One text may stand under several `task_id`s ("open the drawer" in two kitchens), which are ranked apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rfm.trajectories.catalog import Catalog
from rfm.trajectories.record import normalise_task


@dataclass(frozen=True)
class KnownTasks:
    """The tasks of trajectories; empty where those can't be read."""

    of_text: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """All tasks that have a normalised text."""
    of_path: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By frame file, the tasks that its video is known under: its own, and those of its preference group."""
    of_clip: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By frame file and normalised text, the task of its own."""

    def name(self, text: str | None, paths: Iterable[str | None] = ()) -> str:
        """Return the task of an instruction that is asked of clips of these frame files."""
        normal = normalise_task(text or "")
        own = (self.of_clip.get((path, normal)) for path in paths if path)
        return next((task for task in own if task is not None), self.named_so(text)[0])

    def named_so(self, text: str | None) -> tuple[str, ...]:
        """Return all tasks that a text may mean, one at least."""
        normal = normalise_task(text or "")
        return self.of_text.get(normal) or (normal or "unknown",)

    def joined(self, others: KnownTasks) -> KnownTasks:
        """Return these tasks and those of other trajectories."""
        of_text = dict(self.of_text)
        for text, tasks in others.of_text.items():
            of_text[text] = tuple(dict.fromkeys([*of_text.get(text, ()), *tasks]))
        return KnownTasks(of_text, {**others.of_path, **self.of_path}, {**others.of_clip, **self.of_clip})


def known_tasks(catalog: Catalog) -> KnownTasks:
    """Return the tasks of a catalog."""
    tasks, texts = catalog.tasks.to_pylist(), [normalise_task(text) for text in catalog.texts.to_pylist()]
    of_text: dict[str, list[str]] = {}
    for text, task in sorted(set(zip(catalog.text_code.tolist(), catalog.task_code.tolist(), strict=True))):
        if tasks[task] not in of_text.setdefault(texts[text], []):
            of_text[texts[text]].append(tasks[task])
    of_clip: dict[tuple[str, str], str] = {}
    rows = zip(catalog.frames_path.to_pylist(), catalog.text_code.tolist(), catalog.task_code.tolist(), strict=True)
    for path, text, task in rows:
        of_clip.setdefault((path, texts[text]), tasks[task])
    return KnownTasks({text: tuple(named) for text, named in of_text.items()}, _of_paths(catalog, tasks), of_clip)


def _of_paths(catalog: Catalog, tasks: list[str]) -> dict[str, frozenset[str]]:
    """Return under which tasks each video is shown: by the rule by which generation draws wrong instructions."""
    groups = catalog.preference_group.tolist()
    of_group: dict[int, set[str]] = {}
    for group, task in zip(groups, catalog.task_code.tolist(), strict=True):
        of_group.setdefault(group, set()).add(tasks[task])
    found: dict[str, frozenset[str]] = {}
    for path, group, task in zip(catalog.frames_path.to_pylist(), groups, catalog.task_code.tolist(), strict=True):
        known = of_group[group] if group >= 0 else {tasks[task]}
        found[path] = found.get(path, frozenset()) | known
    return found
