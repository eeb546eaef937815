"""Which rows are the same task: by `task_id` where a row has one, by the normalised text where it has none.

A row without an id joins the rows that share its text and have one (the first id in alphabetical order, should they
disagree); two rows with different ids stay apart, whatever their texts.

A family is coarser: tasks that one text means both of ("open the drawer" in two kitchens, or "open drawer") can't be
set against each other as if one were wrong where the other is right.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int, Int32
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rfm.trajectories.record import normalise_task

_ARTICLES = frozenset(("a", "an", "the"))
_NO_PLURALS = ("ss", "us", "is")


def encode(values: pa.Array) -> tuple[pa.StringArray, Int32[np.ndarray, "n"]]:
    """The distinct values in order of appearance, and each row's index among them (-1 for null)."""
    coded = pc.dictionary_encode(values)
    return coded.dictionary, coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)


def group_tasks(
    texts: pa.StringArray, text_code: Int32[np.ndarray, "n"], task_ids: pa.StringArray
) -> tuple[pa.StringArray, Int32[np.ndarray, "n"]]:
    """The distinct tasks and each row's index among them."""
    wordings, wording_of_text = encode(pa.array([normalise_task(text) for text in texts.to_pylist()], pa.string()))
    ids, id_code = encode(task_ids)
    has_id = id_code >= 0
    wording = wording_of_text[text_code]
    adopted = _adopted_ids(ids, id_code, wording, has_id, len(wordings))[wording]
    by_text = np.where(adopted >= 0, adopted, len(ids) + wording)
    names = pa.concat_arrays([ids, wordings])
    return encode(names.take(pa.array(np.where(has_id, id_code, by_text))))


def _adopted_ids(
    ids: pa.StringArray,
    id_code: Int32[np.ndarray, "n"],
    wording: Int32[np.ndarray, "n"],
    has_id: Bool[np.ndarray, "n"],
    num_wordings: int,
) -> Int[np.ndarray, "w"]:
    """For each wording the first id, alphabetically, of the rows that have both; -1 where no row has an id."""
    order = pc.sort_indices(ids).to_numpy()
    rank = np.empty(len(ids), dtype=np.int64)
    rank[order] = np.arange(len(ids))
    first = np.full(num_wordings, len(ids), dtype=np.int64)
    np.minimum.at(first, wording[has_id], rank[id_code[has_id]])
    return np.append(order.astype(np.int64), -1)[first]


def task_families(
    texts: pa.StringArray, text_code: Int32[np.ndarray, "n"], task_code: Int32[np.ndarray, "n"]
) -> Int32[np.ndarray, "n"]:
    """Each row's family: tasks are joined by texts that mean the same, articles and plurals aside."""
    meanings, meaning_of_text = encode(pa.array([meaning(text) for text in texts.to_pylist()], pa.string()))
    tasks = int(task_code.max(initial=-1)) + 1
    nodes = tasks + len(meanings)
    edges = (task_code, tasks + meaning_of_text[text_code])
    graph = coo_array((np.ones(len(task_code), np.int8), edges), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1][task_code].astype(np.int32)


def meaning(text: str) -> str:
    """The text normalised, articles and plurals aside."""
    words = normalise_task(text).split()
    return " ".join(_singular(word) for word in words if word not in _ARTICLES) or " ".join(words)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(_NO_PLURALS) else word
