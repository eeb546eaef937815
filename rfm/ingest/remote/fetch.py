"""Datasets on remote stores, through fsspec: `s3://`, `gs://`, `hf://` and whatever else it knows.

What is read is copied once into `$RFM_CACHE/remote`, file by file, and then read like any other dataset. A copy gets
its name when it is whole, and the time of change that its version stands for: of a run that was killed, whole files
are kept, and of a dataset that changed, only changed files are copied again. `upload.py` writes.

Settings of a store come from its own environment variables, or from fsspec's (`FSSPEC_S3_ENDPOINT_URL=…`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar

import fsspec

from rfm.console import tracked
from rfm.errors import ConfigError, DataError, MissingExtraError
from rfm.files.cache import cache_folder
from rfm.files.lock import exclusive
from rfm.files.staging import remove_leftovers, staged_file

Options = TypeVar("Options")

THREADS = 8
_VERSIONS = ("ETag", "etag", "md5Hash", "blob_id", "LastModified", "mtime", "created")
"""What stores call that which changes with a file, the surest first."""


class RemoteFile(NamedTuple):
    """A file of a store: its path there, its bytes, and the time of change that stands for its version."""

    path: str
    size: int
    stamp: int


def is_remote(path: str) -> bool:
    """Whether the path begins with a protocol, as `s3://` does."""
    return "://" in path


def opened_store(url: str) -> tuple[Any, str]:
    """fsspec's file system for the URL, and the path in it; an RfmError names a protocol or package that is missing."""
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except ImportError as error:
        raise MissingExtraError(f"{url} needs a package that is not installed: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{url} must begin with a protocol that fsspec knows, but: {error}") from error


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Whatever goes wrong with the store within the block is an RfmError that names the URL."""
    try:
        yield
    except (ConfigError, DataError):
        raise
    except FileNotFoundError as error:
        raise ConfigError(f"{url} must exist, but there is no such bucket, folder or file: {error}") from error
    except PermissionError as error:
        raise ConfigError(f"{url} must be open to you, but permission is denied: {error}") from error
    except Exception as error:  # each store has errors of its own, of no common type
        raise DataError(f"{url} must be reachable, but reaching it gives {type(error).__name__}: {error}") from error


def localised(options: Options) -> Options:
    """The options with a local copy in place of each remote path among the fields marked `remote`."""
    changes = {
        field.name: str(mirrored(value))
        for field in fields(options)  # type: ignore[arg-type]
        if field.metadata.get("remote") and is_remote(value := getattr(options, field.name) or "")
    }
    return replace(options, **changes) if changes else options  # type: ignore[type-var]


def mirrored(url: str) -> Path:
    """A local copy of a remote file or folder, brought up to date; the files themselves for `file://`."""
    store, root = opened_store(url)
    if "file" in (store.protocol if isinstance(store.protocol, tuple) else (store.protocol,)):
        return Path(root)
    with reaching(url):
        listed = listed_files(store, root, url)
    name = PurePosixPath(root.rstrip("/")).name
    home = cache_folder() / "remote" / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    target = home / name
    home.mkdir(parents=True, exist_ok=True)
    with exclusive(home, wait=True), reaching(url):
        wanted = {relative: file for relative, file in listed.items() if not _is_whole(_at(target, relative), file)}
        _check_space(home, wanted, url)
        _remove_others(target, listed)
        with ThreadPoolExecutor(THREADS) as pool:
            copied = pool.map(lambda item: _copy(store, item[1], _at(target, item[0])), wanted.items())
            list(tracked(copied, "download", len(wanted)))
    return target


def listed_files(store: Any, root: str, url: str) -> dict[str, RemoteFile]:
    """The files below `root` by their paths from there; a file itself has the path `""`.

    ConfigError where there is nothing, DataError where a name would lead out of the folder.
    """
    found = store.find(root, detail=True)
    if not found:
        raise FileNotFoundError(url)
    base = root.rstrip("/")
    files = {}
    for path, info in found.items():
        relative = path.removeprefix(base).lstrip("/") if path != base else ""
        parts = relative.split("/")
        if path != base and (not path.startswith(f"{base}/") or {"", ".", ".."} & set(parts) or "\0" in path):
            raise DataError(f"names in {url} must stay in that folder, but `{path}` does not")
        if not isinstance(info.get("size"), int):
            raise DataError(f"{url} must tell the sizes of its files, but does not for `{path}`")
        files[relative] = RemoteFile(path, info["size"], _stamp(info))
    return files


def _stamp(info: Mapping[str, Any]) -> int:
    """Seconds that differ where the version does: a time of change that every copy of a version has alike."""
    version = next((str(info[name]) for name in _VERSIONS if info.get(name)), "")
    return int.from_bytes(hashlib.sha256(version.encode()).digest()[:4], "big") % 2**30


def _at(target: Path, relative: str) -> Path:
    return target / relative if relative else target


def _is_whole(path: Path, file: RemoteFile) -> bool:
    if not path.is_file():
        return False
    status = path.stat()
    return status.st_size == file.size and int(status.st_mtime) == file.stamp


def _check_space(home: Path, wanted: Mapping[str, RemoteFile], url: str) -> None:
    needed, free = sum(file.size for file in wanted.values()), shutil.disk_usage(home).free
    if needed > free:
        raise ConfigError(
            f"{home} must have room for {needed} bytes of {url}, but has {free}: set RFM_CACHE to a larger disk"
        )


def _remove_others(target: Path, listed: Mapping[str, RemoteFile]) -> None:
    """Delete what is no longer there, and what a killed run left half done."""
    if target.is_file():
        return
    for path in sorted(target.rglob("*")):
        if path.is_dir():
            remove_leftovers(path)
        elif str(path.relative_to(target)) not in listed:
            path.unlink(missing_ok=True)


def _copy(store: Any, file: RemoteFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(target) as staged:
        store.get_file(file.path, str(staged))
        size = staged.stat().st_size
        if size != file.size:
            raise DataError(f"{file.path} must have the {file.size} bytes that are listed, but {size} came: try again")
        os.utime(staged, (file.stamp, file.stamp))
