"""Rules for questions about two clips (preference, similarity).

Which rule decides a pair follows from its clips, not from the name of its strategy: two clips of one episode, two
episodes of one task, or two tasks. What may be asked of a clip of another task is `rules.instructions`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float64

from rfm.audit.reading.asking import OWN
from rfm.audit.rules.compared import Pairs
from rfm.audit.rules.contract import Evidence, Finding

_TOLERANCE = 1e-4


def pair_findings(evidence: Evidence) -> list[Finding]:
    """Return what was found of every rule for pairs."""
    if not evidence.questions.is_pair.any():
        return []
    pairs = Pairs.of(evidence)
    return [
        *_form(pairs),
        *_by_ends(pairs),
        *_by_quality(pairs),
        *_instruction(pairs),
        *_reference(pairs),
    ]


def _form(pairs: Pairs) -> Iterator[Finding]:
    questions, one, two = pairs.evidence.questions, pairs.one.clip, pairs.two.clip
    yield Finding.of("a pair has two clips", questions.is_pair, ~pairs.rows)
    yield Finding.of("a pair's answer is 1 or 2", questions.is_pair, ~np.isin(questions.answer, (1, 2)))
    if questions.chosen_is_first is not None:
        differs = (questions.chosen_is_first == 1) != (questions.answer == 1)
        preference = questions.of_type("preference") & np.isin(questions.answer, (1, 2))
        yield Finding.of("chosen_is_first is the answer", preference, differs, questions.chosen_is_first >= 0)
    yield Finding.of("equally many shown frames", pairs.rows, one.frames.lengths != two.frames.lengths)
    yield Finding.of("equally many distinct frames", pairs.rows, one.distinct != two.distinct)
    sizes = [_size(pairs.evidence, prefix) for prefix in ("first_", "second_")]
    known = ~np.isnan(sizes[0] + sizes[1]).any(axis=1)
    yield Finding.of("compared clips are of one size", pairs.rows, (sizes[0] != sizes[1]).any(axis=1), known)


def _size(evidence: Evidence, prefix: str) -> Float64[np.ndarray, "n 2"]:
    """Return the height and width of each row's clip, as the row says, else its trajectory; NaN unknown."""
    shown = evidence.shown(prefix)
    if shown.clip.shape is not None:
        return np.stack([shown.clip.shape.at(axis).astype(np.float64) for axis in (1, 2)], axis=1)
    if evidence.episodes is None:
        return np.full((len(evidence.questions), 2), np.nan)
    own = evidence.episodes.catalog.frames_shape
    return np.stack([evidence.of_trajectory(own[:, axis], shown.trajectory) for axis in (1, 2)], axis=1)


def _by_ends(pairs: Pairs) -> Iterator[Finding]:
    """Decided by the progress at the clips' ends: one episode, two tasks, two episodes that stop before their ends."""
    alone = pairs.same_episode
    by_ends = alone | (pairs.two_tasks & pairs.answerable)
    chosen, rejected = pairs.progress
    ahead = chosen - rejected
    evidence = pairs.known & ~pairs.timed
    known = evidence & ~np.isnan(ahead)
    yield Finding.of("clips of one episode start together", alone, pairs.one.first != pairs.two.first)
    yield Finding.of("ends have a known progress", by_ends, np.isnan(ahead), evidence)
    applies = (by_ends & ~(evidence & np.isnan(ahead))) | (pairs.same_task & pairs.early & known)
    yield Finding.of("the chosen end has more progress", applies, ahead <= 0, known)
    gap = pairs.evidence.settings.min_progress_gap
    if gap > 0:
        near = np.abs(ahead) < gap - _TOLERANCE
        yield Finding.of("ends differ by data.min_progress_gap", applies, near, known)


def _by_quality(pairs: Pairs) -> Iterator[Finding]:
    """Two episodes of one task: decided by quality or partial success, and shown to their ends.

    Or to ends of known progress, which then decides.
    """
    chosen, rejected = pairs.progress
    ahead, gap = chosen - rejected, max(pairs.evidence.settings.min_progress_gap, 2 * _TOLERANCE)
    applies = pairs.answered & ~pairs.same_episode & (pairs.same_task | ~pairs.known)
    by_ends = pairs.known & np.where(pairs.early, pairs.timed | ~np.isnan(ahead), ahead >= gap - _TOLERANCE)
    quality, outcome = pairs.column("quality"), pairs.column("outcome")
    rated = (quality[0] >= 0) & (quality[1] >= 0)
    measured = ~np.isnan(outcome[0] - outcome[1])
    threshold = pairs.evidence.settings.partial_success_threshold
    by_quality = rated & (quality[0] > quality[1])
    by_outcome = measured & (outcome[0] - outcome[1] > max(threshold - _TOLERANCE, 0))
    evidence = pairs.known & (rated | measured)
    unrated = ~(rated | measured)
    yield Finding.of("episodes compared have a known quality", applies & ~by_ends, unrated, pairs.known)
    judged = applies & ~by_ends & ~(pairs.known & ~evidence)
    yield Finding.of("the chosen episode is of better quality", judged, ~(by_quality | by_outcome), evidence)
    yield Finding.of("compared episodes are shown to their ends", applies & ~by_ends, pairs.early, pairs.known)
    yield Finding.of(
        "label and partial success of compared clips agree", *_contradiction(pairs, applies, by_ends | by_outcome)
    )


def _contradiction(
    pairs: Pairs, episodes: Bool[np.ndarray, " n"], by_score: Bool[np.ndarray, " n"]
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Return where label and partial success are both used, whether they contradict each other, where that is known.

    Of two episodes of one task one is ahead by its label and behind by its score; or their progress counts, or that of
    the clip whose task is asked, and the episode's own label and score say different things.
    """
    quality, outcome = pairs.column("quality"), pairs.column("outcome")
    whole = episodes & ~pairs.early
    rated = (quality[0] >= 0) & (quality[1] >= 0)
    opposite = rated & ((quality[0] - quality[1]) * np.nan_to_num(outcome[0] - outcome[1]) < -_TOLERANCE)
    in_doubt = [pairs.evidence.conflicting(trajectory) for trajectory in pairs.trajectories]
    asked = pairs.by_answer(*(pairs.two_tasks & clip.asked.holds(OWN) for clip in (pairs.one, pairs.two)))
    doubtful = (episodes & by_score & (in_doubt[0] | in_doubt[1])) | (asked[0] & in_doubt[0]) | (asked[1] & in_doubt[1])
    return episodes | pairs.two_tasks, (whole & opposite) | doubtful, pairs.known


def _instruction(pairs: Pairs) -> Iterator[Finding]:
    own = pairs.one.asked.holds(OWN), pairs.two.asked.holds(OWN)
    known = pairs.known & (pairs.evidence.instruction >= 0)
    chosen, _ = pairs.by_answer(*own)
    yield Finding.of("the instruction is the chosen clip's", pairs.answered & ~pairs.two_tasks, ~chosen, known)
    yield Finding.of("the instruction is one of the two clips'", pairs.two_tasks, ~(own[0] | own[1]), known)


def _reference(pairs: Pairs) -> Iterator[Finding]:
    similarity = pairs.answered & pairs.evidence.questions.of_type("similarity")
    if not similarity.any():
        return
    reference = pairs.evidence.shown("reference_")
    path = reference.clip.path
    yield Finding.of("a similarity question has a reference", similarity, ~reference.clip.present)
    compared = (path == pairs.one.clip.path) | (path == pairs.two.clip.path)
    yield Finding.of("the reference is another episode", similarity & reference.clip.present, compared)
    if pairs.evidence.episodes is not None:
        task = pairs.evidence.episodes.catalog.task_code
        own, chosen = (pairs.evidence.of_trajectory(task, at) for at in (reference.trajectory, pairs.trajectories[0]))
        yield Finding.of("the nearer clip has the reference's task", similarity, own != chosen, reference.known)
