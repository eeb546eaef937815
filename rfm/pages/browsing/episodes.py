"""A trajectory dataset on a page: its episodes as cards, with their progress over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from rfm.audit.checks import Verdict
from rfm.audit.reading.episodes import Episodes
from rfm.audit.rules.contract import DEFAULT_THRESHOLD
from rfm.frames.spacing import evenly_spaced
from rfm.pages.browsing.scenes import scenes_by_path
from rfm.pages.browsing.shelf import Card, Facet, Remark, Strip, binned_lengths, facet_of
from rfm.trajectories.catalog import Catalog, load_catalog
from rfm.trajectories.record import QUALITY_LABELS

_SHOWN = 8
"""Frames of an episode's strip."""
_CURVE = 64
"""Points of a curve, at most."""
_LENGTHS = (1, 8, 16, 32, 64, 128, 256, 512)
_BASES = {
    "recorded": "The trajectory records the progress of every frame, and that is what questions go by.",
    "time": "The episode succeeds and records no progress, so time counts: frame i of n has made (i + 1) / n of the "
    "way, unless generation is given a success cut-off.",
    "outcome alone": "Only how it ends is known: a clip is asked for its progress only if it runs to the last frame.",
    "none": "Nothing tells how far it gets, so no question asks for its progress and none is decided by it.",
}


class EpisodeShelf:
    """All usable trajectories of one dataset."""

    noun = "trajectories"
    why_not = ""

    def __init__(self, path: str) -> None:
        self.path = path
        folder = Path(path).absolute()
        self.root = folder.parent
        self.catalog: Catalog = load_catalog(self.root, (folder.name,))
        self.episodes = Episodes(self.catalog)
        self.total = len(self.catalog) + len(self.catalog.unreadable)

    def __len__(self) -> int:
        return len(self.catalog)

    @property
    def summary(self) -> str:
        """What it holds."""
        known = sum(base != "none" for base in self._bases)
        return (
            f"{self.total:,} trajectories with {int(self.catalog.num_frames.sum()):,} frames of "
            f"{len(self.catalog.tasks):,} tasks; how far they get is known of {known:,}"
        )

    @cached_property
    def remarks(self) -> Sequence[Remark]:
        """Return what can't be used, and labels that contradict each other."""
        left_out, conflicting = self.catalog.unreadable, self.episodes.conflicting(DEFAULT_THRESHOLD)
        made = [
            Remark(
                "usable trajectories",
                Verdict.FAILED.value if left_out else Verdict.OK.value,
                f"{len(left_out)} can't be used, the first: {left_out[0]}" if left_out else "all of them",
            )
        ]
        made.append(
            Remark(
                "label, partial success and recorded progress agree",
                Verdict.FAILED.value if conflicting.any() else Verdict.OK.value,
                f"{int(conflicting.sum())} contradict themselves, and nothing is asked where that matters"
                if conflicting.any()
                else "everywhere",
                conflicting if conflicting.any() else None,
            )
        )
        return made

    @cached_property
    def facets(self) -> Sequence[Facet]:
        """Return the properties of the trajectories."""
        catalog = self.catalog
        qualities = ("unknown", *QUALITY_LABELS)
        length = np.searchsorted(_LENGTHS, catalog.num_frames, side="right") - 1
        made = [
            Facet("quality", "Quality", qualities, catalog.quality.astype(np.int64) + 1, ordered=True),
            facet_of("basis", "Progress is known by", self._bases, tuple(_BASES)),
            self._ends(),
            Facet("frames", "Frames", binned_lengths(_LENGTHS), np.maximum(length, 0), ordered=True),
            Facet("source", "Source", tuple(catalog.sources.to_pylist()), catalog.source_code.astype(np.int64)),
            Facet("task", "Task", tuple(catalog.texts.to_pylist()), catalog.text_code.astype(np.int64)),
            facet_of("scene", "Scene", self._scenes),
            facet_of("robot", "Who acts", ["robot" if robot else "person" for robot in catalog.is_robot.tolist()]),
        ]
        return [one for one in made if one.counts()]

    def cards(self, rows: Int64[np.ndarray, " k"]) -> Iterator[Card]:
        """Yield the cards of episodes."""
        for row in rows.tolist():
            yield self._card(row)

    def _card(self, row: int) -> Card:
        catalog = self.catalog
        partial, quality = float(catalog.partial_success[row]), int(catalog.quality[row])
        scene = self._scenes[row]
        return Card(
            row=row,
            title=catalog.texts[int(catalog.text_code[row])].as_py(),
            facts=[
                ("Quality", QUALITY_LABELS[quality] if quality >= 0 else "unknown"),
                ("Partial success", "not known" if np.isnan(partial) else f"{partial:.2f}"),
                ("Source", catalog.sources[int(catalog.source_code[row])].as_py()),
                ("Id", catalog.ids[row].as_py()),
                *([("Scene", scene)] if scene else []),
            ],
            why=_BASES[self._bases[row]],
            strips=[self._strip(row)],
            values={facet.key: value for facet in self.facets if (value := facet.value(row)) is not None},
            remarks=[remark.name for remark in self.remarks if remark.rows is not None and remark.rows[row]],
        )

    def _strip(self, row: int) -> Strip:
        length = int(self.catalog.num_frames[row])
        shown, curve = evenly_spaced(length, _SHOWN), evenly_spaced(length, _CURVE)
        values = self.progress(row, shown)
        points = self.progress(row, curve)
        height, width = self.catalog.frames_shape[row, 1:3].tolist()
        return Strip(
            name="Episode",
            path=self.catalog.frames_path[row].as_py(),
            frames=[int(frame) for frame in shown],
            progress=[None if np.isnan(value) else float(value) for value in values],
            words=f"{length} frames of {height} x {width}, {len(shown)} of them shown",
            curve=[] if np.isnan(points).any() else points.tolist(),
        )

    def progress(self, row: int, frames: Int64[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
        """Return the progress of frames of an episode, NaN where nothing tells it."""
        return self.episodes.progress(np.full(len(frames), row), frames.astype(np.int64))

    @cached_property
    def _bases(self) -> list[str]:
        recorded, timed = self.episodes.has_record, self.episodes.by_time
        outcome = ~np.isnan(self.episodes.outcome)
        code = np.where(recorded, 0, np.where(timed, 1, np.where(outcome, 2, 3)))
        return [tuple(_BASES)[one] for one in code.tolist()]

    def _ends(self) -> Facet:
        """How far each gets, in tenths."""
        rows = np.arange(len(self))
        end = self.episodes.progress(rows, self.episodes.frames - 1)
        names = ("0", *(f"{low / 10:.1f} to {(low + 1) / 10:.1f}" for low in range(10)), "1")
        tenth = np.where(end <= 0, 0, np.where(end >= 1, 11, 1 + np.nan_to_num(end * 10)))
        return Facet("end", "Progress at the end", names, np.where(np.isnan(end), -1, tenth).astype(np.int64), True)

    @cached_property
    def _scenes(self) -> list[str | None]:
        known = scenes_by_path(self.root, self.catalog.keys)
        return [known.get(path) for path in self.catalog.frames_path.to_pylist()]
