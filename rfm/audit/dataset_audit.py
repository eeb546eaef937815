"""All checks of one dataset, in the order of the result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rfm.audit.balance import Share, decile_shares, first_shares, imbalance, ratio_errors
from rfm.audit.checks import Check, Verdict, judge, not_checked
from rfm.audit.content import FRAMES, Content, measure_content
from rfm.audit.options import AuditOptions
from rfm.audit.reading.files import FileReport, check_files
from rfm.audit.reading.questions import SAMPLE_TYPES
from rfm.audit.reading.subject import Subject
from rfm.audit.repeats import one_answer_a_question, repeated, row_hashes
from rfm.audit.rules.clips import clip_findings
from rfm.audit.rules.contract import Evidence, Finding
from rfm.audit.rules.instructions import instruction_findings
from rfm.audit.rules.pairs import pair_findings
from rfm.audit.rules.progress import progress_findings
from rfm.audit.shortcuts import MOST_SHOWN, Shortcut, Told, measure_shortcut

_PAIRS = ("preference", "similarity")
_WAY_OUT = "ways out: a smaller `data.max_frames`, fewer wrong instructions, episodes with recorded `progress`"
_BY_CHANCE = "past the limit, but no more than chance does with so few rows"


@dataclass(frozen=True)
class DatasetAudit:
    """What was found of one dataset."""

    subject: Subject
    checks: list[Check]
    findings: list[Finding]
    files: FileReport | None
    shortcuts: dict[str, Shortcut]
    """By sample type."""
    first_shares: dict[str, dict[str, Share]]
    """How often the answer is 1, by sample type and strategy."""
    deciles: list[Share]
    contents: dict[str, Content]
    """By sample type; {} unless pictures were asked for."""


def audit_dataset(subject: Subject, options: AuditOptions) -> DatasetAudit:
    """Make every check that the dataset allows."""
    questions = subject.questions
    kinds = [kind for kind in SAMPLE_TYPES if questions.of_type(kind).any()]
    findings = rule_findings(subject)
    files = None if subject.root is None else check_files(subject.root, questions, subject.num_frames)
    shares = {kind: first_shares(questions, kind) for kind in kinds if kind in _PAIRS}
    deciles = decile_shares(questions, subject.settings) if "progress" in kinds else []
    shortcuts = {kind: measure_shortcut(questions, kind, subject.source_codes, subject.num_frames) for kind in kinds}
    root = subject.root if options.content else None
    contents = {} if root is None else {kind: measure_content(root, questions, kind) for kind in kinds}
    checks = [
        _contradictions(subject, findings, options),
        _unreadable(subject, files, options),
        _duplicates(subject, options),
        _ratios(subject, options),
        *(_balance(kind, shares[kind], options) for kind in shares),
        *(_shortcut(subject, kind, shortcut, options) for kind, shortcut in shortcuts.items()),
        *([_deciles(subject, deciles, options)] if deciles else []),
        *(check for kind in kinds if options.content for check in _content(subject, kind, contents.get(kind))),
    ]
    return DatasetAudit(subject, checks, findings, files, shortcuts, shares, deciles, contents)


def rule_findings(subject: Subject) -> list[Finding]:
    """Return what was found of every rule that rows must keep."""
    evidence = Evidence(subject.questions, subject.settings, subject.episodes)
    return [
        *_types(subject),
        *clip_findings(evidence),
        *pair_findings(evidence),
        *progress_findings(evidence),
        *instruction_findings(evidence),
        one_answer_a_question(subject.questions),
    ]


def _types(subject: Subject) -> Iterator[Finding]:
    known = subject.questions.of_type(*SAMPLE_TYPES)
    yield Finding.of("the sample type is one of the format's", np.ones(len(known), bool), ~known)


def _contradictions(subject: Subject, findings: list[Finding], options: AuditOptions) -> Check:
    broken = np.zeros(len(subject.questions), bool)
    for finding in findings:
        broken |= finding.broken
    texts = [_broken(finding, subject) for finding in findings if finding.count]
    unseen = max((finding.unchecked for finding in findings), default=0)
    reason = subject.why_not or "their trajectories, instructions or values are not known"
    return judge(
        "contradictions",
        int(broken.sum()),
        options.max_contradictions,
        good=int(broken.sum()) <= options.max_contradictions,
        note="; ".join(texts),
        unseen=f"up to {unseen} rows a rule: {reason}" if unseen else "",
    )


def _broken(finding: Finding, subject: Subject) -> str:
    examples = ", ".join(map(str, finding.examples(subject.questions)))
    return f"`{finding.rule}` is broken by {finding.count} rows, the first: {examples}"


def _unreadable(subject: Subject, files: FileReport | None, options: AuditOptions) -> Check:
    if files is None:
        return not_checked("unreadable rows", subject.why_not, options.max_unreadable)
    rows = int(files.bad_rows.sum())
    kinds = ", ".join(f"{kind}: {count} rows" for kind, count in files.kinds.items())
    first = next((text for _, text in files.reasons.values()), "")
    note = f"{kinds}; {len(files.reasons)} of {files.files} files ({files.share:.1%})" if rows else ""
    return judge(
        "unreadable rows",
        rows,
        options.max_unreadable,
        good=rows <= options.max_unreadable,
        note=f"{note}; {first}" if first else note,
        unseen=f"frame indices of {files.uncounted} videos of unknown length" if files.uncounted else "",
    )


def _duplicates(subject: Subject, options: AuditOptions) -> Check:
    again = repeated(row_hashes(subject.questions))
    share = float(again.mean())
    return judge(
        "duplicate rows",
        share,
        options.max_duplicates,
        good=share <= options.max_duplicates,
        note=_repeats(subject, again) if again.any() else "",
        unseen=_sampled(subject),
    )


def _repeats(subject: Subject, again: np.ndarray) -> str:
    shares = {
        f"{kind}/{name}": float(again[rows].mean())
        for kind in SAMPLE_TYPES
        for name, rows in subject.questions.strategies(kind).items()
    }
    most = max(shares, key=lambda name: shares[name], default="")
    where = f", most of all in {most} ({shares[most]:.1%})" if shares else ""
    return f"{int(again.sum())} rows repeat an earlier one{where}"


def _ratios(subject: Subject, options: AuditOptions) -> Check:
    name = "rows off the ratios"
    if _sampled(subject):
        return not_checked(name, _sampled(subject), options.max_ratio_error)
    errors, unchecked = ratio_errors(subject.questions, subject.config, subject.data)
    if not errors:
        return not_checked(name, "; ".join(unchecked), options.max_ratio_error)
    worst = max(errors, key=lambda one: abs(errors[one]))
    off = int(abs(errors[worst]) + 1e-6)  # less than a row is rounding
    good = off <= options.max_ratio_error
    note = "" if good else f"{worst} has {errors[worst]:+g} rows"
    return judge(name, off, options.max_ratio_error, good=good, note=note, unseen="; ".join(unchecked))


def _balance(kind: str, shares: dict[str, Share], options: AuditOptions) -> Check:
    worst = max(shares, key=lambda name: imbalance(shares[name]))
    off = imbalance(shares[worst])
    good = off <= options.max_imbalance
    note = "" if good else f"{shares[worst].value:.1%} of {kind}/{worst} answers are 1, surely {off:.1%} off half"
    return judge(f"{kind} imbalance", off, options.max_imbalance, good=good, note=note)


def _shortcut(subject: Subject, kind: str, shortcut: Shortcut, options: AuditOptions) -> Check:
    name = f"{kind} told blindly"
    limit = options.min_progress_error if kind == "progress" else options.max_shortcut_accuracy
    if shortcut.overall is None:
        return not_checked(name, shortcut.why_not, limit)
    told = shortcut.overall
    low, high = told.interval
    if kind != "progress":
        good = told.mean <= limit or not told.surely_off(0.5)
        note = "" if good else f"accuracy {told.mean:.3f} [{low:.3f}, {high:.3f}] without looking at content"
        note = _BY_CHANCE if good and told.mean > limit else note
        note = "; ".join(part for part in (note, *_single_strategies(shortcut, limit)) if part)
        return judge(name, told.mean, limit, good=good, note=note)
    share = told.mean / told.constant if told.constant else 1.0
    if subject.is_evaluation_set:
        return Check(name, Verdict.REPORTED, share, None, "an evaluation set: its clips are whole episodes or prefixes")
    good = share >= limit or not told.surely_off(told.constant)
    if good:
        return judge(name, share, limit, good=good, note=_BY_CHANCE if share < limit else "", at_least=True)
    note = f"error {told.mean:.1f} [{low:.1f}, {high:.1f}]; the best constant's is {told.constant:.1f}"
    short = shortcut.short_clips
    if short is not None and short.mean >= limit * short.constant:
        return Check(name, Verdict.REPORTED, share, None, f"{note}; {_arithmetic(short)}")
    return judge(name, share, limit, good=False, note=f"{note}; {_WAY_OUT}", at_least=True)


def _arithmetic(short: Told) -> str:
    return (
        f"the reason is arithmetic: a clip that shows half of an episode can't end before its middle. The {short.rows}"
        f" rows that show at most {MOST_SHOWN:.0%} of their episode pass ({short.mean / short.constant:.3f}); a smaller"
        " `data.max_frames` or episodes with recorded `progress` tell less"
    )


def _single_strategies(shortcut: Shortcut, limit: float) -> Iterator[str]:
    """Say which strategies are told too well by themselves, whatever the whole is."""
    for name, told in shortcut.by_strategy.items():
        if told.mean > limit and told.surely_off(0.5):
            yield f"{name} by itself {told.mean:.3f}"


def _deciles(subject: Subject, deciles: list[Share], options: AuditOptions) -> Check:
    name = "least used tenth of scores"
    least = min(range(len(deciles)), key=lambda at: deciles[at].count)
    if not deciles[0].rows:
        return not_checked(name, "no progress answer is above the lowest", options.min_decile_share)
    if subject.is_evaluation_set:
        note = "an evaluation set: its clips are whole episodes or prefixes, and their ends are what they are"
        return Check(name, Verdict.REPORTED, deciles[least].value, None, note)
    good = deciles[least].interval[1] >= options.min_decile_share
    shares = ", ".join(f"{share.value:.1%}" for share in deciles)
    note = "" if good else f"shares from low to high: {shares}"
    note = _BY_CHANCE if good and deciles[least].value < options.min_decile_share else note
    return judge(name, deciles[least].value, options.min_decile_share, good=good, note=note, at_least=True)


def _content(subject: Subject, kind: str, content: Content | None) -> Iterator[Check]:
    """Report what pictures tell; nothing is demanded, since what is seen in them is the task."""
    for frame in FRAMES:
        name = f"{kind} told by the {frame}"
        told = None if content is None else content.overall.get(frame)
        if content is None or told is None:
            yield not_checked(name, subject.why_not if content is None else content.why_not)
            continue
        measured = told.mean / (told.constant or 1.0) if kind == "progress" else told.mean
        lost = ", ".join(f"{reason}: {count} rows left out" for reason, count in content.unreadable.items())
        yield Check(name, Verdict.REPORTED, measured, None, lost)


def _sampled(subject: Subject) -> str:
    looked, total = len(subject.questions), subject.questions.total
    return f"{total - looked} rows beyond the sample of --max_rows" if looked < total else ""
