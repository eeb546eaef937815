"""The flags of the commands about the installation."""

from __future__ import annotations

from dataclasses import dataclass, field

SHELLS = ("bash", "zsh", "tcsh")


@dataclass(frozen=True)
class DoctorOptions:
    """Say what is installed, which device and video codecs there are, and what each extra needs.

    Exit status 1 if something is missing that every command needs.
    """


@dataclass(frozen=True)
class CacheOptions:
    """Say where what can be made again is kept, and how large it is."""

    clear: bool = field(default=False, metadata={"help": "Delete it; what is not of rfm stays, and is named"})


@dataclass(frozen=True)
class ConfigurationOptions:
    """List the keys of the configuration: meaning, default, bounds."""

    words: tuple[str, ...] = field(default=(), metadata={"help": "Only keys with one of these", "positional": True})


@dataclass(frozen=True)
class CompletionOptions:
    """Print a script by which a shell completes commands, flags and files. It needs the package shtab."""

    shell: str = field(metadata={"help": "The shell", "positional": True, "choices": SHELLS})
