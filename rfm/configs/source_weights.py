"""`data.source_weights`: how often each data source is drawn from.

uniform        every source that can serve a strategy serves it equally often (the default of `strategy_first`)
proportional   every trajectory does, so a source does by how many it has (the default of `trajectory_first`)
T >= 1         a source of n trajectories that can serve a strategy does in proportion to n ** (1 / T), the
               temperature of multilingual models (Arivazhagan et al. 2019, arXiv:1907.05019, section 4.2):
               1 is `proportional`, and larger ones come near to `uniform`
{source: w}    in proportion to w
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rfm.errors import ConfigError

NAMED = ("uniform", "proportional")


def source_weights_faults(value: Any) -> list[str]:
    """What is wrong with a value of `data.source_weights` whatever the sources are called."""
    field = "`data.source_weights` must"
    if value is None or value in NAMED:
        return []
    if isinstance(value, Mapping):
        if not value:
            return [f"{field} name sources, but is an empty mapping; leave it out for the default"]
        wrong = [f"{name}={weight!r}" for name, weight in value.items() if not _is_number(weight) or weight <= 0]
        way_out = "leave a source out of data.train_datasets to draw nothing from it"
        return [f"{field} have weights above 0, but has {', '.join(wrong)}; {way_out}"] if wrong else []
    if not _is_number(value):
        return [f"{field} be {', '.join(NAMED)}, a temperature or a mapping by data source, but is {value!r}"]
    return [] if value >= 1 else [f"{field} be a temperature of at least 1, but is {value}; 1 is proportional"]


def check_sources_exist(value: Any, sources: Sequence[str]) -> None:
    """Raise ConfigError where a mapping names data sources that are not among `sources`."""
    unknown = sorted(set(value) - set(sources)) if isinstance(value, Mapping) else []
    if unknown:
        raise ConfigError(
            f"`data.source_weights` must name data sources of the datasets, but names {_listed(unknown)}; "
            f"those there are: {_listed(sorted(sources))}"
        )


def weights_by_source(value: Mapping[str, float], sources: Sequence[str]) -> list[float]:
    """Return the weight of each of `sources`; raise ConfigError where a mapping has none for one."""
    missing = [name for name in sources if name not in value]
    if missing:
        raise ConfigError(
            f"`data.source_weights` must have a weight for every data source, but has none for {_listed(missing)}"
        )
    return [float(value[name]) for name in sources]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= abs(value) < float("inf")


def _listed(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
