"""Where a model lies: a folder, or a name on the hub, `me/my-model`, which `me/my-model@COMMIT` pins to a commit."""

from __future__ import annotations

from pathlib import Path

from transformers.utils import cached_file

from rfm.errors import DataError


def place_of(name: str | Path) -> str:
    """Return the absolute path of a folder, so that it is the same from any working directory, or the hub name.

    Raises `DataError` ("Model not found: …") for a path that is no folder.
    """
    folder = Path(name)
    if folder.is_dir():
        return str(folder.absolute())
    if is_path(str(name)):
        raise DataError(f"Model not found: {name} is not a folder{candidates(folder.parent)}")
    return str(name)


def pinned(name: str) -> tuple[str, dict[str, str]]:
    """Return what stock loaders take for a folder or hub name: the name, and the commit if it is pinned to one."""
    plain, _, commit = ("" if Path(name).is_dir() else name).partition("@")
    return (plain, {"revision": commit}) if commit else (name, {})


def file_of(name: str, file_name: str) -> Path | None:
    """Return where a file of a folder or hub name lies on this machine; None where there is none."""
    plain, revision = pinned(name)
    path = cached_file(plain, file_name, _raise_exceptions_for_missing_entries=False, **revision)
    return None if path is None else Path(path)


def commit_of(name: str) -> str | None:
    """Return the commit of a hub name; None where nothing of it is on this machine."""
    config = file_of(name, "config.json")
    return None if config is None else config.parent.name


def is_path(name: str) -> bool:
    """Tell a path from a hub name, which has at most one slash and does not start like a path."""
    return (
        name.startswith((".", "/", "~")) or name.count("/") > 1 or (name.count("/") == 1 and Path(name).parent.is_dir())
    )


def candidates(folder: Path) -> str:
    """Return, to end a message with, which checkpoints a folder holds."""
    if not folder.is_dir():
        return f", and neither is {folder}; pass a checkpoint folder such as OUTPUT_DIR/final, or a hub name"
    found = sorted(path for path in folder.iterdir() if path.name == "final" or path.name.startswith("checkpoint-"))
    if not found:
        return "; pass a checkpoint folder such as OUTPUT_DIR/final or OUTPUT_DIR/checkpoint-500"
    return f"; {folder} has {', '.join(path.name for path in found)}: pass for example {found[-1]}"
