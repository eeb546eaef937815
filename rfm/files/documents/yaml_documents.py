"""YAML from files that anybody may have written: text, numbers, true or false, lists and mappings, within bounds.

The reader of `yaml.SafeLoader` without tags and dates (a date is text), and with counted nodes: what an alias stands
for counts each time, so that a few lines of aliases of aliases are no bomb. A mapping names each key once. Values are
held to the rules of `documents`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rfm.errors import DataError
from rfm.files.documents.json_documents import MOST_DEEP, check_values
from rfm.files.documents.regular import read_text

MOST_BYTES = 2**18
"""The reader is written in Python, and slow."""
MOST_NODES = 10_000
_MOST_DIGITS = 20

_PREFIX = "tag:yaml.org,2002:"
_RECOGNISED = {f"{_PREFIX}{kind}" for kind in ("null", "bool", "int", "float", "merge")}


class _Refused(ValueError):
    """A rule of this module that a document breaks."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Composes within bounds."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        letter: [(tag, pattern) for tag, pattern in resolvers if tag in _RECOGNISED]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = 0
        self._nodes = 0
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node and count it, with all that it stands for."""
        event = self.peek_event()
        start = self._nodes
        if getattr(event, "tag", None) is not None:
            line = event.start_mark.line + 1
            raise _Refused(f"must do without tags, but has `{event.tag.removeprefix(_PREFIX)[:100]}` in line {line}")
        if isinstance(event, yaml.AliasEvent) and event.anchor in self.anchors:
            if event.anchor not in self._sizes:
                raise _Refused(f"must end somewhere, but `*{event.anchor}` stands within itself")
            self._nodes += self._sizes[event.anchor]
        self._nodes, self._depth = self._nodes + 1, self._depth + 1
        if self._nodes > MOST_NODES:
            raise _Refused(f"must hold at most {MOST_NODES} values with what its aliases stand for, but holds more")
        if self._depth > MOST_DEEP:
            raise _Refused(f"must be nested at most {MOST_DEEP} deep, but is deeper")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent) and event.anchor is not None:
            self._sizes[event.anchor] = self._nodes - start
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        """Compose a mapping whose keys are scalars and differ."""
        node = super().compose_mapping_node(anchor)
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused(f"must have texts as keys, but has a {key.id} as one in line {key.start_mark.line + 1}")
        names = [(key.tag, key.value) for key, _ in node.value]
        if len(set(names)) < len(names):
            twice = next(one for one in names if names.count(one) > 1)
            raise _Refused(f"must name each key of a mapping once, but has `{twice[1][:100]}` twice")
        return node

    def construct_scalar(self, node: Any) -> Any:
        """Return a scalar's text; numbers of many digits take long to make, and fit nowhere."""
        if node.tag.endswith((":int", ":float")) and len(node.value) > _MOST_DIGITS + 5:
            raise _Refused(f"must have numbers of at most {_MOST_DIGITS} digits, but has {node.value[:20]}…")
        return super().construct_scalar(node)


class YamlLine(NamedTuple):
    """A key of a mapping, its value, and the line in which it begins."""

    number: int
    """From 1."""
    key: Any
    value: Any


def read_yaml(path: str | Path) -> Any:
    """Return what a YAML file holds, None where it is empty.

    Raises:
        MissingFileError: there is none.
        DataError: it is no regular file of UTF-8 text of at most `MOST_BYTES`, is no YAML, or breaks a rule.

    """
    with _yaml(path) as loader:
        value = loader.get_single_data()
    check_values(value, str(path))
    return value


def read_yaml_lines(path: str | Path) -> list[YamlLine]:
    """Return the mapping that a YAML file holds, for messages that name lines; raises as `read_yaml`.

    `DataError` also where it holds something else, or nothing.
    """
    with _yaml(path) as loader:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise DataError(f"{path} must hold a mapping, but holds {'nothing' if node is None else f'a {node.id}'}")
        lines = [
            YamlLine(key.start_mark.line + 1, *(loader.construct_object(one, deep=True) for one in (key, value)))
            for key, value in node.value
        ]
    for line in lines:
        check_values([line.key, line.value], str(path))
    return lines


@contextmanager
def _yaml(path: str | Path) -> Iterator[_Loader]:
    """The loader of a file; what it finds within the block is a DataError."""
    text = read_text(path, MOST_BYTES)
    try:
        yield _Loader(text)
    except _Refused as error:
        raise DataError(f"{path} {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path} must be YAML, but is not: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:300]
