"""Opposites by time follow the success cut-off, as the progress that they are one less of does.

`rfm ingest --opposites` writes of a success without recorded progress 1 - (x + 1) / n for its opposite task, x a
frame's place in time (`rfm.sampling.progress`). With a success cut-off c the episode is done at n c frames, and so is
its opposite undone: 1 - min(1, (x + 1) / (n c)). Progress that was recorded is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from rfm.trajectories.catalog import Catalog

_ROUNDING = 1e-6
_SUCCESSFUL = 2


def with_cut_off_opposites(catalog: Catalog, cutoffs: Mapping[str, float]) -> Catalog:
    """Return the catalog with the progress towards opposites by time as the sources' cut-offs have it."""
    towards = catalog.towards
    by_source = np.array([cutoffs.get(name, 1.0) for name in catalog.sources.to_pylist()], np.float64)
    cutoff = by_source[catalog.source_code[towards.trajectory]]
    if (cutoff == 1).all():
        return catalog
    entry = np.repeat(np.arange(len(towards)), np.diff(towards.offsets))
    time = _time(catalog, towards.trajectory[entry], np.arange(len(entry)) - towards.offsets[entry])
    timed = _by_time(catalog, entry, time)[entry]
    values = np.where(timed, 1 - np.minimum(time / cutoff[entry], 1), towards.values)
    return replace(catalog, towards=replace(towards, values=values.astype(np.float32)))


def _time(
    catalog: Catalog, trajectory: Int64[np.ndarray, " p"], frame: Int64[np.ndarray, " p"]
) -> Float64[np.ndarray, " p"]:
    """Return the share of its episode's time that is over behind each frame."""
    count = catalog.num_frames[trajectory].astype(np.float64)
    place = frame.astype(np.float64)
    told = np.diff(catalog.times_offsets)[trajectory] > 0
    at = catalog.times_offsets[trajectory[told]] + frame[told]
    place[told] = catalog.times_values[at] * (count[told] - 1)
    return (place + 1) / count


def _by_time(
    catalog: Catalog, entry: Int64[np.ndarray, " p"], time: Float64[np.ndarray, " p"]
) -> Bool[np.ndarray, " k"]:
    """Return which entries are one less the time of a success without a record."""
    towards = catalog.towards
    timed = (catalog.quality == _SUCCESSFUL)[towards.trajectory] & ~catalog.has_progress[towards.trajectory]
    timed[entry[np.abs(towards.values - (1 - time)) > _ROUNDING]] = False
    return timed
