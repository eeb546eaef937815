"""The non-visual floor: how well the answers of a dataset are told without looking, by the audit's classifier.

Its trees see counts, directions, lengths, sources and the words of the prompt, learn on half of the trajectories of the
very dataset and are judged on the other half (`rfm.audit.shortcuts`). It is measured on the rows that can be held out,
so its distance from a model is not paired.
"""

from __future__ import annotations

from rfm.audit.reading.episodes import try_load_episodes
from rfm.audit.reading.questions import read_questions
from rfm.audit.reading.subject import Subject
from rfm.audit.shortcuts import PAIR_CLIPS, measure_shortcut
from rfm.evaluation.exam import Exam
from rfm.evaluation.metrics.accuracy import Numbers


def non_visual_floor(exam: Exam) -> Numbers:
    """Return by sample type the accuracy or MAE of the classifier with its 95% interval, or why there is none."""
    questions = read_questions(exam.dataset, None)
    episodes, why_not = try_load_episodes(exam.root, questions.paths, exam.config)
    subject = Subject("", questions, exam.config, exam.root, episodes, why_not)
    kinds = [kind for kind in PAIR_CLIPS if questions.of_type(kind).any()]
    return {kind: _measured(subject, kind, discrete=exam.discrete) for kind in kinds}


def _measured(subject: Subject, kind: str, *, discrete: bool) -> Numbers:
    found = measure_shortcut(subject.questions, kind, subject.source_codes)
    if found.overall is None:
        return {"why_not": found.why_not}
    metric, scale = ("mae", 25.0 if discrete else 1.0) if kind == "progress" else ("accuracy", 1.0)
    low, high = found.overall.interval
    return {
        "count": found.overall.rows,
        metric: scale * found.overall.mean,
        f"{metric}_interval": (scale * low, scale * high),
    }
