"""One HTML file from a template: everything in it, nothing fetched, and what comes from data is text.

Three things keep it so. Jinja escapes what a template writes. What scripts show comes as JSON in a block that is not
run, in which no character could end the block, and goes into the page as text. A Content-Security-Policy forbids all
but the one style sheet and the one script, by their hashes, and pictures that the file holds itself.

Charts are drawn as SVG of a few lines (`charts`) and not by Plotly: its script is 4.5 MB in every file, needs `eval` or
inline styles that the policy forbids, and can't be printed or read without running.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from rfm.console import visible
from rfm.files.staging import staged_file

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPT_SAFE = str.maketrans(
    {mark: f"\\u{ord(mark):04x}" for mark in ("<", ">", "&", "\u2028", "\u2029")}  # none ends the block
)


def render(template: str, scripts: Sequence[str], *, pictures_from: str = "data:", **values: Any) -> str:
    """Return the page of a template with scripts, both by name; `pictures_from` is where pictures may come from."""
    style, code = _read("style.css"), "".join(map(_read, ("shared.js", *scripts)))
    policy = (
        f"default-src 'none'; img-src {pictures_from}; style-src {_hash(style)}; script-src {_hash(code)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment().get_template(template).render(style=Markup(style), script=Markup(code), policy=policy, **values)
    )


def write(page: str, path: Path) -> None:
    """Write a page, whole or not at all; the folder it goes into is made."""
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        staged.write_text(page, encoding="utf-8")


def embedded(value: Any) -> Markup:
    """Return a value as JSON that can stand in a script block."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_SCRIPT_SAFE))


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["shown"] = visible
    return made


@cache
def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
