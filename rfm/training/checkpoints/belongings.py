"""What in a run's folder `rfm train` wrote itself: nothing else is ever deleted or replaced.

A checkpoint, `final` and an adapter's `base` carry a seal that lists their files (`seal`). What is being written or
deleted has none, and stands in `rfm_train.json` beside them from before its first byte to its seal, or until it is
gone; so do files and folders of logs that are never sealed. A folder with neither, or a file that its folder's seal
does not list, is somebody else's.

Cost: two small files written a checkpoint.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Container, Iterable, Iterator
from itertools import count
from pathlib import Path

from rfm.errors import ConfigError, DataError
from rfm.files import seal
from rfm.files.documents.json_documents import read_json_object
from rfm.files.staging import staged_file
from rfm.model.weights.base import BASE_FOLDER
from rfm.training.checkpoints.folders import BAD_ROWS, FINAL, LOGS, UNFINISHED_FINAL

logger = logging.getLogger(__name__)

FILE_NAME = "rfm_train.json"
_FOLDERS = rf"checkpoint-\d+|{FINAL}|{re.escape(UNFINISHED_FINAL)}|{BASE_FOLDER}|{LOGS}/.+"
_NAMES = re.compile(rf"{_FOLDERS}|{re.escape(BAD_ROWS)}")
"""All that a run notes: a list that names anything else was not written by one."""
CURVES = "events.out.tfevents.*"
NAMED = 5


class Belongings:
    """Of one run's folder; for the process that writes there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self, path: Path) -> None:
        """Take note of a file or folder that is about to be written; what lies there must be ours."""
        self.check([path])
        self._write({*self._noted(), self._name(path)})

    def claim_anew(self, path: Path) -> None:
        """Make room for a folder that is about to be written: delete what is ours there, put aside what is not."""
        if self.strangers([path]):
            aside = _free_name(path)
            path.rename(aside)
            logger.warning("%s was not written by `rfm train` and is in its way; it is now %s", path, aside)
        self.delete([path])
        self.claim(path)

    def seal(self, path: Path) -> None:
        """Seal a folder that was claimed and is written."""
        seal.seal(path)
        self.disown([path])

    def strangers(self, paths: Iterable[Path]) -> list[Path]:
        """Return what must not be deleted with `paths`: files in them that are not ours, or whole paths."""
        noted = self._noted()
        return [stranger for path in paths for stranger in _strangers(path, self._name(path), noted)]

    def check(self, paths: Iterable[Path]) -> None:
        """Raise `ConfigError` where something in `paths` is not ours."""
        if strangers := self.strangers(paths):
            names = ", ".join(str(stranger.relative_to(self.folder)) for stranger in strangers[:NAMED])
            more = f" and {len(strangers) - NAMED} more" if len(strangers) > NAMED else ""
            raise ConfigError(
                f"`output_dir` must hold what `rfm train` wrote where it writes and deletes, but {self.folder} holds "
                f"{names}{more}, which it did not write; move that elsewhere, or name another --output_dir"
            )

    def delete(self, paths: Iterable[Path]) -> None:
        """Delete what is ours, killed at any moment or not; ConfigError, and nothing deleted, where some is not."""
        paths = [path for path in dict.fromkeys(paths) if path.exists() or path.is_symlink()]
        self.check(paths)
        if not paths:
            return
        self._write({*self._noted(), *map(self._name, paths)})
        for path in paths:
            _remove(path)
        self.disown(paths)

    def noted(self) -> list[Path]:
        """Return what is ours without a seal and exists: unfinished folders, curves and single files."""
        return [path for name in sorted(self._noted()) if (path := self.folder / name).exists()]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _noted(self) -> set[str]:
        try:
            names = read_json_object(self.folder / FILE_NAME).get("written")
        except DataError:  # nothing counts as ours then
            return set()
        known = names if isinstance(names, list) else []
        return {name for name in known if isinstance(name, str) and _NAMES.fullmatch(name) and ".." not in name}

    def _write(self, names: set[str]) -> None:
        with staged_file(self.folder / FILE_NAME) as staged:
            staged.write_text(json.dumps({"written": sorted(names)}, indent=1) + "\n", encoding="utf-8")

    def disown(self, paths: Iterable[Path]) -> None:
        """Forget about paths that were claimed: they are sealed or gone."""
        self._write(self._noted() - set(map(self._name, paths)))


def _strangers(path: Path, name: str, noted: Container[str]) -> Iterator[Path]:
    if path.is_symlink() or not path.exists():  # a link alone is deleted, never what it leads to
        return
    files = [file for file in path.rglob("*") if not file.is_dir()] if path.is_dir() else [path]
    if name.startswith(f"{LOGS}/"):  # trackers of other programs may write curves there too
        yield from (file for file in files if name not in noted or not file.match(CURVES))
    elif name not in noted:
        listed = seal.listed(path) if path.is_dir() else None
        yield from (file for file in files if file.relative_to(path).as_posix() not in (listed or ()))
        if listed is None and not files:
            yield path


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.aside{number or ''}") for number in count())
    return next(name for name in names if not name.exists())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
