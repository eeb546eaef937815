"""Audits of datasets drawn from a toy world, and what they found."""

from __future__ import annotations

import json
from pathlib import Path

from rfm.audit.options import AuditOptions
from rfm.audit.run import audit
from rfm.generation.generate import GenerateOptions, generate

ROWS = 1200
EXTRA = tuple(
    f"{prefix}{name}"
    for prefix in ("", "first_", "second_", "reference_")
    for name in ("trajectory_id", "quality_label", "end_progress")
)
"""Columns that other people's datasets do not have."""
ONE_ANSWER = "the same question has one answer"
MORE_PROGRESS, BETTER, OF_THE_CHOSEN = (
    "the chosen end has more progress",
    "the chosen episode is of better quality",
    "the instruction is the chosen clip's",
)


def draw(world: Path, output: Path, *overrides: str, rows: int = ROWS, **changes) -> Path:
    where = (f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.eval_datasets=[toy_eval]")
    return generate(
        GenerateOptions(
            output_path=str(output),
            num_samples=rows,
            num_workers=1,
            config_overrides=(*where, "data.max_frames=8", *overrides),
            **changes,
        )
    )


class Result:
    """What an audit wrote, by name."""

    def __init__(self, status: int, file: Path):
        self.status = status
        self.found = json.loads(file.read_text())
        everything = [*self.found["datasets"], *self.found["comparisons"]]
        self.checks = {check["name"]: check for one in everything for check in one["checks"]}
        self.broken = {
            rule["rule"]: rule["broken"] for one in self.found["datasets"] for rule in one["rules"] if rule["broken"]
        }

    @property
    def failed(self) -> list[str]:
        return [name.rpartition(": ")[2] for name in self.found["failed"]]


def look(*datasets: Path, **options) -> Result:
    file = datasets[0].parent / "found.json"
    status = audit(AuditOptions(tuple(map(str, datasets)), output_path=str(file), overwrite=True, **options))
    return Result(status, file)


def root_of(path: Path) -> Path:
    return Path(json.loads((path / "generation_config.json").read_text())["datasets_root"])
