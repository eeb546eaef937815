"""Draw a block of questions: which episodes, which frames, which instruction, what answer.

    Sampler(catalog, settings, total, seed).draw(start, stop) -> Block of rows start..stop-1

A row is a function of (catalog, settings, total, seed, its position) alone: blocks may be drawn in any order, size and
number of processes. The strategies that the data supports are known when the sampler is made; the requested shares
then come out exactly over the `total` rows, and answers 1 and 2 (or the better clip's side) alternate within each
strategy and over all of a sample type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt64

from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.sampling.block import Block, Canvas
from rfm.sampling.clips.frame_drops import drop_frames
from rfm.sampling.material import Material, PairDraw, Unsupported
from rfm.sampling.progress import Progress
from rfm.sampling.quotas import Quotas, Strategy, largest_remainder
from rfm.sampling.random import RowRandom
from rfm.sampling.strategies import COMBINED, DEFAULTS, EVALUATION, NOT_LISTED, SHARES
from rfm.sampling.strategies.balance import balanced_extremes
from rfm.sampling.usable import Usable
from rfm.trajectories.catalog import Catalog


class NothingToAsk(ConfigError):
    """No strategy of a sample type is supported by the trajectories."""


class Sampler:
    """Draws questions from a catalog; see the module's docstring."""

    def __init__(
        self,
        catalog: Catalog,
        settings: DataConfig,
        *,
        total: int,
        seed: int,
        eval_mode: bool = False,
        cutoffs: Mapping[str, float] | None = None,
    ):
        usable = Usable(catalog, max(settings.min_frames_per_trajectory, 1), settings.partial_success_threshold)
        self.usable, self.catalog = usable, usable.catalog
        if not len(self.catalog):
            raise ConfigError(
                f"`data.train_datasets`/`data.eval_datasets` must hold trajectories of at least "
                f"data.min_frames_per_trajectory={settings.min_frames_per_trajectory} frames"
                + "".join(f", but has {note}" for note in usable.notes)
                + ("; mend those" if usable.notes else ", but none is left")
            )
        self._settings = settings
        self._seed = seed
        self.progress = Progress(self.catalog, settings.progress_pred_type, cutoffs)
        available = EVALUATION if eval_mode else COMBINED if settings.strategies_per_sample == 2 else DEFAULTS
        ratios = {
            kind: self._ratio(kind, available[kind])
            for kind, weight in zip(available, settings.sample_type_ratio, strict=True)
            if weight > 0
        }
        material = Material(
            usable,
            self.progress,
            max_frames=settings.max_frames,
            gap=settings.min_progress_gap,
            threshold=settings.partial_success_threshold,
            same_source_prob=settings.traj_same_source_prob,
            same_scene_share=settings.same_scene_share,
            whole_episodes=eval_mode,
            trajectory_first=settings.dataset_type == "trajectory_first" or eval_mode,
            source_weights="uniform" if settings.source_weights is None else settings.source_weights,
            original_mixture=settings.mixture == "original",
            progress_shares=ratios.get("progress", {}),
            source_boost=settings.source_boost,
        )
        self._material = replace(material, extremes=balanced_extremes(material))
        self.unsupported: dict[Strategy, str] = {}
        """Strategies of the default shares that the data cannot support, with the reason."""
        self._draws: dict[Strategy, Any] = {}
        shares = self._shares(available, ratios)
        self.notes = [*usable.notes, *dict.fromkeys(self._material.notes)]
        """What of the data is not asked about, and why."""
        self.quotas = _quotas(shares, total, seed)

    def draw(self, start: int, stop: int) -> Block:
        """Return the questions of rows `start` to `stop` - 1."""
        positions = np.arange(start, stop, dtype=np.uint64)
        strategy, rank = self.quotas.assign(positions)
        block = Canvas(stop - start, self._settings.max_frames)
        for number, name in enumerate(self.quotas.strategies):
            rows = np.flatnonzero(strategy == number)
            if not len(rows):
                continue
            drawn = self._draws[name](self._random(positions[rows], rank[rows]))
            if isinstance(drawn, PairDraw):
                # ranks go on from strategy to strategy, so odd counts do not add up to a surplus of one answer
                better_first = (self.quotas.starts[number] + rank[rows]) % 2 == 0
                block.add_pairs(rows, drawn, better_first, self.progress)
            else:
                block.add_scores(rows, drawn, self.progress, self._settings)
        drawn_block = block.finish(strategy)
        if self._settings.frame_dropping:
            return drop_frames(drawn_block, RowRandom(self._seed, positions), self._settings.frame_dropping)
        return drawn_block

    def _random(self, positions: UInt64[np.ndarray, " k"], rank: Int64[np.ndarray, " k"]) -> RowRandom:
        return RowRandom(self._seed, positions, rank if self._material.trajectory_first else None)

    def _ratio(self, kind: str, available: Mapping[str, Any]) -> dict[str, float]:
        """Return the shares of a sample type's strategies that are asked for."""
        listed = [name for name in available if name not in NOT_LISTED[kind]]
        default = {name: SHARES[kind].get(name, 1.0) for name in available}
        if self._settings.mixture == "original":
            default = dict.fromkeys(listed, 1.0)
        return strategy_ratio(kind, self._given(kind), tuple(available), listed, default)

    def _given(self, kind: str) -> Any:
        return getattr(self._settings, f"{kind}_strategy_ratio")

    def _shares(
        self, available: Mapping[str, Mapping[str, Any]], ratios: Mapping[str, Mapping[str, float]]
    ) -> dict[Strategy, float]:
        """Return the share of each strategy that the data supports, over all sample types."""
        shares: dict[Strategy, float] = {}
        for kind, weight in zip(available, self._settings.sample_type_ratio, strict=True):
            if weight > 0:
                try:
                    shares |= self._shares_of(kind, weight, available[kind], ratios[kind])
                except NothingToAsk as error:
                    raise NothingToAsk(f"{error}{self._way_out(kind, available, ratios)}") from None
        return shares

    def _way_out(
        self, lacking: str, available: Mapping[str, Mapping[str, Any]], ratios: Mapping[str, Mapping[str, float]]
    ) -> str:
        """Return how to ask what these trajectories do support, in the place of a sample type that they do not."""
        for kind in available:
            if kind != lacking and any(
                self._supports(available[kind][name]) for name in ratios.get(kind, available[kind])
            ):
                ratio = ",".join(str(int(kind == one)) for one in available)
                return f"\nfor {kind} questions alone take data.sample_type_ratio=[{ratio}]"
        return ""

    def _supports(self, strategy: Any) -> bool:
        try:
            strategy(self._material)
        except Unsupported:
            return False
        return True

    def _shares_of(
        self, kind: str, weight: float, available: Mapping[str, Any], ratio: Mapping[str, float]
    ) -> dict[Strategy, float]:
        supported = {}
        for name, share in ratio.items():
            try:
                self._draws[kind, name] = available[name](self._material)
                supported[kind, name] = share
            except Unsupported as reason:
                if self._given(kind) is not None:
                    raise ConfigError(f"`data.{kind}_strategy_ratio` asks for {name!r}, which {reason}") from None
                self.unsupported[kind, name] = str(reason)
        if not supported:
            reasons = "\n".join(f"  {name}: {self.unsupported[kind, name]}" for name in ratio)
            raise NothingToAsk(f"no {kind} strategy is supported by these trajectories:\n{reasons}")
        whole = sum(supported.values())
        return {name: weight * share / whole for name, share in supported.items()}


def strategy_ratio(
    kind: str, given: Any, names: Sequence[str], listed: Sequence[str], default: Mapping[str, float]
) -> dict[str, float]:
    """Return the shares above 0 by strategy name.

    `given` is a list of shares of the strategies `listed`, a mapping of some of `names`, or None for `default`.
    """
    field = f"`data.{kind}_strategy_ratio`"
    if given is None:
        return dict(default)
    if isinstance(given, Mapping):
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise ConfigError(f"{field} must name strategies among {', '.join(names)}, but names {', '.join(unknown)}")
        shares = {name: given[name] for name in names if name in given}
    elif isinstance(given, (list, tuple)) and len(given) == len(listed):
        shares = dict(zip(listed, given, strict=True))
    else:
        others = [name for name in names if name not in listed]
        also = f" of strategies, which may also be {', '.join(others)}" if others else ""
        raise ConfigError(
            f"{field} must be {len(listed)} shares ({', '.join(listed)}) or a mapping{also}, but is {given!r}"
        )
    wrong = [f"{name}={share!r}" for name, share in shares.items() if not _is_share(share)]
    if wrong or not any(shares.values()):
        raise ConfigError(f"{field} must have shares >= 0, one above 0, but has {', '.join(wrong) or 'all zeros'}")
    return {name: float(share) for name, share in shares.items() if share > 0}


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def _quotas(shares: Mapping[Strategy, float], total: int, seed: int) -> Quotas:
    """Deal rows to sample types first and to strategies within each, so that both shares come out exactly."""
    kinds = dict.fromkeys(kind for kind, _ in shares)
    by_kind = largest_remainder(
        total, {(kind, ""): sum(share for (k, _), share in shares.items() if k == kind) for kind in kinds}
    )
    counts: dict[Strategy, int] = {}
    for kind in kinds:
        counts |= largest_remainder(by_kind[kind, ""], {name: s for name, s in shares.items() if name[0] == kind})
    return Quotas(tuple(counts), tuple(counts.values()), seed)
