"""The pages of the site, without the program that lays them out: all there, and every link leads to one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rfm.command_table import COMMANDS
from website.commands import command_table, key_table
from website.pages import ROOT, assemble, with_links_to_pages

_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site") / "docs"
    assemble(place)
    return place


def test_every_link_leads_to_a_page_or_a_picture(pages: Path) -> None:
    dead = [
        f"{page.relative_to(pages)}: {link}"
        for page in pages.rglob("*.md")
        for link in _LINK.findall(re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", page.read_text()))
        if not (page.parent / link).exists()
    ]
    assert dead == []


def test_the_navigation_names_every_page_once(pages: Path) -> None:
    named = re.findall(r'= "([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text())
    below = {path.relative_to(pages).as_posix() for path in (pages / "reference" / "commands").glob("*.md")}
    there = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md")}
    assert sorted(named) == sorted(there - below)


def test_each_command_has_a_page_with_its_flags(pages: Path) -> None:
    text = (pages / "reference" / "commands" / "generate.md").read_text()
    assert text.startswith("# rfm generate\n")
    assert "\n```\nrfm generate " in text
    data, _, rest = text.partition("## Data\n")[2].partition("\n## ")
    assert "| `--num_samples` | `10000` | whole number |" in data
    assert "| `--output_path` | required | text |" in rest
    assert all(f"`rfm {' '.join(name)}`" in command_table() for name in COMMANDS)
    assert command_table() in (pages / "reference" / "commands.md").read_text()


def test_each_key_has_its_row(pages: Path) -> None:
    assert "| `seed` | `42` | 0 to 9223372036854775807 | Seed of the questions" in key_table()
    assert key_table() in (pages / "reference" / "configuration.md").read_text()


def test_links_are_turned_to_pages() -> None:
    text = (
        "[a](docs/ingest.md#x) [LICENSE](LICENSE) [the rules](rfm/cli.py) [b](https://example.org) ![p](docs/demo.png)"
    )
    places = {ROOT / "docs" / "ingest.md": "ingest.md"}
    turned = with_links_to_pages(text, ROOT / "README.md", "howto/readme.md", places)
    assert turned == (
        "[a](../ingest.md#x) `LICENSE` the rules (`rfm/cli.py`) [b](https://example.org) ![p](docs/demo.png)"
    )
