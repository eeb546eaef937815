"""Adapters that other packages bring in: `rfm ingest NAME`, by an entry point of the group `rfm.ingest`.

    [project.entry-points."rfm.ingest"]
    toy = "toy_robot:ADAPTER"

The entry point leads to an `Adapter`. Its package is imported when the command runs, not before; commands of this
package keep their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, is_dataclass
from importlib.metadata import EntryPoint
from typing import Any

from rfm.errors import ConfigError
from rfm.ingest.episode import Episode
from rfm.ingest.options import PipelineOptions, run_ingest


@dataclass(frozen=True)
class Adapter:
    """A source of episodes: what may be said on the command line, and what is found then."""

    options: type[PipelineOptions]
    """A dataclass derived from `DatasetOptions`, or `LabelOptions` where the format leaves open what succeeded."""
    episodes: Callable[[Any], Iterable[Episode]]
    """The episodes that such options ask for, in an order that does not change, faulty ones as rejections."""

    def run(self, options: PipelineOptions) -> int:
        """Ingest what the options ask for; status 1 if an episode was rejected."""
        return run_ingest(self.episodes, options)


def load_adapter(point: EntryPoint) -> Adapter:
    """The adapter; ConfigError where its package can't be used, which says why."""
    place = f"`rfm ingest {point.name}` of {point.dist.name if point.dist else 'another package'}"
    try:
        adapter = point.load()
    except Exception as error:
        raise ConfigError(f"{place} must load, but {point.value} gives {type(error).__name__}: {error}") from error
    if not isinstance(adapter, Adapter):
        raise ConfigError(f"{place} must be an rfm.ingest.adapters.Adapter, but is {type(adapter).__name__}")
    options = adapter.options
    if not (isinstance(options, type) and issubclass(options, PipelineOptions) and is_dataclass(options)):
        raise ConfigError(
            f"{place} must have options derived from rfm.ingest.options.DatasetOptions, but has {options}"
        )
    return adapter
