"""Runs kept as JSON, a file each: a run is made once for its settings, and made again when these change.

So a command that was stopped goes on with the run at which it was.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rfm.errors import ConfigError
from rfm.files.documents.json_documents import read_json_object
from rfm.files.seal import digest
from rfm.files.staging import staged_file
from rfm.model.shipped import resolved

logger = logging.getLogger(__name__)

Numbers = dict[str, Any]
_WEIGHTS = "model.safetensors"


def kept(path: Path, settings: Mapping[str, Any], make: Callable[[], Numbers]) -> Numbers:
    """Return the run of these settings from its file, or make it; `cpu_seconds` is what that took."""
    asked = json.loads(json.dumps(dict(settings)))  # as it is read
    if path.is_file() and (found := read_json_object(path))["settings"] == asked:
        return found
    logger.info("running %s", path.stem)
    start = time.process_time()
    made = {"settings": asked, **make(), "cpu_seconds": round(time.process_time() - start, 1)}
    return write(path, made)


def write(path: Path, content: Numbers) -> Numbers:
    """Write JSON whole or not at all; returns what a reader will find."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        staged.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return read_json_object(path)


def digest_of_weights(model: str) -> str:
    """Return the XXH3 digest of a checkpoint's weights, by which its figures are told from another's."""
    path = Path(resolved(model)) / _WEIGHTS
    if not path.is_file():
        raise ConfigError(f"`model` must be a checkpoint folder with {_WEIGHTS}, or metaworld-small, but is {model!r}")
    return digest(path)
