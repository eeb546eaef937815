"""The models of the page, the sides that each is judged on, and what it was to reach there."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.results.sides import Side, film, from_sets, held_out, of_small, reword
from rfm.ingest.metaworld.tasks import BUNDLED
from rfm.metaworld_small.recipe import NAME
from rfm.metaworld_small.sides import COMPOSITIONS, OBJECTS, SEEN


@dataclass(frozen=True)
class Bar:
    """What a model was to reach on a side."""

    side: str
    figure: str
    value: float
    least: bool = True


@dataclass(frozen=True)
class Subject:
    """A model of the page."""

    name: str
    title: str
    what: str
    sides: tuple[Side, ...]
    bars: tuple[Bar, ...] = ()


UNSEEN = tuple(name for name in (*COMPOSITIONS, *OBJECTS) if name not in BUNDLED)
"""Tasks that neither model was trained on."""
DEMO = Subject(
    "demo",
    "The demo's model",
    "what `make demo` trains in about twenty minutes of one core, on 15 tasks.",
    (
        Side(
            "seen",
            "new episodes",
            "Held-out episodes of the tasks that it was trained on, in the words of training. Its last settings were "
            "chosen after looking at them.",
            held_out,
        ),
        Side(
            "wordings",
            "new words",
            "The same episodes, asked for in words that no training had.",
            reword,
        ),
        Side(
            "unseen",
            "unseen tasks",
            f"Tasks that it was never trained on, from the camera that it knows: {', '.join(UNSEEN)}.",
            from_sets("compositions", "objects", camera="right", tasks=UNSEEN),
        ),
        Side(
            "camera",
            "another camera",
            "Its tasks, filmed anew from another side and in frames of another size.",
            film(seed=13, episodes_per_task=12, cameras=("side",), sizes=(128,)),
        ),
        Side(
            "afresh",
            "filmed afresh",
            "Its tasks, simulated and filmed anew with another seed: nothing but the seed differs from training.",
            film(seed=12, episodes_per_task=12),
        ),
    ),
)
SMALL = Subject(
    NAME,
    "metaworld-small",
    f"the model in the package, trained on {len(SEEN)} tasks from several cameras (`make metaworld-small`).",
    (
        Side(
            "small_seen",
            "new episodes",
            "Held-out episodes of the tasks that it was trained on, in words of training.",
            of_small("seen", "train"),
        ),
        Side(
            "small_wordings",
            "new words",
            "The same episodes, asked for in words that no training had.",
            of_small("wordings", "train"),
        ),
        Side(
            "compositions",
            "unseen compositions",
            f"Tasks whose verb, object and place it has seen, never together: {', '.join(COMPOSITIONS)}.",
            of_small("compositions", "compositions"),
        ),
        Side(
            "objects",
            "unseen objects",
            f"Tasks with things that no task of training shows: {', '.join(OBJECTS)}.",
            of_small("objects", "objects"),
        ),
        Side(
            "small_camera",
            "another camera",
            "Its tasks, filmed anew from another side and in frames of another size.",
            of_small("camera", "camera"),
        ),
        Side(
            "small_afresh",
            "filmed afresh",
            "Its tasks, simulated and filmed anew with another seed.",
            of_small("afresh", "afresh"),
        ),
    ),
    (
        Bar("small_seen", "preference", 0.95),
        Bar("small_seen", "mae", 6.0, least=False),
        Bar("small_seen", "pearson", 0.92),
        Bar("small_seen", "tau_a", 0.85),
        Bar("small_seen", "quality", 0.95),
        Bar("small_seen", "own", 88.0),
        Bar("small_seen", "same_scene_0", 10.0, least=False),
        Bar("small_seen", "same_scene_more", 10.0, least=False),
        Bar("compositions", "preference", 0.8),
        Bar("compositions", "tau_a", 0.5),
    ),
)
MODELS = (SMALL.name, DEMO.name)
"""In the order of the page."""
