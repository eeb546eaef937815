"""The most used keys of the configuration as flags of their own, which need neither brackets nor the keys' names.

--datasets a b             data.train_datasets=[a,b] data.eval_datasets=[a,b]: whichever is drawn from
--datasets_root ROOT       data.datasets_root=ROOT
--max_frames 8             data.max_frames=8
--shares preference=1      data.sample_type_ratio=[1,0,0]: what is not named has none
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

TYPES = ("preference", "progress", "similarity")
_KEYS = {
    "datasets": ("data.train_datasets", "data.eval_datasets"),
    "datasets_root": ("data.datasets_root",),
    "max_frames": ("data.max_frames",),
    "shares": ("data.sample_type_ratio",),
}


def plain_overrides(options: Any) -> Iterator[str]:
    """Yield the keys that the flags set, with their values in Hydra's grammar."""
    values = {
        "datasets": f"[{','.join(map(_quoted, options.datasets))}]" if options.datasets else None,
        "datasets_root": None if options.datasets_root is None else _quoted(options.datasets_root),
        "max_frames": None if options.max_frames is None else str(options.max_frames),
        "shares": _ratio(options.shares) if options.shares else None,
    }
    for name, value in values.items():
        if value is not None:
            yield from (f"{key}={value}" for key in _KEYS[name])


def plain_faults(options: Any) -> Iterator[str]:
    """Yield what is wrong with the flags; their values are looked at where the keys are."""
    given = {text.partition("=")[0].lstrip("+") for text in options.config_overrides}
    for name, keys in _KEYS.items():
        for key in given.intersection(keys) if getattr(options, name) not in (None, ()) else ():
            yield f"`{name}` and `{key}` must not be given together; both say the same: leave one out"
    named = [text.partition("=")[0] for text in options.shares]
    for text in options.shares:
        name, _, share = text.partition("=")
        if name not in TYPES or named.count(name) > 1 or not 0 <= _number(share) < math.inf:
            yield f"`shares` must be of {', '.join(TYPES)}, each once, as in preference=0.7, but one is {text!r}"


def _ratio(shares: tuple[str, ...]) -> str:
    given = {name: share for name, _, share in (text.partition("=") for text in shares)}
    return f"[{','.join(given.get(name, '0') for name in TYPES)}]"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _quoted(text: str) -> str:
    """Return a text that Hydra takes as it stands."""
    return "'" + text.replace("'", "\\'") + "'"
