"""The keys of which a request must show one, as `Authorization: Bearer KEY`. They are compared, and never logged."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from pathlib import Path

from rfm.errors import ConfigError
from rfm.files.documents.regular import read_text

SHORTEST = 16
"""Characters; shorter keys can be guessed."""
_MOST_BYTES = 2**20


class Keys:
    """The keys that are valid; with none, everybody may ask."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    @classmethod
    def of_file(cls, path: str | None) -> Keys:
        """Read a key a line; ConfigError where there is none, or one is short."""
        if path is None:
            return cls([])
        lines = [line.strip() for line in read_text(Path(path), _MOST_BYTES).splitlines()]
        keys = [line for line in lines if line and not line.startswith("#")]
        if not keys:
            raise ConfigError(f"`api_key_file` must hold a key a line, but {path} holds none")
        for number, key in enumerate(keys, 1):
            if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
                raise ConfigError(
                    f"key {number} in {path} must have at least {SHORTEST} printable ASCII characters and no space; "
                    "`openssl rand -hex 24` makes one"
                )
        return cls(keys)

    def first(self) -> str | None:
        """Return a key to ask with; None where there are none."""
        return self._keys[0].decode() if self._keys else None

    def fit(self, header: str) -> bool:
        """Whether an `Authorization` header shows a valid key; takes as long for a wrong one as for a right one."""
        if not self._keys:
            return True
        scheme, _, shown = header.partition(" ")
        said = shown.strip().encode("utf-8", "replace")
        found = [hmac.compare_digest(key, said) for key in self._keys]  # all of them, whichever fits
        return any(found) and scheme.lower() == "bearer"
