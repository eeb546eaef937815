"""Encoded conversations as the token tensors of one batch: padded on the left, or packed one after the other.

Padded, B rows of at most L tokens, K = longest answer + 1:

    input_ids, attention_mask   int64 (B, L)
    position_ids                int64 (3, B, L): time, height, width (`rfm.batch.tokens.positions`)
    labels                      int64 (B, K): the answers' tokens, -100 elsewhere
    logits_to_keep              K, as an integer: all answers end at the last column

Packed, T tokens in all, of which M carry loss; no padding:

    input_ids                   int64 (1, T)
    position_ids                int64 (4, 1, T): row 0 counts each conversation's tokens from 0, rows 1 to 3 as above
    use_cache                   False
    logits_to_keep              int64 (M): the place before each answer token
    labels, shift_labels        int64 (1, M): the answers' tokens, one a kept logit, not to be shifted again

The stock models find the borders of packed conversations where row 0 falls back to 0, but only if there is no
`attention_mask` and no cache: an all-ones mask, three rows of positions or the default cache let every conversation see
those before it, without a word. Hence no mask here, and `use_cache` in the batch: the Trainer switches the cache off on
the outer configuration only, which these models do not look at.

What a loss weighs: the stock loss is the mean over the answer tokens of a batch, padded or packed. Packed batches hold
unequally many of them, so whoever averages such means over batches or processes favours the answers in small ones. To
weigh each answer token equally, sum the losses and divide by the count of the whole step: `Trainer(compute_loss_func=)`
is given that count, over accumulated batches and processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from rfm.batch.tokens.conversation import Encoded

IGNORE_INDEX = -100

Tensors = dict[str, Any]


def padded(rows: Sequence[Encoded], pad: int, *, with_answers: bool = True) -> Tensors:
    """Pad rows on the left with the token `pad`.

    Without answers the batch is one for generation: it ends where the answers begin, and has no labels.
    """
    shape = (len(rows), max(len(row.ids) for row in rows))
    ids = np.full(shape, pad, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    positions = np.zeros((3, *shape), dtype=np.int64)
    for index, row in enumerate(rows):
        start = shape[1] - len(row.ids)
        ids[index, start:], mask[index, start:] = row.ids, 1
        positions[:, index, start:] = row.positions
    batch: Tensors = _tensors(input_ids=ids, attention_mask=mask, position_ids=positions)
    if with_answers:
        keep = max(row.answer_tokens for row in rows) + 1
        batch |= {**_tensors(labels=padded_labels(rows, keep)), "logits_to_keep": keep}
    return batch


def padded_labels(rows: Sequence[Encoded], keep: int) -> Int64[np.ndarray, "rows keep"]:
    """Return what each of the last `keep` tokens is to be predicted as, -100 outside the answers."""
    labels = np.full((len(rows), keep), IGNORE_INDEX, dtype=np.int64)
    for index, row in enumerate(rows):
        labels[index, keep - row.answer_tokens :] = row.ids[len(row.ids) - row.answer_tokens :]
    return labels


def packed(rows: Sequence[Encoded]) -> Tensors:
    """Put rows one after the other; each must have an answer."""
    lengths = np.array([len(row.ids) for row in rows])
    ends = np.cumsum(lengths)
    ids = np.concatenate([row.ids for row in rows])
    positions = np.empty((4, 1, ends[-1]), dtype=np.int64)
    for row, start, end in zip(rows, ends - lengths, ends, strict=True):
        positions[0, 0, start:end] = np.arange(end - start)
        positions[1:, 0, start:end] = row.positions
    answers = np.concatenate([np.arange(end - row.answer_tokens, end) for row, end in zip(rows, ends, strict=True)])
    labels = ids[answers][None]
    return {
        **_tensors(input_ids=ids[None], position_ids=positions, logits_to_keep=answers - 1),
        **_tensors(labels=labels, shift_labels=labels),
        "use_cache": False,
    }


def _tensors(**arrays: np.ndarray) -> dict[str, Any]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
