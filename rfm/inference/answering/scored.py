"""Exact answer probabilities: the prompt once, then all answers in one pass over their tree.

In: a model, a batch of prompts for generation (`VQACollator(..., with_answers=False)`, all rows of one sample type) and
an `AnswerTree`. Out: `Distribution`, P(answer) after the prefix `ANS: `.

The prompt and the prefix fill a cache; the tree's tokens then follow side by side. A mask lets each see the prompt and
its own path, and its position is the prompt's last plus its depth, so it gets the logits it would have at the end of
its own string: equal to writing out all strings to 1e-5 in float32. Answers of one token (1 and 2) need the first
forward only.

Cost: a forward of the prompt and one of 101 tokens for 0 to 100, where greedy decoding takes one of the prompt and one
more a token. Not taken (`benchmarks/decoding.py`): prompt and tree in one pass, on a CPU up to twice as fast for one
row and slower for 32, whose mask grows with the square of the prompt and keeps the prompt from flash attention; and the
cache repeated for 10 and 90 one-token branches, two to five times slower, which holds the prompt's cache ninety times.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64

from rfm.batch.collator import Batch
from rfm.inference.answering.answer_tree import AnswerTree
from rfm.inference.answering.distribution import Distribution
from rfm.model.stock.kv_cache import cache_in, with_cache

TAKES_A_MASK = ("sdpa", "eager")
"""Attention implementations that a mask of who sees whom can be given to; flash attention is none of them."""


def answer_distribution(model: Any, batch: Batch, tree: AnswerTree) -> Distribution:
    """Return the probabilities of the tree's answers for each row; the model is left in the mode it was in.

    `batch` may hold labels, which are ignored, but its rows must end where the answer begins. It may lie on any device.
    """
    logs = answer_log_probabilities(model, batch, tree).cpu().numpy().astype(np.float64)
    return Distribution.from_logs(np.array(tree.answers, np.float64), logs)


def answer_log_probabilities(model: Any, batch: Batch, tree: AnswerTree) -> Float[torch.Tensor, "b answers"]:
    """Return log P(answer) after the prefix, not normalised over the answers: float32, on the model's device."""
    device = next(model.parameters()).device
    inputs = {name: value.to(device) for name, value in batch.items() if isinstance(value, torch.Tensor)}
    inputs.pop("labels", None)
    with evaluating(model):
        inputs = _with_prefix(inputs, tree)
        out = model(**inputs, logits_to_keep=1, use_cache=tree.nodes > 0)
        last = inputs["position_ids"][:, :, -1:]
        return branch_log_probabilities(model, out.logits, cache_in(out), inputs["attention_mask"], last, tree)


def first_shares(model: Any, batch: Batch, tree: AnswerTree) -> dict[str, float]:
    """Return how probable each first digit of an answer is behind the prefix, for a batch of one row."""
    device = next(model.parameters()).device
    inputs = {name: value.to(device) for name, value in batch.items() if isinstance(value, torch.Tensor)}
    with evaluating(model):
        logits = model(**_with_prefix(inputs, tree), logits_to_keep=1, use_cache=False).logits[0, -1].float()
    shares = logits.softmax(0)
    first = {str(answer)[0]: int(token) for answer, token in zip(tree.answers, tree.read_token[:, 0], strict=True)}
    return {digit: float(shares[token]) for digit, token in first.items()}


def branch_log_probabilities(
    model: Any,
    logits: Float[torch.Tensor, "b 1 vocabulary"],
    cache: Any,
    seen: Int64[torch.Tensor, "b n"],
    last: Int64[torch.Tensor, "3 b 1"],
    tree: AnswerTree,
) -> Float[torch.Tensor, "b answers"]:
    """Return log P(answer) from what a pass over the prompts left behind.

    `logits` are those behind the prefix, `last` its position; of the n cached tokens the tree attends to those that are
    1 in `seen`. The model must be in evaluation mode; the cache is longer by the tree afterwards.
    """
    if tree.nodes:
        with masked_attention(model):
            nodes = model(**_tree_inputs(seen, last, tree, model.dtype), **with_cache(model, cache))
        logits = torch.cat([logits, nodes.logits.to(logits.dtype)], dim=1)
    return torch.stack([_read(row, tree) for row in logits])


def _with_prefix(inputs: Batch, tree: AnswerTree) -> Batch:
    """Return the prompts with `ANS: ` behind them."""
    ids, mask, positions = inputs["input_ids"], inputs["attention_mask"], inputs["position_ids"]
    prefix = torch.tensor(tree.prefix, device=ids.device).expand(len(ids), -1)
    steps = torch.arange(1, len(tree.prefix) + 1, device=ids.device)
    return inputs | {
        "input_ids": torch.cat([ids, prefix], dim=1),
        "attention_mask": torch.cat([mask, torch.ones_like(prefix)], dim=1),
        "position_ids": torch.cat([positions, positions[:, :, -1:] + steps], dim=2),
    }


def _tree_inputs(
    seen: Int64[torch.Tensor, "b n"], last: Int64[torch.Tensor, "3 b 1"], tree: AnswerTree, dtype: torch.dtype
) -> Batch:
    """Return the inputs that continue a cache by the tree."""
    tokens, depth = (torch.from_numpy(array).to(seen.device) for array in (tree.tokens, tree.depth()))
    return {
        "input_ids": tokens.expand(len(seen), -1),
        "attention_mask": _tree_mask(seen, tree, dtype),
        "position_ids": last + depth,
        "use_cache": True,
    }


def _tree_mask(
    prompt: Int64[torch.Tensor, "b n"], tree: AnswerTree, dtype: torch.dtype
) -> Float[torch.Tensor, "b 1 nodes n+nodes"]:
    """Return 0 where a node sees a token of the prompt or of its own path, and the least number elsewhere."""
    rows, nodes = len(prompt), tree.nodes
    path = torch.from_numpy(tree.sees()).to(prompt.device)
    seen = torch.cat([prompt.bool()[:, None].expand(-1, nodes, -1), path.expand(rows, -1, -1)], dim=2)[:, None]
    return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)


def _read(logits: Float[torch.Tensor, "1+nodes vocabulary"], tree: AnswerTree) -> Float[torch.Tensor, " answers"]:
    """Return one row's log-probabilities; a row at a time, or float32 logits of a whole batch would be held."""
    precise = logits.float()
    logs = precise - precise.logsumexp(dim=1, keepdim=True)
    at, token = (torch.from_numpy(array).to(logits.device) for array in (tree.read_at, tree.read_token))
    factors = logs[at.clamp(min=0), token.clamp(min=0)]
    return torch.where(at >= 0, factors, 0.0).sum(dim=1)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module is back in its own mode."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def masked_attention(model: Any) -> Iterator[None]:
    """SDPA in the language model where its own attention takes no mask."""
    config = model.get_decoder().config
    own = config._attn_implementation
    config._attn_implementation = own if own in TAKES_A_MASK else "sdpa"
    try:
        yield
    finally:
        config._attn_implementation = own
