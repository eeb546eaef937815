"""Answers generated token by token: greedy, beam, sample, constrained.

In: a batch of prompts and the decoding settings. Out: the generated token ids of each row. Nothing about a row depends
on the rows beside it: noise is drawn from a generator of the row's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from transformers import LogitsProcessor, LogitsProcessorList

from rfm.batch.collator import Batch
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.inference.answering.decoding import Decoding
from rfm.vqa.answers import valid_answers

AllowedTokens = Callable[[int, Int64[torch.Tensor, " n"]], list[int]]


class RowNoise(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """Turns the greedy choice into a draw: log-probabilities over the temperature, plus Gumbel noise of the row's own.

    The greatest of them is distributed as the softmax is. Source: the Gumbel-max trick, Maddison et al. 2014
    (arXiv:1411.0030), section 2.
    """

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.temperature = temperature

    def __call__(self, input_ids: Int64[torch.Tensor, "b n"], scores: Float[torch.Tensor, "b v"]) -> torch.Tensor:
        """Return the noisy scores of one step; every row's generator moves on by one draw."""
        drawn = [torch.empty(scores.shape[1]).exponential_(generator=each) for each in self.generators]
        return scores / self.temperature - torch.stack(drawn).log().to(scores.device)


def generate(
    model: Any,
    batch: Batch,
    encoder: ConversationEncoder,
    decoding: Decoding,
    max_new_tokens: int,
    *,
    sample_type: str,
    seeds: Sequence[int] = (),
) -> list[list[int]]:
    """Return each row's new ids, up to and with the end of its turn; `seeds` are the rows', for `sample`."""
    length = batch["input_ids"].shape[1]
    extra: dict[str, Any] = {}
    if decoding.method == "beam":
        extra["length_penalty"] = 0.0  # the probability of the string: a short answer is not a worse one
    if decoding.method == "sample":
        extra["logits_processor"] = LogitsProcessorList([RowNoise(seeds, decoding.temperature)])
    if decoding.method == "constrained":
        extra["prefix_allowed_tokens_fn"] = allowed_tokens(encoder, sample_type, length, discrete=decoding.discrete)
    with torch.inference_mode():
        generated = model.generate(
            **batch,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=decoding.num_beams if decoding.method == "beam" else 1,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            eos_token_id=encoder.im_end,
            pad_token_id=encoder.pad,
            **extra,
        )
    new: list[list[int]] = generated[:, length:].tolist()
    return [ids[: ids.index(encoder.im_end) + 1] if encoder.im_end in ids else ids for ids in new]


def allowed_tokens(encoder: ConversationEncoder, sample_type: str, length: int, *, discrete: bool) -> AllowedTokens:
    """Return which tokens may follow what was generated behind `length` tokens, so that only valid answers arise."""
    following: dict[tuple[int, ...], set[int]] = {}
    for answer in valid_answers(sample_type, discrete=discrete):
        ids = tuple(encoder.answer_ids(str(answer)))
        for end in range(len(ids)):
            following.setdefault(ids[:end], set()).add(ids[end])

    def allowed(_: int, ids: Int64[torch.Tensor, " n"]) -> list[int]:
        return sorted(following.get(tuple(ids[length:].tolist()), {encoder.im_end}))  # the turn has ended: padding

    return allowed
