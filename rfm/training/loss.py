"""The loss of a step: the mean over all its answer tokens, whatever batches and processes they came in.

The stock loss is the mean over one batch, and these model classes say that they can't be told more
(`accepts_loss_kwargs` is False), so that the Trainer would average such means: an answer in a batch with few answer
tokens would weigh more, and a packed batch's composition would decide how much. As `Trainer(compute_loss_func=)` this
function is given the count over all accumulated batches and processes, and divides by it. With one batch a step it
is the stock loss. An evaluation is one mean over all its answer tokens too, from `row_losses`.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Float64
from torch.nn.functional import cross_entropy

from rfm.batch.tokens.sequences import IGNORE_INDEX


def answer_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None, *, packed: bool = False
) -> Float[torch.Tensor, ""]:
    """Return the summed loss of a batch's answer tokens over their number in the whole step; 0 where it has none.

    `packed` labels stand one beside each kept logit; padded ones end with the logits, which predict the next.
    """
    logits = outputs.logits
    if not packed:
        logits, labels = logits[:, :-1], labels[:, 1:]
    logits, labels = logits.flatten(0, 1).float(), labels.flatten().to(logits.device)
    if num_items_in_batch is None:
        return cross_entropy(logits, labels, ignore_index=IGNORE_INDEX)
    count = torch.as_tensor(num_items_in_batch, device=logits.device).clamp(
        min=1
    )  # all rows of a step may be unreadable
    return cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum") / count


def row_losses(logits: Float[torch.Tensor, "b k v"], labels: torch.Tensor) -> Float64[torch.Tensor, "b 2"]:
    """Return the summed loss of each padded row's answer tokens, and their number."""
    logits, labels = logits[:, :-1].float(), labels[:, 1:].to(logits.device)
    losses = cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORE_INDEX, reduction="none")
    return torch.stack([losses.double().sum(dim=1), (labels != IGNORE_INDEX).sum(dim=1).double()], dim=1)
