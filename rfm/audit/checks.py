"""A check: what was measured, what is allowed, the verdict. What could not be measured is said, never passed over."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """The outcome of a check."""

    OK = "ok"
    FAILED = "FAILED"
    PARTLY = "partly checked"
    """Within the limit as far as could be seen."""
    NOT_CHECKED = "not checked"
    REPORTED = "reported"
    """Measured, but nothing is demanded."""


@dataclass(frozen=True)
class Check:
    """One line of the result."""

    name: str
    verdict: Verdict
    measured: float | None = None
    limit: float | None = None
    """What the measured value must not exceed; or not fall short of, with `at_least`."""
    note: str = ""
    """What was found, or why it was not looked for."""
    at_least: bool = False

    def fails(self, *, strict: bool) -> bool:
        """Return whether the audit fails for it; with `strict`, also for what was not checked."""
        unseen = self.verdict in (Verdict.PARTLY, Verdict.NOT_CHECKED)
        return self.verdict is Verdict.FAILED or (strict and unseen)


def judge(
    name: str,
    measured: float,
    limit: float | None,
    *,
    good: bool,
    note: str = "",
    unseen: str = "",
    at_least: bool = False,
) -> Check:
    """Return the check with its verdict; `unseen` says what could not be looked at."""
    notes = "; ".join(part for part in (note, f"not checked: {unseen}" if unseen else "") if part)
    if limit is None:
        return Check(name, Verdict.REPORTED, measured, None, notes)
    if not good:
        return Check(name, Verdict.FAILED, measured, limit, notes, at_least)
    return Check(name, Verdict.PARTLY if unseen else Verdict.OK, measured, limit, notes, at_least)


def not_checked(name: str, why: str, limit: float | None = None) -> Check:
    """Return a check that could not be made."""
    return Check(name, Verdict.NOT_CHECKED, None, limit, f"not checked: {why}")
