"""All strategies by sample type and name; the order is that of the ratios in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rfm.sampling.strategies import preference, progress, similarity
from rfm.sampling.strategies.laying import FORWARD_SHARES

DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"preference": preference.DEFAULTS, "progress": progress.DEFAULTS, "similarity": similarity.DEFAULTS}
)
COMBINED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "preference": {**preference.DEFAULTS, **preference.COMBINED},
        "progress": {**progress.DEFAULTS, **progress.COMBINED},
        "similarity": similarity.DEFAULTS,
    }
)
"""With `data.strategies_per_sample=2`: also those that combine two.

The two that change only the motion combine: backwards, past the end and forward to it. None of the others can be: a
wrong instruction must not be shown backwards, and labels of whole episodes go with clips that run to their ends.
"""
NOT_LISTED: Mapping[str, frozenset[str]] = MappingProxyType(
    {"preference": frozenset(preference.NEW), "progress": frozenset(progress.NEW), "similarity": frozenset()}
)
"""Strategies that the original does not have: a list of shares, whose order is the original's, does not hold them."""
SHARES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"preference": {"same_task_progress": 2.0}, "progress": FORWARD_SHARES, "similarity": {}}
)
"""Shares of a default mixture; 1 where a strategy is not named.

Wrong instructions are shown forwards and most are answered 0. Were there as many right ones, direction alone would tell
progress to 0.86 of the best constant's error; with three to each it is 0.98.
"""
EVALUATION: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "preference": {"quality_preference": preference.quality_preference},
        "progress": {"forward_progress": progress.forward_progress},
        "similarity": {"suboptimal": similarity.suboptimal},
    }
)
"""What `--eval_mode` draws: whole episodes, real differences in quality, no augmentation."""
