"""Blocks of commands in documents, and what HTML comments before them say of how they are run.

<!-- not run: needs a GPU -->       this block is not run, for that reason
<!-- given: attempt.mp4, run -->    `PREPARED` makes these things before this block
<!-- exit status: 1 -->             the block ends with that
<!-- rest not run: … -->            of this block and all that follow on the page
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = {"": "bash", "python": "python"}
"""Whose blocks are commands, where they begin like one; output and files have a language of their own."""
_BLOCK = re.compile(r"((?:^<!-- [^\n]* -->\n)*)^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(rfm|pip|python|make|uv|torchrun|accelerate|for|curl|apt-get|benchmarks/)\b")


@dataclass(frozen=True)
class Block:
    """Commands as they are printed."""

    line: int
    program: str
    text: str
    given: tuple[str, ...]
    status: int
    not_run: str | None


def blocks(document: str) -> Iterator[Block]:
    """The blocks of a document, in order."""
    rest = None
    for found in _BLOCK.finditer(document):
        says = dict(re.findall(r"<!-- (not run|rest not run|given|exit status): (.*) -->", found[1]))
        rest = says.get("rest not run", rest)
        if found[2] in LANGUAGES and (found[2] or _COMMAND.match(found[3])):
            yield Block(
                line=document.count("\n", 0, found.start(2)) + 1,
                program=LANGUAGES[found[2]],
                text=found[3],
                given=tuple(filter(None, says.get("given", "").split(", "))),
                status=int(says.get("exit status", 0)),
                not_run=says.get("not run", rest),
            )


def documents(root: Path) -> list[Path]:
    """README and all pages."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
