"""Which scene an episode shows, where its format does not say: the user's word for all of them (`--scene`).

Rows of one scene look at the same things, so that one's instruction may be asked of another. A format says it in few
cases: RoboArena by its sessions, LIBERO by the names of its files, lists and RFM's datasets by a column `scene_id`. The
name of a simulator's environment is none: most have one for each task.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rfm.ingest.episode import Episode

_LIBERO = re.compile(r"(?:^|/)([A-Z]+(?:_[A-Z]+)*_SCENE\d+)_[a-z][^/]*$")
"""A benchmark's file, as `libero_90/KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet.bddl`."""


def scene_of(episode: Episode, rule: str) -> str | None:
    """The scene that the episode's format names, else the one that the rule gives it."""
    by_rule = {"source": episode.data_source, "episode": episode.id, "none": None}
    return episode.scene_id or by_rule[rule]


def libero_scene(paths: Iterable[str]) -> str | None:
    """The scene that one of the paths is named after, as those of LIBERO's suites of several scenes are."""
    found = (match[1] for path in paths if (match := _LIBERO.search(path)))
    return next((f"libero-{name}" for name in found), None)
