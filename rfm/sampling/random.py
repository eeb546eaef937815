"""Randomness as a function of seed, stream and row position.

A row's draws must not depend on how rows are batched, shared among workers or resumed, so no generator has a state:
each number is a hash of (seed, stream, position). The hash is the finaliser of SplitMix64 (Steele, Lea and Flood 2014,
"Fast splittable pseudorandom number generators"), of the position once and of its sum with each stream's key.
`permute` is a bijection of [0, n) by a four-round Feistel network with cycle walking (Black and Rogaway 2002), so that
quotas can be laid out in order and still come shuffled, without a table of n entries.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def mix(x: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """Return SplitMix64's finaliser of each word."""
    x = x ^ (x >> np.uint64(30))
    x *= _MIX_1
    x ^= x >> np.uint64(27)
    x *= _MIX_2
    x ^= x >> np.uint64(31)
    return x


@lru_cache(maxsize=4096)
def stream_key(seed: int, stream: str) -> np.uint64:
    """Return the 64-bit key of a named stream of random numbers."""
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


@dataclass(frozen=True)
class RowRandom:
    """The random numbers of a block of rows; each call names its stream, and equal calls give equal numbers."""

    seed: int
    positions: UInt64[np.ndarray, " n"]
    ranks: Int64[np.ndarray, " n"] | None = None
    """Numbers of the rows within their strategy, where `ticket` hands out each number equally often."""

    def take(self, rows: Int64[np.ndarray, " m"]) -> RowRandom:
        """Return the random numbers of some of the rows."""
        return RowRandom(self.seed, self.positions[rows], None if self.ranks is None else self.ranks[rows])

    def words(self, stream: str) -> UInt64[np.ndarray, " n"]:
        """Return 64 random bits a row."""
        return mix(self._mixed + stream_key(self.seed, stream))

    @cached_property
    def _mixed(self) -> UInt64[np.ndarray, " n"]:
        return mix(self.positions * _GOLDEN + stream_key(self.seed, "positions"))

    def uniform(self, stream: str) -> Float64[np.ndarray, " n"]:
        """Return a number in [0, 1) a row."""
        return (self.words(stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def coin(self, stream: str) -> Bool[np.ndarray, " n"]:
        """Return a fair coin a row."""
        return self.words(stream) >> np.uint64(63) == 1

    def below(self, stream: str, bound: Int64[np.ndarray, " n"] | int) -> Int64[np.ndarray, " n"]:
        """Return an integer in [0, bound) a row; bounds must be at least 1 and below 2**52."""
        return np.minimum((self.uniform(stream) * bound).astype(np.int64), np.asarray(bound, np.int64) - 1)

    def ticket(self, stream: str, total: int) -> Int64[np.ndarray, " n"]:
        """Return an integer in [0, total) a row: at random, or with `ranks` all of them in turn, in a permuted order.

        Ranks also decide on which side the better clip stands, by their parity; turns of even length are shifted by
        one each, so that a number comes up with even and odd ranks alike.
        """
        if self.ranks is None:
            return self.below(stream, total)
        turn, place = np.divmod(self.ranks, total)
        shifted = (place + turn * (total % 2 == 0)) % total
        return permute(shifted.astype(np.uint64), total, self.seed, f"{stream}/in turn")


def permute(positions: UInt64[np.ndarray, " m"], n: int, seed: int, stream: str) -> Int64[np.ndarray, " m"]:
    """Return the images of `positions`, all below `n`, under a bijection of [0, n) that `seed` and `stream` choose."""
    half = max(1, (max(n - 1, 1).bit_length() + 1) // 2)
    keys = [stream_key(seed, f"{stream}/round{i}") for i in range(4)]
    out = _feistel(positions.astype(np.uint64), half, keys)
    outside = np.flatnonzero(out >= np.uint64(n))
    while len(outside):
        out[outside] = _feistel(out[outside], half, keys)
        outside = outside[out[outside] >= np.uint64(n)]
    return out.astype(np.int64)


def _feistel(x: UInt64[np.ndarray, " m"], half: int, keys: list[np.uint64]) -> UInt64[np.ndarray, " m"]:
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = x >> shift, x & mask
    for key in keys:
        left, right = right, left ^ (mix(right * _GOLDEN + key) & mask)
    return (left << shift) | right
