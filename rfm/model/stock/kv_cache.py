"""What stock models call the cache of keys and values: transformers 5.24 renamed `past_key_values` to `cache`.

The old name is taken with a warning until 5.40, and the new one is unknown before 5.24; both ends are tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from rfm.model.freeze import inner_model

NEW, OLD = "cache", "past_key_values"


def with_cache(model: Any, cache: Any) -> dict[str, Any]:
    """Return the argument that gives a conditional-generation model, inside adapters or not, its cache."""
    return {NEW if NEW in signature(type(inner_model(model)).forward).parameters else OLD: cache}


def cache_in(outputs: Mapping[str, Any]) -> Any:
    """Return the cache among a model's outputs or arguments; None where there is none."""
    return outputs[NEW] if NEW in outputs else outputs.get(OLD)
