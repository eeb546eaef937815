"""`rfm cache`: what is kept that can be made again, here and by the hub's client; only our own is ever deleted."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

from rfm.console import results, show
from rfm.files.cache import cache_folder
from rfm.files.lock import exclusive
from rfm.files.staging import remove
from rfm.ingest.bundled import NAME
from rfm.installation.options import CacheOptions
from rfm.table import FittedTable

logger = logging.getLogger(__name__)

_OURS = {
    "upload": "datasets on their way to a remote store",
    "remote": "datasets fetched from a remote store",
    NAME: "the bundled videos, ingested",
}
_NAMED = re.compile(rf"(upload|remote|{NAME})(-[0-9a-f]{{12}})?(\.unfinished)?")


def cache(options: CacheOptions) -> int:
    """Run `rfm cache`.

    Raises:
        ConfigError: there is no home folder, or a command fills the cache.

    """
    folder = cache_folder()
    found = {"folder": str(folder), "entries": _entries(folder), "hub": _hub()}
    show(lambda: found, lambda: results().print(_table(found)))
    if options.clear:
        _clear(folder)
    return 0


def _entries(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [{"name": path.name, "bytes": size_of(path), "what": _what(path.name)} for path in paths]


def _what(name: str) -> str | None:
    """Return what an entry is; None of one that is not ours."""
    match = _NAMED.fullmatch(name)
    return _OURS[match[1]] if match else None


def _hub() -> dict[str, Any]:
    """Return the cache of the hub's client, which is not ours to clear."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return {"folder": HF_HUB_CACHE, "bytes": size_of(Path(HF_HUB_CACHE)), "clear": "hf cache"}


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; links count as nothing."""
    if path.is_symlink() or not path.is_dir():
        return 0 if path.is_symlink() or not path.exists() else path.stat().st_size
    total = 0
    for place, _, names in os.walk(path):
        for file in (Path(place, name) for name in names):
            if not file.is_symlink():
                total += file.stat().st_size
    return total


def shown_size(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def _table(found: dict[str, Any]) -> FittedTable:
    table = FittedTable(found["folder"])
    for head in ("", "size", "what it is"):
        table.add_column(head, justify="right" if head == "size" else "left")
    for one in found["entries"]:
        table.add_row(one["name"], shown_size(one["bytes"]), one["what"] or "not of rfm")
    table.add_row("in all", shown_size(sum(one["bytes"] for one in found["entries"])), "", end_section=True)
    table.add_row("of the hub", shown_size(found["hub"]["bytes"]), f"{found['hub']['folder']}; cleared by `hf cache`")
    return table


def _clear(folder: Path) -> None:
    if not folder.is_dir():
        logger.info("there is nothing to clear")
        return
    with exclusive(folder, wait=False):
        for path in sorted(folder.iterdir()):
            if _what(path.name) is None or path.is_symlink():
                logger.warning("%s is not of rfm, and stays", path)
                continue
            size = size_of(path)
            remove(path)
            logger.info("deleted %s, %s", path, shown_size(size))
