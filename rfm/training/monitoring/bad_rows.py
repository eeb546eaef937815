"""Says while training and at its end which rows were left out because they could not be read."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rfm.batch.bad_rows import left_out, summary

logger = logging.getLogger(__name__)


class ReportBadRows(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Reads the list that loader workers of all processes write (`rfm.batch.bad_rows`); the first process reports."""

    def __init__(self, file: Path, total: int) -> None:
        self.file, self.total = file, total
        self.reported = 0

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Warn where rows were left out since the last entry."""
        rows = left_out(self.file) if state.is_world_process_zero else []
        if len(rows) > self.reported:
            logger.warning(
                "step %d: %d rows left out so far, the last is row %s: %s",
                state.global_step, len(rows), rows[-1].number, rows[-1].reason,
            )  # fmt: skip
            self.reported = len(rows)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report all of them."""
        if not state.is_world_process_zero:
            return
        rows = left_out(self.file)
        if rows:
            logger.warning("%s", summary(rows, self.total, self.file))
        else:
            logger.info("every row that was trained on could be read")
