"""A folder is ours, is replaced whole or not at all, and has one writer at a time.

`replaced` is for whatever makes a folder from nothing. Work goes to `.NAME.partial` beside it, which is the lock too:
taken before the first byte is written, dropped by the system with the process, however it ends. A plan in it, a hash of
all that determines the content, tells an interrupted run of the same command from any other. When all is there the
folder takes its place in one step; until then what was there before is as it was.

Nothing is deleted but what a command wrote: a folder counts as ours by a file that only we write, and by the names of
all that is in it. The first one that is foreign is named in a refusal, before anything is changed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.files.documents.json_documents import LARGE, read_json_object
from rfm.files.lock import exclusive, held
from rfm.files.staging import (
    LEFTOVER,
    finish_replacement,
    flush,
    flush_disk,
    naming,
    new_of,
    remove,
    remove_leftovers,
    remove_staged,
    replace_folder,
    staged_file,
)
from rfm.files.writable import check_writable

MADE_FROM = "made_from.json"
"""The plan of a folder's content, kept in it."""
_OF_SYSTEMS = (".DS_Store",)
"""What file browsers leave unasked."""


@dataclass(frozen=True)
class Kind:
    """What a command makes, and how a folder of it is known."""

    what: str
    """As in "a VQA dataset"."""
    option: str
    """The option that names the folder."""
    marks: tuple[str, ...]
    """Files that only we write, relative to the folder: one of them is in every folder of this kind."""
    own: Callable[[Path], Callable[[str], object]]
    """Of a folder: whether a path, relative to it, is one of its files; see `named` and `listed`."""

    def foreign(self, folder: Path) -> Path | None:
        """Return the first thing in the folder that is none of its files; links are none of ours."""
        own = self.own(folder)
        for place, folders, files in os.walk(folder):
            folders.sort()
            links = [name for name in folders if Path(place, name).is_symlink()]
            for name in sorted([*files, *links]):
                path = Path(place, name)
                known = own(path.relative_to(folder).as_posix()) and not path.is_symlink()
                if not (known or LEFTOVER.fullmatch(name) or name in _OF_SYSTEMS):
                    return path
        return None

    def is_ours(self, folder: Path) -> bool:
        """Whether a mark is there."""
        return any((folder / mark).is_file() for mark in self.marks)


def named(pattern: str) -> Callable[[Path], Callable[[str], object]]:
    """Files are known by their paths, which the pattern fits."""
    fits = re.compile(pattern).fullmatch
    return lambda _: fits


def listed(mark: str) -> Callable[[Path], Callable[[str], object]]:
    """Files are known by the list `files` in the JSON file `mark`."""

    def own(folder: Path) -> Callable[[str], object]:
        files = _read_json(folder / mark).get("files", [])
        return {mark, MADE_FROM, *(name for name in files if isinstance(name, str))}.__contains__

    return own


@dataclass
class Workplace:
    """Where a folder is made."""

    output: Path
    """Where it is going to be, links followed."""
    folder: Path
    """Where it is until then."""
    complete: bool = False
    """Whether `output` is there already, whole and made from the same plan: nothing is left to do."""
    resumed: bool = False
    """Whether `folder` holds what an interrupted run of the same plan has made."""
    published: bool = False
    """Whether `output` is what was made, and `folder` is no more."""

    @contextmanager
    def anew(self) -> Iterator[Path]:
        """The folder, empty but for its plan, for work that is never gone on with; deleted if it is not published."""
        for path in self.folder.iterdir():
            if path.name != MADE_FROM:
                remove(path)
        try:
            yield self.folder
        finally:
            if not self.published:
                empty(self.folder)

    def forget_replaced(self, kind: Kind) -> None:
        """Delete what a run that was killed when it had replaced it has left: a whole folder in place of work."""
        if kind.is_ours(self.folder):
            empty(self.folder)

    def publish(self, *, flushed: bool = True) -> None:
        """Let the folder appear, replacing what was there; `flushed`: whether its files are on the disk already."""
        if flushed:
            for place, _, _ in os.walk(self.folder):
                flush(Path(place))
        else:
            flush_disk(self.folder)
        with naming(self.output):
            if self.output.is_dir():
                with exclusive(self.output, wait=False):  # after an exchange the old one carries the name of the lock
                    replace_folder(self.folder, self.output)
            else:
                replace_folder(self.folder, self.output)
        self.published = True


@contextmanager
def workplace(output: Path, option: str) -> Iterator[Workplace]:
    """Hold the lock of a folder that is made from nothing, and say where to make it.

    Nothing is checked yet, and what is in `folder` is the caller's to judge. ConfigError where another process has it.
    """
    target = output.resolve() if output.is_symlink() else output
    if target.is_mount():
        raise ConfigError(f"`{option}` must be a folder of its own, but {output} is a disk; name one in it")
    work = Workplace(target, partial_of(target))
    with exclusive(work.folder, wait=False):
        try:
            _finish(target)
            with _unheld(target):
                remove_staged(target)
            yield work
        finally:
            if not work.published:
                with suppress(OSError):  # full of work to go on with
                    work.folder.rmdir()


@contextmanager
def replaced(
    output: Path,
    kind: Kind,
    *,
    overwrite: bool,
    plan: dict[str, Any] | None = None,
    whole: Callable[[Path], bool] = Path.is_dir,
) -> Iterator[Workplace]:
    """Hold the lock of a folder that may be made, and say where to make it.

    With a plan, `folder` holds what the same plan has left, or nothing but the plan; without one what is there is the
    caller's to judge. `whole` says whether all of a folder that was made from the same plan is there still.

    Raises:
        ConfigError: something foreign is there, a folder of ours without `overwrite`, or another writer.

    """
    with workplace(output, kind.option) as work:
        work.complete = not overwrite and plan is not None and made_from(work.output) == plan and whole(work.output)
        if work.complete:
            work.forget_replaced(kind)
        else:
            check_replaceable(output, kind, overwrite=overwrite)
            work.resumed = plan is not None and _gone_on_with(work.folder, plan)
        yield work


@contextmanager
def replaced_file(
    output: Path, option: str, *, overwrite: bool, plan: dict[str, Any], whole: Callable[[Path], bool]
) -> Iterator[Workplace]:
    """The same for a single file, of which `whole` says whether it is there, made from the plan.

    `folder` is for what it is made of, which goes when the block ends well.

    Raises:
        ConfigError: a file or folder is there without `overwrite`, or another writer.

    """
    with workplace(output, option) as work:
        work.complete = not overwrite and whole(work.output)
        if not work.complete:
            check_new_file(option, output, overwrite=overwrite)
            work.resumed = _gone_on_with(work.folder, plan)
        yield work
        empty(work.folder)


def check_replaceable(output: Path, kind: Kind, *, overwrite: bool) -> None:
    """Raise ConfigError where something foreign is at `output`, or a folder of ours and `overwrite` is not set."""
    if not output.exists():
        return
    if not output.is_dir():
        raise ConfigError(f"`{kind.option}` must be a folder, but {output} is a file; name another")
    if not any(output.iterdir()):
        return
    if not overwrite and kind.is_ours(output):
        raise ConfigError(f"`{kind.option}` {output} exists; add --overwrite to replace it, or name another")
    if foreign := kind.foreign(output):
        raise ConfigError(
            f"`{kind.option}` must be free or {kind.what}, but {output} holds {foreign.relative_to(output)}, which is "
            f"no part of one and is not deleted; name another, or move that away"
        )
    if not kind.is_ours(output):
        raise ConfigError(f"`{kind.option}` must be free or {kind.what}, but {output} is none; name another")


def check_new_file(option: str, file: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise ConfigError where a file that a command would write in the end is there, or can't be; before its work.

    `inputs` are files and folders that the command reads: nothing is written in their place or into them, whatever
    `overwrite` says.
    """
    if file.is_dir():
        raise ConfigError(f"`{option}` must name a file, but {file} is a folder")
    place = file.resolve()
    for read in inputs:
        if place.is_relative_to(read.resolve()):
            raise ConfigError(
                f"`{option}` must not be what is read, but {file} is {_part_of(place, read)}; name another"
            )
    if file.exists() and not overwrite:
        raise ConfigError(f"`{option}` {file} exists; add --overwrite to replace it, or name another file")
    check_writable(option, file)


def _part_of(place: Path, read: Path) -> str:
    return f"{read} itself" if place == read.resolve() else f"a part of {read}"


def partial_of(output: Path) -> Path:
    """Return where a folder is while it is made."""
    return output.with_name(f".{output.name}.partial")


def empty(folder: Path) -> None:
    """Delete all that is in a folder of ours; the folder itself stays, for its lock belongs to it."""
    for path in folder.iterdir():
        remove(path)


def _finish(target: Path) -> None:
    """Finish a replacement that was killed; one that is going on has moved its lock along with its folder."""
    with held(new_of(target), target, wait=False) as is_there:
        if is_there:
            finish_replacement(target)


def _unheld(target: Path) -> AbstractContextManager[object]:
    """Hold the lock of what is there; ConfigError where a writer has it that has just replaced it, or grows it."""
    return held(target, target, wait=False) if target.is_dir() else nullcontext()


def _gone_on_with(partial: Path, plan: dict[str, Any]) -> bool:
    """Keep what an interrupted run of the same plan has made; clear away anything else."""
    if made_from(partial) == plan:
        for place, _, _ in os.walk(partial):
            remove_leftovers(Path(place))
        return True
    empty(partial)
    with staged_file(partial / MADE_FROM) as staged:
        staged.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
    return False


def made_from(folder: Path) -> dict[str, Any]:
    """Return the plan of a folder's content; an empty one where it has none."""
    return _read_json(folder / MADE_FROM)


def _read_json(file: Path) -> dict[str, Any]:
    """Return an object of a file of ours; an empty one where there is none, or what is there is none."""
    try:
        return read_json_object(file, most=LARGE)
    except DataError:
        return {}
