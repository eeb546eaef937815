"""Questions that begin alike, as one tree: what they share is there once.

In: encoded conversations and, for each of their pictures, a number that tells different pictures apart. Out:
`SharedRows`: the tokens that two or more rows begin with (the trunk: parents stand before their children), and what is
left of each row. A conversation is cut where its pictures begin and end; pieces are the same where tokens, positions,
pictures and all that stands before them are. The text behind the last picture is never shared: an answer is read there.

In a causal model a token's keys and values depend on what stands before it alone, so the trunk can be computed once for
all rows. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from rfm.batch.tokens.conversation import Encoded


class Part(NamedTuple):
    """Consecutive tokens: ids, positions, and the numbers of the pictures among them, in order."""

    ids: Int64[np.ndarray, " n"]
    positions: Int64[np.ndarray, "3 n"]
    pictures: tuple[int, ...]

    @staticmethod
    def joined(parts: Sequence[Part]) -> Part:
        """Return parts one behind the other."""
        ids = np.concatenate([part.ids for part in parts]) if parts else np.empty(0, np.int64)
        positions = np.concatenate([part.positions for part in parts], axis=1) if parts else np.empty((3, 0), np.int64)
        return Part(ids, positions, tuple(number for part in parts for number in part.pictures))


@dataclass(frozen=True)
class SharedRows:
    """The trunk of n tokens, and what is left of each of b rows."""

    trunk: Part
    sees: Bool[np.ndarray, "n n"]
    """Which tokens of the trunk each of them attends to."""
    rests: tuple[Part, ...]
    seen: Bool[np.ndarray, "b n"]
    """Which tokens of the trunk belong to each row."""

    @property
    def branches(self) -> bool:
        """Whether a token of the trunk must not see all those before it."""
        return not np.array_equal(self.sees, np.tril(np.ones_like(self.sees)))


def shared_rows(
    rows: Sequence[Encoded], pictures: Sequence[Sequence[int]], pads: Sequence[int], tokens: Sequence[int]
) -> SharedRows:
    """Return the tree; `pads` are the tokens that stand for pictures, `tokens` how many a picture of each row has."""
    nodes: dict[tuple[int, bytes, bytes, tuple[int, ...]], int] = {}
    parts: list[Part] = []
    parents: list[int] = []
    uses: list[int] = []
    paths = []
    cut = [_pieces(*row, pads) for row in zip(rows, pictures, tokens, strict=True)]
    for pieces in cut:
        path, parent = [], -1
        for piece in pieces[:-1]:
            key = (parent, piece.ids.tobytes(), piece.positions.tobytes(), piece.pictures)
            node = nodes.setdefault(key, len(parts))
            if node == len(parts):
                parts.append(piece)
                parents.append(parent)
                uses.append(0)
            uses[node] += 1
            path.append(node)
            parent = node
        paths.append(path)
    return _split(cut, paths, parts, parents, [node for node, used in enumerate(uses) if used > 1])


def _split(
    cut: Sequence[Sequence[Part]],
    paths: Sequence[Sequence[int]],
    parts: Sequence[Part],
    parents: Sequence[int],
    shared: Sequence[int],
) -> SharedRows:
    """Return the shared nodes as the trunk; a row's shared nodes are the first of its path."""
    place = {node: at for at, node in enumerate(shared)}
    above = np.eye(len(shared), dtype=bool)
    for node, at in place.items():
        if parents[node] >= 0:
            above[at] |= above[place[parents[node]]]
    of_token = np.repeat(np.arange(len(shared)), [len(parts[node].ids) for node in shared])
    of_row = np.zeros((len(paths), len(shared)), bool)
    rests = []
    for row, (pieces, path) in enumerate(zip(cut, paths, strict=True)):
        common = [place[node] for node in path if node in place]
        of_row[row, common] = True
        rests.append(Part.joined(pieces[len(common) :]))
    sees = above[of_token][:, of_token] & np.tri(len(of_token), dtype=bool)
    return SharedRows(Part.joined([parts[node] for node in shared]), sees, tuple(rests), of_row[:, of_token])


def _pieces(row: Encoded, pictures: Sequence[int], tokens: int, pads: Sequence[int]) -> list[Part]:
    """Cut a row where its pictures begin and end."""
    visual = np.flatnonzero(np.isin(row.ids, pads))
    if len(visual) != tokens * len(pictures):
        raise ValueError(f"`pictures` must cover the {len(visual)} visual tokens, but cover {tokens * len(pictures)}")
    starts = visual[::tokens]
    edges = np.unique(np.concatenate(([0], starts, starts + tokens, [len(row.ids)])))
    number = dict(zip(starts.tolist(), pictures, strict=True))
    return [
        Part(row.ids[low:high], row.positions[:, low:high], (number[low],) if low in number else ())
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
