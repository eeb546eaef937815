"""RFM-VQA: vision-language reward models for robots, trained on static question-answering datasets.

The public names below are imported when they are first used, so that `import rfm` costs nothing. Their types stand in
`__init__.pyi`.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "AsyncRewardClient": "rfm.scoring.remote.asynchronous",
    "Curve": "rfm.scoring.records",
    "Preference": "rfm.scoring.records",
    "Progress": "rfm.scoring.records",
    "RewardClient": "rfm.scoring.remote.client",
    "RewardModel": "rfm.scoring.reward_model",
    "RfmError": "rfm.errors",
    "SuccessRule": "rfm.scoring.success",
    "Tracker": "rfm.scoring.tracker",
    "evaluate": "rfm.steps",
    "generate": "rfm.steps",
    "load_dataset": "rfm.steps",
    "train": "rfm.steps",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rfm' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_PUBLIC[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
