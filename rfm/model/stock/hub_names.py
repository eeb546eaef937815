"""Where a model lies: a folder, or a name on the hub, `me/my-model`, which `me/my-model@COMMIT` pins to a commit."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, cast

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers.utils import cached_file

from rfm.errors import DataError
from rfm.model.shipped import resolved

PATIENCE = 10
"""Seconds that the hub has for its first answer."""
_HTTPError = cast(type[Exception], HfHubHTTPError.__bases__[0])
"""Of the HTTP library that huggingface_hub is built on: httpx in its releases 1, httpx2 in 2."""


def place_of(name: str | Path) -> str:
    """Return the absolute path of a folder, so that it is the same from any working directory, or the hub name.

    Raises `DataError` ("Model not found: …") for a path that is no folder.
    """
    folder = Path(resolved(str(name)))
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
    if is_path(name) and not Path(name).is_dir():
        return None
    plain, revision = pinned(name)
    here = Path(name).is_dir() or out_of_reach(name) is not None
    options: dict[str, Any] = {**revision, "local_files_only": here, "_raise_exceptions_for_missing_entries": False}
    path = cached_file(plain, file_name, _raise_exceptions_for_connection_errors=False, **options)
    return None if path is None else Path(path)


@cache
def out_of_reach(name: str) -> str | None:
    """Return why the hub can't be asked for a model, found out by one short try; None where it can.

    Stock loaders try six times with growing pauses, a minute for a name that is spelt wrongly on a machine offline.
    """
    plain, revision = pinned(name)
    try:
        HfApi().model_info(plain, timeout=PATIENCE, revision=revision.get("revision"))
    except (HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError) as error:
        return str(error).strip().splitlines()[0]
    except HfHubHTTPError:
        return None  # the hub answers: what it says of the files is for the loader to tell
    except _HTTPError as error:
        return f"the hub can't be reached: {error}"
    return None


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
