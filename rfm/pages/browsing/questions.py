"""A VQA dataset on a page: its rows as cards, with what the audit found of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from rfm.audit.checks import Verdict
from rfm.audit.dataset_audit import DatasetAudit, audit_dataset
from rfm.audit.meanings import meaning_of
from rfm.audit.options import AuditOptions
from rfm.audit.reading.questions import Words
from rfm.audit.reading.subject import open_subject
from rfm.audit.rules.contract import Evidence
from rfm.audit.statistics.counts import binned
from rfm.pages.browsing.answers import Answers
from rfm.pages.browsing.reasons import OUTCOME, RECORDED, TIME, Shown, reason, way
from rfm.pages.browsing.scenes import scenes_by_path
from rfm.pages.browsing.shelf import Card, Facet, Remark, Strip, binned_lengths, facet_of
from rfm.vqa.dataset import load_dataset
from rfm.vqa.schema import CLIP_PREFIXES, PREFIXES

_CLIP_NAMES = {"": "Video", "first_": "Video 1", "second_": "Video 2", "reference_": "Reference"}
_LENGTHS = (1, 2, 4, 8, 16, 32, 64)


class QuestionShelf:
    """The rows that were looked at, all or an even sample."""

    noun = "questions"

    def __init__(self, path: str, datasets_root: str | None, max_rows: int | None, answers: Answers | None) -> None:
        self.path = path
        self.subject = open_subject(path, datasets_root, max_rows)
        self.questions = self.subject.questions
        self.total = self.questions.total
        self.root, self.why_not = self.subject.root, self.subject.why_not
        self.answers = answers

    def __len__(self) -> int:
        return len(self.questions)

    @cached_property
    def audit(self) -> DatasetAudit:
        """What the audit finds, made when it is asked for."""
        return audit_dataset(self.subject, AuditOptions((self.path,)))

    @property
    def summary(self) -> str:
        """What it holds."""
        kinds = self.questions.sample_type.counts(np.ones(len(self), bool))
        mixture = ", ".join(f"{count / len(self):.0%} {kind or 'of no type'}" for kind, count in kinds.items())
        tasks = len(self.questions.task.distinct)
        return (
            f"{self.total:,} questions ({mixture}) about {len(self.questions.paths):,} videos, with {tasks:,} "
            f"instruction{'s' if tasks != 1 else ''}"
        )

    @cached_property
    def remarks(self) -> Sequence[Remark]:
        """Return the audit's checks, and every rule that rows break."""
        return [*map(_of_check, self.audit.checks), *_of_rules(self.audit)]

    @cached_property
    def facets(self) -> Sequence[Facet]:
        """Return the properties of the rows."""
        questions = self.questions
        kinds, strategies = _texts(questions.sample_type), _texts(questions.strategy)
        mixture = [f"{kind}: {name or 'no strategy'}" for kind, name in zip(kinds, strategies, strict=True)]
        made = [
            _of_words("type", "Type", questions.sample_type),
            facet_of("strategy", "Strategy", mixture),
            self._answers_of_pairs(),
            self._scores(),
            self._lengths(),
            _of_words("source", "Source", questions.source),
            _of_words("task", "Task", questions.task),
            _of_words("instruction", "Whose instruction", questions.instruction_kind),
            facet_of("scene", "Scene", self._scenes),
        ]
        if self.answers is not None:
            made.append(facet_of("model", "Model", [self.answers.outcome(row) for row in questions.row.tolist()]))
        return [one for one in made if one.names]

    def cards(self, rows: Int64[np.ndarray, " k"], *, audited: bool = True) -> Iterator[Card]:
        """Yield the cards of rows looked at; `audited`: with what the audit finds of them."""
        findings = self.audit.findings if audited else []
        records = load_dataset(self.path, checked=True)[0].select(self.questions.row[rows]).to_list()
        for at, record in zip(rows.tolist(), map(_known, records), strict=True):
            yield self._card(at, record, [finding.rule for finding in findings if finding.broken[at]])

    def _card(self, at: int, record: Mapping[str, Any], remarks: Sequence[str]) -> Card:
        prefixes = CLIP_PREFIXES.get(record["sample_type"], ())
        shown = {prefix: self._shown(prefix, at) for prefix in prefixes}
        number = int(self.questions.row[at])
        return Card(
            row=number,
            title=self.questions.task.distinct[code] if (code := int(self.questions.task.code[at])) >= 0 else "",
            facts=[
                ("Answer", str(record["answer"])),
                ("Type", str(record["sample_type"])),
                ("Strategy", str(record.get("data_gen_strategy") or "none")),
                ("Source", str(record.get("data_source") or "none")),
            ],
            why=reason(record, shown, self.subject.settings),
            strips=[self._strip(prefix, at, record) for prefix in prefixes],
            values={facet.key: value for facet in self.facets if (value := facet.value(at)) is not None},
            text=str(record["prompt"] or ""),
            remarks=remarks,
            model=self.answers.of(number) if self.answers is not None else {},
        )

    def _strip(self, prefix: str, at: int, record: Mapping[str, Any]) -> Strip:
        frames = self.questions.clips[prefix].frames
        low, high = frames.offsets[at], frames.offsets[at + 1]
        shown = [int(frame) for frame in frames.values[low:high]]
        values = [float(value) if np.isfinite(value) else None for value in self._progress[prefix][low:high]]
        label = record.get(f"{prefix}quality_label")
        words = [f"{len(shown)} frames, {way(shown)}", *([str(label)] if label else [])]
        if (name := record.get(f"{prefix}trajectory_id")) is not None:
            words.append(str(name))
        return Strip(_CLIP_NAMES[prefix], record.get(f"{prefix}npz_path") or "", shown, values, ", ".join(words))

    def _shown(self, prefix: str, at: int) -> Shown:
        """Return what the trajectory of a row's clip says."""
        episodes, one = self.subject.episodes, int(self._evidence.shown(prefix).trajectory[at])
        if episodes is None or one < 0:
            return Shown()
        last, length = int(self._evidence.shown(prefix).last[at]), int(episodes.frames[one])
        basis = (
            RECORDED if episodes.has_record[one] else TIME if episodes.by_time[one] else OUTCOME if last == length - 1
            else None
        )  # fmt: skip
        return Shown(length, basis, episodes.catalog.tasks[int(episodes.catalog.task_code[one])].as_py())

    @cached_property
    def _evidence(self) -> Evidence:
        return Evidence(self.questions, self.subject.settings, self.subject.episodes)

    @cached_property
    def _progress(self) -> Mapping[str, Float64[np.ndarray, " v"]]:
        """The progress of every shown frame, on the instruction but for similarity's, by prefix; NaN: not known."""
        return {prefix: self._progress_of(prefix) for prefix in PREFIXES}

    def _progress_of(self, prefix: str) -> Float64[np.ndarray, " v"]:
        shown, episodes = self._evidence.shown(prefix), self.subject.episodes
        frames = shown.clip.frames
        targets, relative = self.questions.targets, self.subject.settings.progress_pred_type.startswith("relative")
        if prefix == "" and targets is not None and not relative and (targets.lengths == frames.lengths).all():
            return targets.values.astype(np.float64)
        if episodes is None:
            return np.full(len(frames.values), np.nan)
        owner = frames.owner
        asked = type(shown.asked)(shown.asked.relation[owner], shown.asked.record[owner])
        on_asked = episodes.progress_asked(asked, shown.trajectory[owner], frames.values)
        own = episodes.progress(shown.trajectory[owner], frames.values)
        return np.where(self.questions.of_type("similarity")[owner], own, on_asked)

    @cached_property
    def _scenes(self) -> list[str | None]:
        """The scene of each row's last clip that has one."""
        keys = () if self.subject.episodes is None else self.subject.episodes.catalog.keys
        known = {} if self.root is None else scenes_by_path(self.root, keys)
        by_path = [known.get(path) for path in self.questions.paths]
        scenes: list[str | None] = [None] * len(self)
        for prefix in PREFIXES:
            codes = self.questions.clips[prefix].path.tolist()
            scenes = [by_path[code] if code >= 0 else there for code, there in zip(codes, scenes, strict=True)]
        return scenes

    def _answers_of_pairs(self) -> Facet:
        answer = np.where(self.questions.is_pair, self.questions.answer, np.nan)
        names = ("Video 1", "Video 2", "other")
        code = np.where(answer == 1, 0, np.where(answer == 2, 1, 2))
        return Facet("choice", "Answers of pairs", names, np.where(self.questions.is_pair, code, -1), ordered=True)

    def _scores(self) -> Facet:
        values = [
            None if not score else "other" if np.isnan(answer) else str(int(answer))
            for score, answer in zip(self.questions.is_score.tolist(), self.questions.answer.tolist(), strict=True)
        ]
        if self.subject.settings.discrete_progress:
            levels = [str(level) for level in range(1, 6)]
            named = [value if value is None or value in levels else "other" for value in values]
            return facet_of("score", "Progress answers", named, [*levels, "other"])
        bins = [None if value is None else _bin(value) for value in values]
        return facet_of("score", "Progress answers", bins, [*binned({}), "other"])

    def _lengths(self) -> Facet:
        most = np.max([self.questions.clips[prefix].frames.lengths for prefix in PREFIXES], axis=0)
        code = np.searchsorted(_LENGTHS, most, side="right") - 1
        return Facet("frames", "Frames a clip", binned_lengths(_LENGTHS), code, ordered=True)


def _known(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row in which a number that is none counts as not known."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }


def _bin(answer: str) -> str:
    return next(name for name, count in binned({answer: 1}).items() if count)


def _of_words(key: str, title: str, words: Words | None) -> Facet:
    if words is None:
        return Facet(key, title, (), np.empty(0, np.int64))
    return Facet(key, title, words.distinct, words.code.astype(np.int64))


def _texts(words: Words) -> list[str]:
    return [words.distinct[code] if code >= 0 else "" for code in words.code.tolist()]


def _of_check(check: Any) -> Remark:
    measured = "" if check.measured is None else f"{check.measured:.3g}"
    limit = "" if check.limit is None else f" ({'at least' if check.at_least else 'at most'} {check.limit:.3g})"
    heeded = check.verdict in (Verdict.FAILED, Verdict.REPORTED)
    words = "; ".join(part for part in (check.note, meaning_of(check.name) if heeded else "") if part)
    return Remark(check.name, check.verdict.value, f"{measured}{limit}{': ' if words and measured else ''}{words}")


def _of_rules(audit: DatasetAudit) -> Iterator[Remark]:
    for finding in audit.findings:
        if finding.count:
            yield Remark(
                f"rule: {finding.rule}", Verdict.FAILED.value, f"broken by {finding.count} rows", finding.broken
            )
    if audit.files is not None and audit.files.bad_rows.any():
        reason_of_first = next((text for _, text in audit.files.reasons.values()), "")
        yield Remark("frames that can't be read", Verdict.FAILED.value, reason_of_first, audit.files.bad_rows)
