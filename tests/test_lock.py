"""uv.lock and constraints.txt: made for what pyproject.toml says, against the public registry, and of one mind."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.version_info < (3, 11):
    pytest.skip("tomllib is there from Python 3.11 on", allow_module_level=True)
import tomllib

ROOT = Path(__file__).parents[1]
PUBLIC = {"https://pypi.org/simple", "https://files.pythonhosted.org"}


@pytest.fixture(scope="module")
def lock() -> dict[str, Any]:
    return tomllib.loads((ROOT / "uv.lock").read_text())


def test_it_names_the_public_registry_alone() -> None:
    named = re.findall(r'https?://[^/"]+(?:/simple)?|file:[^"]*', (ROOT / "uv.lock").read_text())
    assert {*named} == PUBLIC


def _asked(requirement: dict[str, Any]) -> tuple[str, str]:
    return requirement["name"], requirement.get("specifier", "")


def test_it_is_of_this_pyproject(lock: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    [itself] = [one for one in lock["package"] if one["name"] == project["name"]]
    assert {_asked(one) for one in itself["metadata"]["requires-dist"]} == {*map(_parts, asked)}
    assert {*itself["metadata"]["provides-extras"]} == {*project["optional-dependencies"]}
    assert itself["version"] == project["version"]


def _parts(requirement: str) -> tuple[str, str]:
    found = re.match(r"([\w.-]+)(?:\[[\w,]+\])?\s*([^;]*)", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[1].lower()), found[2].strip()


def test_its_versions_are_those_that_were_tested(lock: dict[str, Any]) -> None:
    pinned = dict(_pins((ROOT / "constraints.txt").read_text()))
    locked: dict[str, set[str]] = {}
    for one in lock["package"]:
        locked.setdefault(one["name"], set()).add(one.get("version", ""))
    other = {
        name: (version, locked[name]) for name, version in pinned.items() if version not in locked.get(name, [version])
    }
    assert other == {}


def _pins(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if found := re.match(r"([\w.-]+)==([\w.+]+)", line):
            yield re.sub(r"[-_.]+", "-", found[1].lower()), found[2]
