"""The pages of the site: those of `docs/`, some that lie elsewhere in the repository, and the reference of commands.

Links go to the files of the repository, so that they work where that is read; here they are turned to the site's pages.
A link to a file that is no page becomes its path, as text.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from website.commands import FOLDER, command_pages, command_table, key_table

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {
    "benchmarks/RESULTS.md": "measurements.md",
    "rfm/model/weights_shipped/metaworld-small/README.md": "metaworld-small.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
}
"""Files outside `docs/`, and the page that each is on the site; README's own page is `docs/index.md`."""
TABLE = "<!-- a table of them -->"
TABLES = {"reference/commands.md": command_table, "reference/configuration.md": key_table}
"""The pages of `docs/` that have `TABLE` in its place."""
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def assemble(folder: Path) -> None:
    """Write all pages and their pictures into `folder`."""
    shutil.copytree(ROOT / "docs", folder)
    places = {ROOT / source: page for source, page in ELSEWHERE.items()}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        places[path] = path.relative_to(ROOT / "docs").as_posix()
    for path, page in places.items():
        if path != ROOT / "README.md":
            text = _FRONT.sub("", path.read_text())
            (folder / page).write_text(with_links_to_pages(text, path, page, places))
    for page, table in TABLES.items():
        (folder / page).write_text((folder / page).read_text().replace(TABLE, table()))
    (folder / FOLDER).mkdir()
    for page, text in command_pages().items():
        (folder / page).write_text(text)


def with_links_to_pages(text: str, source: Path, page: str, places: dict[Path, str]) -> str:
    """`text` of the file `source`, to be put at `page`, with its links turned to pages."""

    def turned(link: re.Match[str]) -> str:
        words, target, anchor = link[1], link[2], link[3] or ""
        path = Path(os.path.normpath(source.parent / target))
        if path in places:
            return f"[{words}]({os.path.relpath(places[path], Path(page).parent)}{anchor})"
        if path.is_relative_to(ROOT) and path.exists() and ROOT / "docs" not in path.parents:
            place = path.relative_to(ROOT).as_posix()
            return f"`{place}`" if words in (target, place) else f"{words} (`{place}`)"
        return link[0]

    return _LINK.sub(turned, text)
