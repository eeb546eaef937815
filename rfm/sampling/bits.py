"""Sets of up to 64 columns a row, as the bits of one word: what a row may choose among, and choosing.

Counting and finding bits take some twenty operations on words, whatever the number of columns (Vigna 2008, "Broadword
implementation of rank/select queries").
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

COLUMNS = 64
_WORD = np.dtype("<u8")
_PAIRS, _NIBBLES, _HALVES = (np.uint64(0x0101010101010101 * byte) for byte in (0x55, 0x33, 0x0F))
_EACH_BYTE, _TOP_OF_EACH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_1, _2, _4, _7, _8, _56, _BYTE = (np.uint64(number) for number in (1, 2, 4, 7, 8, 56, 255))
_PLACE = np.zeros((256, 8), np.int64)
"""Where the n-th set bit of a byte is."""
for _value in range(256):
    _set = [bit for bit in range(8) if _value >> bit & 1]
    _PLACE[_value, : len(_set)] = _set


def packed(chosen: Bool[np.ndarray, "m c"]) -> UInt64[np.ndarray, " m"]:
    """Return the columns that are chosen in each row; at most 64 columns."""
    rows, columns = chosen.shape
    if columns < COLUMNS:
        chosen = np.concatenate([chosen, np.zeros((rows, COLUMNS - columns), bool)], axis=1)
    return np.packbits(chosen.reshape(-1), bitorder="little").view(_WORD)


def below(column: Int64[np.ndarray, " m"]) -> UInt64[np.ndarray, " m"]:
    """Return the columns before each row's `column`, which is at most 64."""
    return (_1 << column.astype(np.uint64)) - _1


def count(words: UInt64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
    """Return how many columns each row's set has."""
    return (_summed(words) >> _56).astype(np.int64)


def nth(words: UInt64[np.ndarray, " m"], number: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
    """Return the `number`-th column of each row's set, from 0; 0 where the set has none of that number."""
    summed, wanted = _summed(words), number.astype(np.uint64)
    passed = (wanted * _EACH_BYTE | _TOP_OF_EACH) - summed & _TOP_OF_EACH  # bytes whose bits all come before
    shift = ((passed >> _7) * _EACH_BYTE >> _56 & _7) * _8
    rest = wanted - ((summed << _8) >> shift & _BYTE)
    return shift.astype(np.int64) + _PLACE[words >> shift & _BYTE, np.minimum(rest, _7)]


def pick(words: UInt64[np.ndarray, " m"], ticket: Float64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
    """Return a column of each row's set, each as likely, by a number in [0, 1); no set must be empty."""
    return nth(words, (ticket * count(words)).astype(np.int64))


def _summed(words: UInt64[np.ndarray, " m"]) -> UInt64[np.ndarray, " m"]:
    """Return in each byte how many bits are set in it and in those before it."""
    out = words - (words >> _1 & _PAIRS)
    out = (out & _NIBBLES) + (out >> _2 & _NIBBLES)
    return (out + (out >> _4) & _HALVES) * _EACH_BYTE
