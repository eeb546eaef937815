"""The terminal: one Rich console on standard error for progress, tables and log lines."""

from __future__ import annotations

import logging
from functools import cache

from rich.console import Console
from rich.logging import RichHandler


@cache
def console() -> Console:
    """Return the console that all progress bars and log lines share, so that they don't overwrite each other."""
    return Console(stderr=True)


def set_up_logging(level: int = logging.INFO) -> None:
    """Send the package's log lines to the console."""
    handler = RichHandler(console=console(), show_path=False, show_time=False, markup=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("rfm").setLevel(level)
