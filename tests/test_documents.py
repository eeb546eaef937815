"""Commands in documents can be pasted into bash and zsh and are understood; files and modules they name are there."""

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from rfm.command_table import COMMANDS
from rfm.commands import options_of
from rfm.options.line import parsed_line

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"\s*((rfm|pip|python|make|uv|torchrun|accelerate|for|done|do)(\s|$)|[A-Z_]+=\S+ )")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\$\{\w+\}|\$\(.*?\)")
_PATTERN = re.compile(r"[][{}?*!]|(^|\s)#")
"""What zsh takes for a pattern, a history event or (a comment, at its prompt) for a command."""
_PLACE = re.compile(r"`((?:rfm|tests|benchmarks|docs|examples|scripts|launch)/[\w./-]*|rfm\.[a-z_.]+)`")


def faulty(text: str) -> list[str]:
    lines = [line for block in _BLOCK.findall(text) for line in block.splitlines() if _COMMAND.match(line)]
    return [line for line in lines if _PATTERN.search(_QUOTED.sub("", line))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_command_has_what_zsh_would_expand(document):
    assert faulty(document.read_text()) == []


def test_an_unquoted_list_or_comment_would_be_found():
    block = "```\nrfm generate a=[b]\nrfm x  # why\nrfm y 'a=[b]'\n```\n"
    assert faulty(block) == ["rfm generate a=[b]", "rfm x  # why"]


def commands(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """The `rfm` commands in a text's blocks, with their words; of a loop or an array job the first."""
    blocks = "".join(_BLOCK.findall(text)).replace("\\\n", " ")
    for line in re.findall(r"^(?:[A-Z_]+=\S+ |\s*do )*\s*rfm (.*)$", blocks, re.MULTILINE):
        words = [*takewhile(lambda word: word not in _ENDS, shlex.split(re.sub(r"\$\w+", "1", line)))]
        name = next((at for at in (2, 1) if tuple(words[:at]) in COMMANDS), None)
        if name is not None:  # else one that an adapter of one's own brings
            yield tuple(words[:name]), words[name:]


_ENDS = ("|", ">", "&&", ";", "&", "2>")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_is_understood(document):
    for name, words in commands(document.read_text()):
        assert parsed_line(options_of(name), " ".join(name), words, tables=COMMANDS[name].tables)


def test_a_flag_that_has_gone_would_be_found(capsys):
    [(name, words)] = commands("```\nfor fold in 1 2; do\n    rfm stats data_$fold --of_old > a.txt\ndone\n```\n")
    assert (name, words) == (("stats",), ["data_1", "--of_old"])
    with pytest.raises(SystemExit):
        parsed_line(options_of(name), "stats", words)
    assert "unrecognized arguments: --of_old" in capsys.readouterr().err


def named(text: str) -> list[Path]:
    """The files, folders and modules of this repository that a text names."""
    return [ROOT / place if "/" in place else _module(ROOT / place.replace(".", "/")) for place in _PLACE.findall(text)]


def _module(path: Path) -> Path:
    return path if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "benchmarks" / "RESULTS.md"], ids=lambda path: path.name)
def test_files_and_modules_that_are_named_are_there(document):
    assert [place for place in named(document.read_text()) if not place.exists()] == []


def test_a_file_that_was_moved_would_be_found():
    found = [ROOT / "rfm/no.py", ROOT / "rfm/vqa/prompts.py", ROOT / "rfm/vqa"]
    assert named("`rfm/no.py`, `rfm.vqa.prompts`, `x/y.py`, `rfm.vqa`") == found
