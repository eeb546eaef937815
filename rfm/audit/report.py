"""The audit as tables for a terminal of 80 columns, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rfm.audit.checks import Check, Verdict
from rfm.audit.comparison import Comparison
from rfm.audit.content import FRAMES
from rfm.audit.dataset_audit import DatasetAudit
from rfm.audit.meanings import meaning_of
from rfm.audit.shortcuts import Told
from rfm.console import plain, results
from rfm.table import FittedTable

_STYLES = {
    Verdict.OK: "green",
    Verdict.FAILED: "bold red",
    Verdict.PARTLY: "yellow",
    Verdict.NOT_CHECKED: "yellow",
    Verdict.REPORTED: "",
}


def print_audit(audits: Iterable[DatasetAudit], comparisons: Iterable[Comparison]) -> None:
    """Print a dataset's checks, rules and strategies, one after the other, and what each two share."""
    for audit in audits:
        questions = audit.subject.questions
        rows = (
            f"{len(questions)} rows"
            if len(questions) == questions.total
            else f"{len(questions)} of {questions.total} rows"
        )
        _print_checks(f"{rows} of {audit.subject.path}", audit.checks)
        _print_rules(audit)
        results().print(strategy_table(audit))
        if audit.contents:
            results().print(content_table(audit))
    for one in comparisons:
        _print_checks(f"{one.first} beside {one.second}", one.checks)


def check_table(checks: Iterable[Check]) -> FittedTable:
    """Return a line a check."""
    table = FittedTable()
    table.add_column("", no_wrap=True)
    for name in ("measured", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for check in checks:
        sign = ">=" if check.at_least else "<="
        limit = "-" if check.limit is None else f"{sign} {_number(check.limit)}"
        table.add_row(check.name, _number(check.measured), limit, check.verdict.value, style=_STYLES[check.verdict])
    return table


def rule_table(audit: DatasetAudit) -> FittedTable:
    """Return a line for each rule that not every row is known to keep: rows checked, not checked, breaking it."""
    table = FittedTable()
    table.add_column("", no_wrap=True)
    for name in ("checked", "not checked", "broken"):
        table.add_column(name, justify="right", no_wrap=True)
    for finding in audit.findings:
        if finding.count or finding.unchecked:
            style = "bold red" if finding.count else "yellow" if finding.unchecked else ""
            cells = (f"{number or '-'}" for number in (finding.checked, finding.unchecked))
            table.add_row(finding.rule, *cells, str(finding.count), style=style)
    return table


def strategy_table(audit: DatasetAudit) -> FittedTable:
    """Return a line a strategy: rows, how often the answer is 1, how well it is told without looking."""
    table = FittedTable("by strategy; told blindly: accuracy, or error beside the best constant's")
    table.add_column("", no_wrap=True)
    for name in ("rows", "answer 1", "told blindly"):
        table.add_column(name, justify="right", no_wrap=True)
    questions = audit.subject.questions
    for kind, shortcut in audit.shortcuts.items():
        for name, rows in questions.strategies(kind).items():
            share = audit.first_shares.get(kind, {}).get(name)
            first = "-" if share is None else f"{share.value:.1%}"
            told = shortcut.by_strategy.get(name)
            table.add_row(plain(f"{kind}/{name}"), str(int(rows.sum())), first, _told(told, kind))
    return table


def content_table(audit: DatasetAudit) -> FittedTable:
    """Return a line a strategy: how well it is told by one small picture of each clip and the words."""
    table = FittedTable("by strategy; told by the words and one small picture of each clip")
    table.add_column("", no_wrap=True)
    for name in FRAMES:
        table.add_column(name, justify="right", no_wrap=True)
    for kind, content in audit.contents.items():
        for name in audit.subject.questions.strategies(kind):
            told = (_told(content.by_strategy.get(frame, {}).get(name), kind) for frame in FRAMES)
            table.add_row(plain(f"{kind}/{name}"), *told)
    return table


def as_json(audits: Iterable[DatasetAudit], comparisons: Iterable[Comparison], *, strict: bool) -> dict[str, Any]:
    """Return everything that was found."""
    datasets = [_dataset(audit) for audit in audits]
    pairs = [
        {
            "datasets": [one.first, one.second],
            "checks": [_check(check) for check in one.checks],
            "shared_trajectories": one.overlap.trajectories,
            "namesakes": one.overlap.namesakes,
            "shared_rows": one.overlap.rows,
            "shared_instructions": one.overlap.tasks,
            "look_alikes": [list(pair) for pair in one.lookalikes],
        }
        for one in comparisons
    ]
    return {"datasets": datasets, "comparisons": pairs, "strict": strict}


def _dataset(audit: DatasetAudit) -> dict[str, Any]:
    questions, files = audit.subject.questions, audit.files
    return {
        "path": audit.subject.path,
        "rows": questions.total,
        "rows_looked_at": len(questions),
        "columns_lacking": list(questions.lacking),
        "checks": [_check(check) for check in audit.checks],
        "rules": [
            {
                "rule": finding.rule,
                "checked": finding.checked,
                "not_checked": finding.unchecked,
                "broken": finding.count,
                "examples": finding.examples(questions),
            }
            for finding in audit.findings
        ],
        "answer_1_share": {
            kind: {name: share.value for name, share in shares.items()} for kind, shares in audit.first_shares.items()
        },
        "progress_decile_shares": [share.value for share in audit.deciles],
        "told_blindly": {
            kind: {
                "overall": None if shortcut.overall is None else _numbers(shortcut.overall),
                "by_strategy": {name: _numbers(told) for name, told in shortcut.by_strategy.items()},
                "why_not": shortcut.why_not,
                "short_clips": None if shortcut.short_clips is None else _numbers(shortcut.short_clips),
            }
            for kind, shortcut in audit.shortcuts.items()
        },
        "told_by_content": {
            kind: {
                "overall": {frame: _numbers(told) for frame, told in content.overall.items()},
                "by_strategy": {
                    frame: {name: _numbers(told) for name, told in by_name.items()}
                    for frame, by_name in content.by_strategy.items()
                },
                "rows": content.rows,
                "unreadable_rows": content.unreadable,
                "why_not": content.why_not,
            }
            for kind, content in audit.contents.items()
        },
        "files": None
        if files is None
        else {
            "distinct": files.files,
            "unreadable_share": files.share,
            "rows_by_fault": files.kinds,
            "reasons": {questions.paths[code]: text for code, (_, text) in files.reasons.items()},
        },
    }


def _check(check: Check) -> dict[str, Any]:
    return {**asdict(check), "verdict": check.verdict.value}


def _print_checks(title: str, checks: list[Check]) -> None:
    results().print(title, style="bold", soft_wrap=True)
    results().print(check_table(checks))
    for check in checks:
        if check.note:
            results().print(f"{check.name}: {check.note}", style=_STYLES[check.verdict])
        if check.verdict in (Verdict.FAILED, Verdict.REPORTED) and meaning_of(check.name):
            results().print(f"  {check.name}, what it means: {meaning_of(check.name)}")


def _print_rules(audit: DatasetAudit) -> None:
    spoken = [finding for finding in audit.findings if finding.checked or finding.unchecked]
    kept = [finding for finding in spoken if not finding.count and not finding.unchecked]
    results().print(f"{len(kept)} of {len(spoken)} rules are kept by every row they speak of")
    if len(kept) < len(spoken):
        results().print(rule_table(audit))


def _told(told: Told | None, kind: str) -> str:
    if told is None:
        return "-"
    low, high = told.interval
    if kind == "progress":
        return f"{told.mean:.1f} of {told.constant:.1f}"
    return f"{told.mean:.3f} [{low:.3f}, {high:.3f}]"


def _numbers(told: Told) -> dict[str, Any]:
    return {**asdict(told), "interval": told.interval}


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:d}" if isinstance(value, int) else f"{value:.3f}"
