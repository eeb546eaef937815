"""What is said before rows are written: how many questions there are, what repeats, and what was left out and why."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np

from rfm.generation.distinct import ACCEPTED, Supplies, supplies
from rfm.generation.drawing import Plan
from rfm.sampling.eval_sets import EvalSet
from rfm.sampling.sampler import Sampler
from rfm.splits.deal import is_fold
from rfm.splits.file import ALL_BUT
from rfm.trajectories.alike_tasks import alike_texts
from rfm.vqa.schema import INSTRUCTION_KINDS

logger = logging.getLogger(__name__)

FEW_EPISODES = 10
"""Below that a side is too small to be judged on by itself."""
OFTEN = 1.5
"""How many times as often as by its size a source is drawn from where its repeats come from `data.source_weights`."""
MOST_SOURCES, MOST_TEXTS = 3, 5
"""That are named."""


def report(plan: Plan, drawer: Sampler | EvalSet, side: str) -> dict[str, Any] | None:
    """Log what is drawn from, and return the different questions of each strategy; None for an evaluation set."""
    for note in (*_left_out(drawer, plan), *drawer.notes):
        logger.warning("not asked: %s", note)
    if isinstance(drawer, EvalSet):
        logger.info(
            "evaluation set %s: %d questions exist, %d are taken", plan.eval_set, drawer.existing, drawer.quotas.total
        )
        return None
    held = supplies(drawer)
    _report_repeats(held, plan.eval_mode)
    _report_sources(held, plan, drawer)
    _report_instructions(held)
    _report_alike_texts(drawer)
    if side != "train" and not side.startswith(ALL_BUT) and not is_fold(side) and held.episodes < FEW_EPISODES:
        logger.warning(
            "side %s asks about %d episode%s: results on so few say little about others; to judge on every episode in "
            "turn, give --folds 5 in the place of --split",
            side, held.episodes, "" if held.episodes == 1 else "s",
        )  # fmt: skip
    for (kind, name), reason in drawer.unsupported.items():
        logger.warning("%s strategy %s is left out, its share goes to the others: it %s", kind, name, reason)
    return {f"{kind}/{name}": _in_json(held.of((kind, name))) for kind, name in held.strategies}


def _left_out(drawer: Sampler | EvalSet, plan: Plan) -> Iterator[str]:
    """Episodes about which nothing can be asked, and why."""
    least, everyone = plan.config.data.min_frames_per_trajectory, len(plan.catalog)
    if drawer.usable.too_short:
        bound = f"data.min_frames_per_trajectory={least}" if least > 2 else "2"
        yield f"{drawer.usable.too_short:,} of {everyone:,} episodes have fewer than {bound} frames"
    catalog = drawer.catalog
    silent = (catalog.quality < 0) & np.isnan(catalog.partial_success) & ~catalog.has_progress
    if silent.any():
        yield (
            f"{int(silent.sum()):,} of {everyone:,} episodes have no quality_label, partial_success or progress, so no "
            "answer about them is known"
        )


def _report_alike_texts(drawer: Sampler) -> None:
    """Warn of tasks that may be one and the same, as each is asked of the other's videos as a wrong instruction."""
    pairs = alike_texts(drawer.catalog)
    if pairs and any(name.startswith("different_task") for _, name in drawer.quotas.strategies):
        shown = "; ".join(f'"{one}" and "{other}"' for one, other in pairs[:MOST_TEXTS])
        logger.warning(
            "%d pair%s of task texts say nearly the same and count as different tasks, so each is asked about the "
            "other's videos as a wrong instruction: %s%s; give rows of one task one `task_id`, and of two tasks two",
            len(pairs), "" if len(pairs) == 1 else "s", shown, "; …" if len(pairs) > MOST_TEXTS else "",
        )  # fmt: skip


def _report_repeats(held: Supplies, eval_mode: bool) -> None:
    """Say how many different questions there are, and warn where many rows will repeat others."""
    if held.repeated <= ACCEPTED:
        logger.info("%d episodes support %s different questions", held.episodes, _about(held))
        return
    parts = sorted((held.of(strategy) for strategy in held.strategies), key=lambda part: -part.repeated)
    told = ", ".join(
        f"{'/'.join(part.strategies[0])} {part.repeated:.0%} ({_about(part)})"
        for part in parts
        if part.repeated > ACCEPTED / 2
    )
    way_out = (
        "--eval_set asks each once"
        if eval_mode
        else f"repeats teach and measure nothing new: take --num_samples {held.worthwhile()}, or more episodes"
    )
    logger.warning(
        "%.0f%% of these %d rows repeat others: %d episodes support %s different questions; by strategy (and how many "
        "there are) %s; %s",
        100 * held.repeated, held.rows, held.episodes, _about(held), told, way_out,
    )  # fmt: skip


def _report_sources(held: Supplies, plan: Plan, drawer: Sampler) -> None:
    """Warn of sources that repeat much because they are drawn from more often than their size gives them."""
    if plan.eval_mode or plan.config.data.dataset_type == "trajectory_first":
        if plan.config.data.source_weights is not None and plan.eval_mode:
            logger.info("data.source_weights is for training: --eval_mode draws each episode in turn")
        return
    catalog = drawer.catalog
    episodes = np.bincount(catalog.source_code, minlength=len(catalog.sources))
    sizes = episodes / len(catalog)
    parts = [(held.of(source=code), code) for code in range(len(sizes))]
    often = [(part, at) for part, at in parts if part.share > OFTEN * sizes[at] and part.repeated > ACCEPTED]
    for part, at in sorted(often, key=lambda found: -found[0].repeated)[:MOST_SOURCES]:
        logger.warning(
            "data source %s: its %d episodes are asked about in %.3g%% of the rows, of which %.0f%% repeat others; "
            "data.source_weights=proportional gives them %.2g%%, a temperature as data.source_weights=2 something "
            "between",
            catalog.sources[at], episodes[at], 100 * part.share, 100 * part.repeated, 100 * sizes[at],
        )  # fmt: skip
    if len(often) > MOST_SOURCES:
        logger.warning("and %d more data sources repeat more than 5%% of their rows", len(often) - MOST_SOURCES)


def _report_instructions(held: Supplies) -> None:
    """Say how many rows ask about another task, and warn where it is assumed that the clips do nothing of it."""
    own, same, other, unknown = (held.instructions[kind] for kind in INSTRUCTION_KINDS)
    if own == 1:
        return
    logger.info(
        "%.0f%% of the rows ask about another task for one of their clips: %.0f%% about one of the same scene",
        100 * (1 - own), 100 * same,
    )  # fmt: skip
    if unknown:
        logger.warning(
            "%.0f%% of the rows ask about a task whose scene is not known to be another, and are answered as if the "
            'clip had got nowhere on it: an open drawer would be wrong for "open the drawer"; say which episodes look '
            "at one scene (`scene_id`, or rfm ingest --scene) and what is known of other tasks (`progress_by_task`)",
            100 * unknown,
        )
    elif not same and other:
        logger.warning(
            "no row asks about another task of the same scene, so that who knows the scene need not read the "
            "instruction: give `progress_by_task`, or name opposite tasks by rfm ingest --opposites"
        )


def _about(held: Supplies) -> str:
    least, bound = held.existing
    return f"{'more than' if bound else 'about'} {least:,.0f}"


def _in_json(held: Supplies) -> dict[str, Any]:
    least, bound = held.existing
    return {"repeated": round(held.repeated, 4), "existing": int(least), "existing_is_a_bound": bound}
