"""Which weights answered: a hash of a checkpoint's files, so that saved answers never pass for another model's."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from transformers.utils import cached_file

from rfm.model import tiny
from rfm.model.load import ADAPTER_FILE, base_of

PARTS = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.txt")
"""What answers depend on; optimizer, logs and the trainer's state are none of it."""
IGNORED = ("trainer_state.json", "training_options.json")


@lru_cache(maxsize=8)
def model_fingerprint(name: str) -> str:
    """Return a hash of a checkpoint folder's content, an adapter's with that of its base; a hub name with its commit.

    Reads every byte: about a second for 1 GB.
    """
    folder = Path(name)
    if name == tiny.NAME:
        return name
    if not folder.is_dir():
        config = cached_file(name, "config.json", _raise_exceptions_for_missing_entries=False)
        return f"{name}@{Path(config).parent.name if config else 'unknown'}"
    digest = hashlib.sha256()
    for file in sorted({file for part in PARTS for file in folder.glob(part)} - {folder / name for name in IGNORED}):
        digest.update(f"{file.name} {file.stat().st_size}".encode())
        with file.open("rb") as opened:
            while block := opened.read(2**20):
                digest.update(block)
    if (folder / ADAPTER_FILE).is_file():
        digest.update(model_fingerprint(base_of(folder)).encode())
    return digest.hexdigest()[:32]
