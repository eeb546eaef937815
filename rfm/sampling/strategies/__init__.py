"""All strategies by sample type and name; the order is that of the ratios in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rfm.sampling.strategies import preference, progress, similarity

DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"preference": preference.DEFAULTS, "progress": progress.DEFAULTS, "similarity": similarity.DEFAULTS}
)
EVALUATION: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "preference": {"quality_preference": preference.suboptimal},
        "progress": {"forward_progress": progress.forward_progress},
        "similarity": {"suboptimal": similarity.suboptimal},
    }
)
"""What `--eval_mode` draws: whole episodes, real differences in quality, no augmentation."""
