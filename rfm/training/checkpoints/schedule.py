"""The schedule of learning rates of a run that goes on: the one asked for now, from its first step.

A schedule is a function of the step and of the steps in all. Loading a checkpoint restores the rate that the schedule
of then had; where steps, warm-up or schedule are others now, one step would be made with that rate (none at all, where
the run had ended) before the new schedule is followed. `follow` sets the rate that the schedule of now has at this
step, and `described` says what that means. Where nothing changed the rate is the same number.
"""

from __future__ import annotations

from typing import Any


def follow(scheduler: Any) -> None:
    """Set the rates that a stock schedule has at the step it was loaded at."""
    rates = [
        base * shape(scheduler.last_epoch) for base, shape in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
    ]
    for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    scheduler._last_lr = rates


def described(name: str, step: int, total: int, rate: float, before: tuple[int, float]) -> str:
    """Return one line for the log; `before` is the steps in all and the rate that the checkpoint has."""
    steps, old_rate = before
    text = f"going on after step {step} of {total} with learning rate {rate:.3g}"
    if steps == total and old_rate == rate:
        return text
    spans = f"spans {total} steps, not {steps} as before" if steps != total else "is another one than before"
    rates = f"the rate of step {step + 1} is {rate:.3g} and would have been {old_rate:.3g}"
    return f"{text}: the {name} schedule {spans}; {rates}"
