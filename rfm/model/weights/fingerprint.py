"""Which weights answered: a hash of a checkpoint's files, so that saved answers never pass for another model's.

What answers depend on is decided here, by a file's name: the state of a run, its record and the card are none of it.
"""

from __future__ import annotations

import hashlib
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from rfm.files import seal
from rfm.files.ownership import MADE_FROM
from rfm.model import tiny
from rfm.model.stock.hub_names import commit_of

WEIGHTS = ("*.safetensors", "*.bin")
PARTS = (*WEIGHTS, "*.json", "*.jinja", "*.txt")
"""What answers depend on, but for what is named below."""
_OF_THE_RUN = (
    "known_answers.json", "vllm_export.json",
    "trainer_state.json", "training_options.json", "training_data.json", "training_args.bin", "merge.json",
    "optimizer*", "*/*", seal.FILE_NAME, "saved_as_best.json", MADE_FROM,
)  # fmt: skip


def is_weights(name: str) -> bool:
    """Tell whether a file of a checkpoint holds weights."""
    return decides_answers(name) and any(fnmatch(name, pattern) for pattern in WEIGHTS)


def decides_answers(name: str) -> bool:
    """Tell whether answers depend on a file of a checkpoint, named relative to its folder."""
    ours = any(fnmatch(name, pattern) for pattern in PARTS)
    return ours and not any(fnmatch(name, pattern) for pattern in _OF_THE_RUN)


def model_fingerprint(name: str, base: str | None = None) -> str:
    """Return a hash of a checkpoint folder's content, an adapter's with that of its base; a hub name with its commit.

    Reads every byte of a folder, once a process as long as no file changes: about 0.2 s of processor time for 1 GB.
    """
    if name in tiny.PRESETS:
        return name
    if not Path(name).is_dir():
        return f"{name.partition('@')[0]}@{commit_of(name) or 'unknown'}"
    states = [(file.name, file.stat()) for file in _files(Path(name))]
    own = _in_state(Path(name), tuple((file, state.st_size, state.st_mtime_ns) for file, state in states))
    return own if base is None else hashlib.sha256(f"{own} on {model_fingerprint(base)}".encode()).hexdigest()[:32]


@lru_cache(maxsize=8)
def _in_state(folder: Path, _: tuple[tuple[str, int, int], ...]) -> str:
    """Return the fingerprint of a folder whose files have these names, sizes and times: another run may write there."""
    return folder_fingerprint(folder)


def folder_fingerprint(folder: Path) -> str:
    """Return a hash of what answers depend on in a folder as it is now."""
    hashed = hashlib.sha256()
    for file in _files(folder):
        hashed.update(f"{file.name} {file.stat().st_size} {seal.digest(file)}\n".encode())
    return hashed.hexdigest()[:32]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and decides_answers(path.name))
