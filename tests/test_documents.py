"""Commands in documents can be pasted into bash and zsh as they are printed; files and modules they name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"\s*((rfm|pip|python|make|uv|torchrun|accelerate|for|done|do)(\s|$)|[A-Z_]+=\S+ )")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\$\{\w+\}|\$\(.*?\)")
_PATTERN = re.compile(r"[][{}?*!]|(^|\s)#")
"""What zsh takes for a pattern, a history event or (a comment, at its prompt) for a command."""
_PLACE = re.compile(r"`((?:rfm|tests|benchmarks|docs|scripts|launch)/[\w./-]*|rfm\.[a-z_.]+)`")


def faulty(text: str) -> list[str]:
    lines = [line for block in _BLOCK.findall(text) for line in block.splitlines() if _COMMAND.match(line)]
    return [line for line in lines if _PATTERN.search(_QUOTED.sub("", line))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_command_has_what_zsh_would_expand(document):
    assert faulty(document.read_text()) == []


def test_an_unquoted_list_or_comment_would_be_found():
    block = "```\nrfm generate a=[b]\nrfm x  # why\nrfm y 'a=[b]'\n```\n"
    assert faulty(block) == ["rfm generate a=[b]", "rfm x  # why"]


def named(text: str) -> list[Path]:
    """The files, folders and modules of this repository that a text names."""
    places = [place if "/" in place else place.replace(".", "/") + ".py" for place in _PLACE.findall(text)]
    return [ROOT / place for place in places]


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "benchmarks" / "RESULTS.md"], ids=lambda path: path.name)
def test_files_and_modules_that_are_named_are_there(document):
    assert [place for place in named(document.read_text()) if not place.exists()] == []


def test_a_file_that_was_moved_would_be_found():
    assert named("`rfm/no.py`, `rfm.vqa.prompts`, `x/y.py`") == [ROOT / "rfm/no.py", ROOT / "rfm/vqa/prompts.py"]
