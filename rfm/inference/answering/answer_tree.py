"""The valid answers of a question as a tree of tokens. No torch.

Answers share their first tokens: `1`, `10` and `100` are one path. The tree holds each shared token once, so that one
pass over its nodes (101 for the scores 0 to 100) gives the probability of every answer: the product of its tokens' and,
where one answer begins another, of the token that ends the turn, since only that tells 1 from the start of 10. Where
none does (1 and 2), its first token settles the answer and there is no node at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from rfm.batch.tokens.conversation import ANSWER_PREFIX, ConversationEncoder
from rfm.errors import DataError
from rfm.vqa.answers import valid_answers

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class AnswerTree:
    """The tokens that can follow the prefix `ANS: `, and where each answer's probability is read."""

    answers: tuple[int, ...]
    prefix: Tokens
    tokens: Int64[np.ndarray, " nodes"]
    parents: Int64[np.ndarray, " nodes"]
    """The node that each one follows; -1 for those that follow the prefix. Parents stand before their children."""
    read_at: Int64[np.ndarray, "answers k"]
    """Behind which token each factor of an answer is read: 0 is the prefix, 1 + i is node i; -1: no factor."""
    read_token: Int64[np.ndarray, "answers k"]
    """Whose probability the factor is."""

    @property
    def nodes(self) -> int:
        """How many tokens the tree has; 0 where every answer is one token."""
        return len(self.tokens)

    def sees(self) -> Bool[np.ndarray, "nodes nodes"]:
        """Return which nodes each node attends to: itself and those it follows."""
        seen = np.eye(self.nodes, dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen

    def depth(self) -> Int64[np.ndarray, " nodes"]:
        """Return how many tokens behind the prefix each node stands, from 1."""
        return self.sees().sum(axis=1)


def answer_tree(encoder: ConversationEncoder, sample_type: str, *, discrete: bool = False) -> AnswerTree:
    """Return the tree of a sample type's valid answers.

    Raises:
        DataError: the tokenizer joins the prefix `ANS: ` and an answer into one token.

    """
    answers = valid_answers(sample_type, discrete=discrete)
    prefix = tuple(encoder.answer_ids("")[:-1])
    written = [tuple(encoder.answer_ids(str(answer))) for answer in answers]
    if any(ids[: len(prefix)] != prefix for ids in written):
        raise DataError(
            f"The tokenizer must keep {ANSWER_PREFIX!r} and an answer apart, but joins them: answers can't be scored; "
            "take --decoding greedy"
        )
    return _build(answers, prefix, [ids[len(prefix) :] for ids in written])


def _build(answers: tuple[int, ...], prefix: Tokens, written: Sequence[Tokens]) -> AnswerTree:
    paths = written if _one_begins_another(written) else [ids[:-1] for ids in written]
    nodes = sorted({ids[:length] for ids in paths for length in range(1, len(ids))}, key=lambda path: (len(path), path))
    place = {path: index for index, path in enumerate([(), *nodes])}
    longest = max(len(ids) for ids in paths)
    read_at, read_token = (np.full((len(paths), longest), -1, np.int64) for _ in range(2))
    for row, ids in enumerate(paths):
        read_at[row, : len(ids)] = [place[ids[:length]] for length in range(len(ids))]
        read_token[row, : len(ids)] = ids
    return AnswerTree(
        answers,
        prefix,
        np.array([path[-1] for path in nodes], np.int64),
        np.array([place[path[:-1]] - 1 for path in nodes], np.int64),
        read_at,
        read_token,
    )


def _one_begins_another(written: Sequence[Tokens]) -> bool:
    """Tell whether an answer without the end of its turn begins another answer."""
    bare = [ids[:-1] for ids in written]
    return any(one != other and other[: len(one)] == one for one in bare for other in bare)
