"""Rows that say the same: 64-bit hashes of what a row asks and answers, comparable between datasets.

Equal hashes stand for equal rows; among a million rows two different ones share a hash with probability 3e-8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt64

from rfm.audit.reading.questions import Questions, Words
from rfm.audit.reading.ragged import Ragged
from rfm.audit.rules.contract import Finding
from rfm.vqa.schema import PREFIXES

_NULL = np.uint64(0x9E3779B97F4A7C15)


def question_hashes(questions: Questions) -> UInt64[np.ndarray, " n"]:
    """Return a hash of each row's type, prompt, frame files and shown frames."""
    parts = [_of_words(questions.sample_type), _of_words(questions.prompt)]
    for prefix in PREFIXES:
        clip = questions.clips[prefix]
        parts += [_of_words(Words(questions.paths, clip.path)), _of_lists(clip.frames)]
    return _joined(parts)


def row_hashes(questions: Questions) -> UInt64[np.ndarray, " n"]:
    """Return a hash of each row's question and answer."""
    answer = np.nan_to_num(questions.answer, nan=-1).astype(np.int64).view(np.uint64)
    return _joined([question_hashes(questions), answer])


def repeated(hashes: UInt64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return which rows equal an earlier one."""
    _, first = np.unique(hashes, return_index=True)
    out = np.ones(len(hashes), bool)
    out[first] = False
    return out


def one_answer_a_question(questions: Questions) -> Finding:
    """Find rows that ask the same with another answer than the first that asks it."""
    _, first, code = np.unique(question_hashes(questions), return_index=True, return_inverse=True)
    given = questions.answer[first[code.reshape(-1)]]
    readable = ~np.isnan(questions.answer) & ~np.isnan(given)  # others break the rule for answers of their type
    everyone = np.ones(len(questions), bool)
    return Finding.of("the same question has one answer", everyone, readable & (questions.answer != given))


def _of_words(words: Words) -> UInt64[np.ndarray, " n"]:
    digests = [
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in words.distinct
    ]
    by_text = np.frombuffer(b"".join(digests), np.uint64)
    return np.append(by_text, _NULL)[words.code]


def _of_lists(lists: Ragged) -> UInt64[np.ndarray, " n"]:
    """Return the sum over each list of its values, mixed with their places, and of its length."""
    mixed = _mix(_mix(lists.values.astype(np.int64).view(np.uint64)) + lists.place.astype(np.uint64))
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])  # wraps around, as intended
    return total[lists.offsets[1:]] - total[lists.offsets[:-1]] + _mix(lists.lengths.astype(np.uint64))


def _joined(parts: Sequence[UInt64[np.ndarray, " n"]]) -> UInt64[np.ndarray, " n"]:
    out = np.zeros_like(parts[0])
    for part in parts:
        out = _mix(out + part)
    return out


def _mix(words: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """Spread every bit over the word (splitmix64; S. Vigna, 2015)."""
    words = words + _NULL
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
