"""Which texts mean one instruction, by the contract alone."""

from __future__ import annotations

import string


def plain(text: str) -> str:
    """Case, space and punctuation aside."""
    letters = "".join(" " if letter in string.punctuation else letter for letter in text.lower())
    return " ".join(letters.split())


def meaning(text: str) -> str:
    """Articles and plurals aside as well."""
    words = [word for word in plain(text).split() if word not in ("a", "an", "the")]
    return " ".join(_singular(word) for word in words) or plain(text)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
