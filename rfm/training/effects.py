"""Flags of training that would change nothing beside the others given: each is an error and never a silent no-op.

Whether a flag was given shows in its value: only one that differs from the default is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rfm.errors import ConfigError


def check_effects(options: Any) -> None:
    """Raise `ConfigError` for the first flag of `TrainOptions` that can't take effect."""
    fields = type(options).__dataclass_fields__
    for name, effective, way_out in _conditions(options):
        value = getattr(options, name)
        if value != fields[name].default and not effective:
            raise ConfigError(f"`{name}` can't take effect, but is {value}: {way_out}")


def _conditions(options: Any) -> Iterator[tuple[str, bool, str]]:
    """Yield flags, whether they take effect, and what to do where they don't."""
    evaluates = options.eval_dataset_path is not None
    yield "lora_alpha", options.rank > 0, "pass --lora_rank, or leave it out"
    yield "muon_learning_rate", options.optim == "muon", "pass --optim muon, or leave it out"
    yield "max_tokens", options.packing, "pass --packing, or leave it out"
    yield "save_steps", options.save_strategy == "steps", "pass --save_strategy steps, or leave it out"
    yield "save_total_limit", options.save_strategy != "no", "nothing is saved with --save_strategy no; drop one"
    yield "eval_dataset_path", options.eval_strategy != "no", "nothing is evaluated with --eval_strategy no; drop one"
    yield "eval_steps", evaluates, "pass --eval_dataset_path, or leave it out"
    yield "eval_steps", options.eval_strategy == "steps", "pass --eval_strategy steps, or leave it out"
    yield "per_device_eval_batch_size", evaluates, "pass --eval_dataset_path, or leave it out"
    yield "run_name", options.report_to != "none", "no tracker shows it with --report_to none; drop one"
    for name in ("warmup_steps", "warmup_ratio"):
        warms = options.lr_scheduler_type != "constant" or getattr(options, name) == 0
        yield name, warms, "the schedule `constant` has no warm-up; take constant_with_warmup"
    if options.warmup_steps is not None:
        yield "warmup_ratio", False, "--warmup_steps overrides it; drop one"
