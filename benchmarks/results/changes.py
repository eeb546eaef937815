"""What a run measured otherwise than the committed files say: figures that left their intervals.

The page of a fresh clone is to equal the committed one within its intervals. Whoever makes it again is told where it
does not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rfm.files.documents.json_documents import read_json_object

logger = logging.getLogger(__name__)


def report_changes(path: Path, content: Any) -> list[str]:
    """Warn of each figure of `content` that lies outside the interval that the file at `path` gives it."""
    if not path.is_file():
        return []
    before = dict(_figures(read_json_object(path)))
    found = [
        f"{name} was {was['value']:.4g} [{was['interval'][0]:.4g}, {was['interval'][1]:.4g}], is {now['value']:.4g}"
        for name, now in _figures(content)
        if (was := before.get(name)) is not None and not was["interval"][0] <= now["value"] <= was["interval"][1]
    ]
    for text in found:
        logger.warning("outside its interval: %s, %s", path.stem, text)
    return found


def _figures(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each figure that has an interval, with where it stands."""
    if isinstance(value, dict) and "value" in value and value.get("interval"):
        yield name, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _figures(one, f"{name}/{key}" if name else key)
    elif isinstance(value, (list, tuple)):
        for at, one in enumerate(value):
            own = one.get("name", at) if isinstance(one, dict) else at
            yield from _figures(one, f"{name}/{own}")
