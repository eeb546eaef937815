"""Task texts that are nearly the same and yet count as different tasks: "open the drawer", "open the top drawer".

Maybe two wordings of one task, maybe two tasks: only who recorded them knows. Two texts are nearly the same if they
have the same words in another order, or one has a word more. Rows with a `task_id` each have been told apart by
somebody and are left out. Found by the texts' words, one word left out at a time, so the cost grows with the number of
words.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rfm.trajectories.catalog import Catalog
from rfm.trajectories.record import normalise_task
from rfm.trajectories.task_groups import meaning

FEWEST_WORDS = 2
"""Of the shorter text; "push" beside "push button" says too little."""


def alike_texts(catalog: Catalog) -> list[tuple[str, str]]:
    """Return the pairs of texts, the first in order of appearance."""
    told = np.unique(np.stack([catalog.text_code, catalog.family_code, catalog.task_code]), axis=1).T.tolist()
    texts, tasks = catalog.texts.to_pylist(), catalog.tasks.to_pylist()
    family = {text: of for text, of, _ in told}
    named = {text for text, _, task in told if tasks[task] != normalise_task(texts[text])}
    words = {text: tuple(sorted(meaning(texts[text]).split())) for text in family}
    first: dict[tuple[str, ...], list[int]] = {}
    for text in sorted(words):
        first.setdefault(words[text], []).append(text)
    found: dict[tuple[int, int], tuple[str, str]] = {}
    for text, own in sorted(words.items()):
        for shorter in _with_one_less(own):
            for other in first.get(shorter, ()):
                pair = min(family[text], family[other]), max(family[text], family[other])
                if pair[0] != pair[1] and not (text in named and other in named):
                    found.setdefault(pair, (texts[min(text, other)], texts[max(text, other)]))
    return list(found.values())


def _with_one_less(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The words themselves, and without each of them in turn."""
    yield words
    if len(words) > FEWEST_WORDS:
        yield from dict.fromkeys(words[:at] + words[at + 1 :] for at in range(len(words)))
