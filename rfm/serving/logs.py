"""The server's log: a JSON object a line on standard error, with time, level, message and what else is known.

Nothing of a request's content goes there: no pixels, no tasks, no keys, no query.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Any

from rfm.console import hush_libraries

FIELDS = "rfm_fields"
"""The attribute of a record that holds what it says besides its message."""


class JsonLines(logging.Formatter):
    """A line a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return it as JSON."""
        when = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": when,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        line |= getattr(record, FIELDS, {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up_logs() -> None:
    """Send all log lines there, in place of where the command line sends them."""
    hush_libraries()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("rfm").setLevel(logging.INFO)
    hand_over("uvicorn", "uvicorn.error", "uvicorn.access")
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL)  # the server's own lines say more


def hand_over(*names: str) -> None:
    """Let what libraries log, if it is a warning at least, come out as everything else."""
    for name in names:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)


def say(logger: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """Log a message with fields of its own."""
    logger.log(level, message, extra={FIELDS: fields})
