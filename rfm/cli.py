"""The command `rfm`, and what the scripts of the specification call.

Errors that the user can act on are printed as one message with exit status 1; anything else keeps its traceback. Which
commands there are stands in `commands`.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, TypeVar

from rfm.command_table import COMMANDS
from rfm.commands import brought_in, closest, function_of, load, options_of, overview, version
from rfm.console import console, manner, set_up_logging
from rfm.errors import NO_TORCH, ConfigError, RfmError
from rfm.options.documents import Made
from rfm.options.flags import flags_of
from rfm.options.line import Line, parsed_line
from rfm.options.parser import show_help

Options = TypeVar("Options")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `rfm COMMAND …`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name in sorted([*COMMANDS, *brought_in(words)], key=len, reverse=True):
        if tuple(words[: len(name)]) == name:
            sys.exit(run_command(name, words[len(name) :], program=f"rfm {' '.join(name)}"))
    if words == ["--version"]:
        sys.stdout.write(f"rfm {version()}\n")
        sys.exit(0)
    named = list(takewhile(lambda word: not word.startswith("-"), words))
    group = named[:1] if any(name[:1] == tuple(named[:1]) for name in COMMANDS) else []
    if not words or (named == group and words[len(group) :][:1] in (["-h"], ["--help"])):
        show_help(overview(tuple(group)))
        sys.exit(0)
    hint = f"; {meant}" if named != group and (meant := closest(words)) else ""
    sys.stderr.write(f"rfm: no command {' '.join(words[:2])!r}{hint}\n\n{overview(tuple(group))}")
    sys.exit(2)


def run_script(name: str) -> None:
    """Run one command as a script of its own, with the script's arguments."""
    sys.exit(run_command((name,), sys.argv[1:], program=None))


def run_command(name: tuple[str, ...], arguments: Sequence[str], program: str | None) -> int:
    """Run a command and return its exit status."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    # threads that spin at a barrier take the core from the loader's workers: steps of 0.1 s took 1 to 5 s beside them
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _open_streams()
    set_up_logging()
    line: Line[Any] | None = None
    try:
        _check_working_folder()
        command = COMMANDS.get(name)
        called = program or os.path.basename(sys.argv[0])  # noqa: PTH119
        tables, example = (command.tables, command.example) if command is not None else (False, "")
        line = parsed_line(options_of(name), called, arguments, tables=tables, example=example)
        arguments = line.words
        result = _done(name, line)
        sys.stdout.flush()
    except RfmError as error:
        console().print(f"error: {error}", style="bold red", soft_wrap=True)
        return 1
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        console().print(f"error: {NO_TORCH}", style="bold red", soft_wrap=True)
        return 1
    except OSError as error:
        if error.errno == errno.EPIPE and _nobody_reads():
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # what is left in the buffer would fail again
            return _NOBODY_READS
        if (text := _refused(error, lambda: _after_full(name, line, [*_started_as(program), *arguments]))) is None:
            raise
        console().print(f"error: {text}", style="bold red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would cut the message off
        text = _way_on(name, line, [*_started_as(program), *arguments])
        console().print(f"interrupted; {text}", style="bold red", soft_wrap=True)
        signal.signal(signal.SIGINT, before)
        return 130
    return result if isinstance(result, int) else 0


def _done(name: tuple[str, ...], line: Line[Any]) -> Any:
    """Do what a line asks for, and write its options beside what it made."""
    made = Made.of(line.options, line.values)
    if line.common.quiet:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read when the hub's and transformers' bars begin
    with manner(quiet=line.common.quiet, document=line.common.json):
        try:
            return function_of(name)(line.options)
        finally:
            made.write_options(" ".join(name), line.values, flags_of(type(line.options)))


def run_module(cls: type[Options], function: Callable[[Options], object], program: str) -> int:
    """Run a module as `program`, a command that goes on where it stopped, and return its exit status."""
    set_up_logging()
    try:
        line = parsed_line(cls, program, sys.argv[1:])
        with manner(quiet=line.common.quiet):
            function(line.options)
    except RfmError as error:
        console().print(f"error: {error}", style="bold red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console().print("interrupted; the same command goes on where it stopped", style="bold red", soft_wrap=True)
        return 130
    return 0


_NOBODY_READS = 141
"""What a shell reports of a command whose pipe was closed by its reader, as in `rfm report … | head`."""


def _open_streams() -> None:
    """Make standard streams that were closed take what is written, and let none fail on a letter it does not have.

    A closed one is no stream at all, and the next file that is opened would get its number and its lines.
    """
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: PTH123, SIM115
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader has gone."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):  # a stream without a file
        return False


def _check_working_folder() -> None:
    """Refuse to run where relative paths mean nothing, or where records of whole paths could not be written."""
    try:
        here = os.getcwd()  # noqa: PTH109
        here.encode()
    except FileNotFoundError as error:
        raise ConfigError("the working folder must exist, but was deleted; change to another") from error
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"the working folder must have a name in UTF-8, but is {os.fsencode(here)!r}; rename it"
        ) from error


def _way_on(name: tuple[str, ...], line: Line[Any] | None, command: Sequence[str]) -> str:
    """Return what to do after an interruption of a command that was called like this."""
    if name == ("train",) and line is not None:
        return str(load("rfm.training.command:way_on_command")(line.options, command))
    goes_on = name[0] in ("ingest", "generate", "evaluate", "bench", "relabel") or name == ("export", "rows")
    return f"the same command {'goes on where it stopped' if goes_on else 'starts anew, nothing is left half made'}"


def _started_as(program: str | None) -> list[str]:
    """Return the words that a command line began with."""
    if program is None:
        return ["python", sys.argv[0]]
    return ["python", "-m", *program.split()] if sys.argv[0].endswith("__main__.py") else program.split()


_FULL = (errno.ENOSPC, errno.EDQUOT)
_RIGHTS = "must be open to this user, but is not ({}); change its rights, or name another"
_REFUSALS = {
    errno.ENOENT: "must exist, but does not ({}); name another",
    errno.ENOTDIR: "must lie in a folder, but a part of its path is a file ({}); name another",
    errno.EISDIR: "must be a file, but is a folder ({}); name another",
    errno.EEXIST: "must be a folder or free, but a file is there ({}); name another",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "must lie on a disk that can be written to, but does not ({}); name another",
    errno.ENAMETOOLONG: "must have a shorter name ({}); name another",
    errno.ELOOP: "must lead to a file, but its links lead in a circle ({}); name another",
}
"""What is wrong with a path that the system refuses."""


def _refused(error: OSError, after_full: Callable[[], str]) -> str | None:
    """Return what is wrong with the disk or a path, None for any other failure of the system."""
    if error.errno in _FULL:
        where = f" for {error.filename}" if error.filename else ""
        return f"there must be room on the disk{where}, but there is none left ({error.strerror}); {after_full()}"
    if error.errno not in _REFUSALS or not error.filename:
        return None
    return f"{os.fsdecode(error.filename)} {_REFUSALS[error.errno].format(error.strerror)}"


def _after_full(name: tuple[str, ...], line: Line[Any] | None, command: Sequence[str]) -> str:
    """Return what to do after a command that was called like this has filled the disk."""
    if name == ("train",) and line is not None:  # what it has saved has to be named
        return f"free some, then {_way_on(name, line, command)}"
    return "free some, or write elsewhere, and give the command again: it goes on where it can"
