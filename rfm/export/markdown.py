"""Words of data in Markdown: one line, in which nothing is markup, a tag or an escape sequence.

Names, paths and hashes in a card come from whoever made the dataset or the checkpoint; a page that shows the card must
show them as they are.
"""

from __future__ import annotations

import html
import re

from rfm.console import one_line

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~$-])")
_BACKTICKS = re.compile(r"`+")


def prose(words: object, most: int = 200) -> str:
    """Return words for running text, a heading or a cell of a table."""
    return _MARKUP.sub(r"\\\1", html.escape(one_line(str(words), most), quote=False))


def code(words: object, most: int = 200, *, in_table: bool = False) -> str:
    """Return words as a code span; a table's own bars are told apart from theirs."""
    text = one_line(str(words), most)
    fence = "`" * (max((len(run) for run in _BACKTICKS.findall(text)), default=0) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") or not text else ""
    span = f"{fence}{padding}{text}{padding}{fence}"
    return span.replace("|", "\\|") if in_table else span
