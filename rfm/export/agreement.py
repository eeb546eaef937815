"""Whether two models give the same logits on real rows.

In: the rows' batches, encoded once. Out: logits of the answers' tokens, in float32 on the CPU, and how far two of them
are apart: the largest difference, and the largest logit it is measured against. Memory: answer logits of a few rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float

from rfm.batch.clips import Row
from rfm.batch.collator import Batch, VQACollator
from rfm.batch.tokens.sequences import IGNORE_INDEX

Logits = list[Float[torch.Tensor, "n vocabulary"]]


class Agreement(NamedTuple):
    """Of two models on the same rows, at the tokens of the answers."""

    rows: int
    tokens: int
    largest_difference: float
    largest_logit: float
    same_choice: int
    """Tokens at which both find the same one most likely."""

    @property
    def relative(self) -> float:
        """The largest difference as a share of the largest logit."""
        return self.largest_difference / self.largest_logit if self.largest_logit else self.largest_difference


def encode_rows(collator: VQACollator, rows: Sequence[Row]) -> list[Batch]:
    """Return one batch a row: no padding that could hide a difference."""
    return [collator([row]) for row in rows]


@torch.inference_mode()
def answer_logits(model: Any, batches: Sequence[Batch]) -> Logits:
    """Return the logits that decide each answer's tokens."""
    model.eval()
    found = []
    for batch in batches:
        inputs = {
            name: value.to(model.device) if isinstance(value, torch.Tensor) else value
            for name, value in batch.items()
            if name != "labels"
        }
        logits = model(**inputs).logits[0, :-1]  # the last one decides what follows the answer
        answered = batch["labels"][0, 1:] != IGNORE_INDEX
        found.append(logits[answered.to(logits.device)].float().cpu())
    return found


def compare(ours: Logits, theirs: Logits) -> Agreement:
    """Compare the logits of two models for the same batches."""
    one, other = torch.cat(ours), torch.cat(theirs)
    return Agreement(
        rows=len(ours),
        tokens=len(one),
        largest_difference=float((one - other).abs().max()),
        largest_logit=float(one.abs().max()),
        same_choice=int((one.argmax(1) == other.argmax(1)).sum()),
    )
