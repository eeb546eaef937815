"""Task texts that are nearly the same and yet count as different tasks: "open the drawer", "open the top drawer".

Maybe two wordings of one task, maybe two tasks: only who recorded them knows. Two texts are nearly the same if they
have the same words in another order, or one has a word more; where the datasets carry `lang_vector`, also if those
point the same way, as paraphrases without a common word do ("pull the handle", "open the drawer"). Rows with a
`task_id` each have been told apart by somebody and are left out. Words are compared by leaving one out at a time, so
the cost grows with their number; vectors by blocks, each with all others, up to `MOST_VECTORS` texts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from rfm.trajectories.catalog import Catalog
from rfm.trajectories.record import dataset_folder, normalise_task
from rfm.trajectories.store import read_columns
from rfm.trajectories.task_groups import meaning

FEWEST_WORDS = 2
"""Of the shorter text; "push" beside "push button" says too little."""


SAME_WAY = 0.95
"""Cosine of two vectors from which their texts are said; sentence encoders give opposites of equal words up to 0.9."""
MOST_VECTORS, BLOCK = 20_000, 512
"""Texts compared by their vectors, and how many of them at a time with all."""


def alike_texts(catalog: Catalog) -> list[tuple[str, str]]:
    """Return the pairs of texts, the first in order of appearance."""
    told = np.unique(np.stack([catalog.text_code, catalog.family_code, catalog.task_code]), axis=1).T.tolist()
    texts, tasks = catalog.texts.to_pylist(), catalog.tasks.to_pylist()
    family = {text: of for text, of, _ in told}
    named = {text for text, _, task in told if tasks[task] != normalise_task(texts[text])}
    found: dict[tuple[int, int], tuple[str, str]] = {}
    for text, other in (*_by_words(texts, family), *_by_vectors(catalog)):
        pair = min(family[text], family[other]), max(family[text], family[other])
        if pair[0] != pair[1] and not (text in named and other in named):
            found.setdefault(pair, (texts[min(text, other)], texts[max(text, other)]))
    return list(found.values())


def _by_words(texts: list[str], family: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Codes of texts of which the first has the words of the second, or one more."""
    words = {text: tuple(sorted(meaning(texts[text]).split())) for text in family}
    first: dict[tuple[str, ...], list[int]] = {}
    for text in sorted(words):
        first.setdefault(words[text], []).append(text)
    for text, own in sorted(words.items()):
        for shorter in _with_one_less(own):
            yield from ((text, other) for other in first.get(shorter, ()))


def _with_one_less(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The words themselves, and without each of them in turn."""
    yield words
    if len(words) > FEWEST_WORDS:
        yield from dict.fromkeys(words[:at] + words[at + 1 :] for at in range(len(words)))


def _by_vectors(catalog: Catalog) -> Iterator[tuple[int, int]]:
    """Codes of texts whose vectors point the same way."""
    codes, directions = _directions(catalog)
    for start in range(0, len(codes), BLOCK):
        near = directions[start : start + BLOCK] @ directions.T >= SAME_WAY
        for here, other in np.argwhere(np.triu(near, start + 1)).tolist():
            yield int(codes[start + here]), int(codes[other])


def _directions(catalog: Catalog) -> tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, "k d"]]:
    """Codes of the texts that come with a vector, of the size that most have, and the vectors at unit length."""
    given = _vectors(catalog)
    sizes = [len(vector) for vector in given.values()]
    size = max(set(sizes), key=sizes.count, default=0)
    kept = {code: vector for code, vector in sorted(given.items()) if len(vector) == size}
    codes = np.array(list(kept), np.int64)[:MOST_VECTORS]
    stacked = np.array([kept[code] for code in codes.tolist()], np.float32).reshape(len(codes), size)
    length = np.linalg.norm(stacked, axis=1, keepdims=True)
    sound = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
    return codes[sound], stacked[sound] / length[sound]


def _vectors(catalog: Catalog) -> dict[int, list[float]]:
    """The `lang_vector` of one row of each text that has any, by the text's code."""
    code_of = {text: code for code, text in enumerate(catalog.texts.to_pylist())}
    found: dict[int, list[float]] = {}
    for key in catalog.keys:
        table = read_columns(catalog.root / dataset_folder(key), ("task", "lang_vector"))
        table = table.filter(pc.greater(pc.fill_null(pc.list_value_length(table["lang_vector"]), 0), 0))
        rows = (
            pa.table({"task": table["task"], "row": np.arange(len(table))}).group_by("task").aggregate([("row", "min")])
        )
        for text, row in zip(rows["task"].to_pylist(), rows["row_min"].to_pylist(), strict=True):
            if text in code_of:
                found.setdefault(code_of[text], table["lang_vector"][row].as_py())
    return found
