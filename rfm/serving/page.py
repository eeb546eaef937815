"""The OpenAPI description as one page of plain HTML: no scripts, nothing from elsewhere, so that it works offline."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1a1a1a }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc } h3 { margin: 1.8rem 0 .3rem }
code, pre { font: 14px/1.45 ui-monospace, monospace } pre { background: #f4f4f2; padding: .8rem; overflow-x: auto }
.method { display: inline-block; min-width: 3.2rem; font-weight: 600; color: #14532d } .get { color: #1e3a8a }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 } th:first-child { width: 11rem }
td, th { text-align: left; vertical-align: top; padding: .25rem .6rem }
tr { border-top: 1px solid #e2e2e0 } th { font-weight: 600 } .quiet { color: #555 }
"""
_QUOTED = re.compile(r"`([^`]+)`")


def page(description: dict[str, Any], address: str) -> str:
    """Return the page of a description, with calls of the server at an address."""
    info = description["info"]
    sections = "".join(
        f"<h2>{escape(tag['name'])}</h2>{''.join(_of_tag(description, tag['name'], address))}"
        for tag in description["tags"]
    )
    title = escape(info["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{_words(info['description'])}</p>"
        f'<p>The same for programs: <a href="/openapi.json">/openapi.json</a>.</p>{sections}</body></html>'
    )


def _of_tag(description: dict[str, Any], tag: str, address: str) -> list[str]:
    return [
        _endpoint(description, path, method, said, address)
        for path, methods in description["paths"].items()
        for method, said in methods.items()
        if tag in said.get("tags", ())
    ]


def _endpoint(description: dict[str, Any], path: str, method: str, said: dict[str, Any], address: str) -> str:
    head = f'<h3><span class="method {method}">{method.upper()}</span> <code>{escape(path)}</code></h3>'
    body = said.get("requestBody", {}).get("content", {})
    fields = _table(("field", "what it is"), _fields(_first(body).get("schema", {})))
    answer = _schema(description, said["responses"].get("200", {}))
    given = _table(("answer", "what it is"), _fields(answer))
    statuses = _table(
        ("status", "why"), [(status, one.get("description", "")) for status, one in sorted(said["responses"].items())]
    )
    calls = "".join(f"<pre>{escape(call)}</pre>" for call in calls_of(path, method, body, address))
    return f"{head}<p>{_words(said.get('description', ''))}</p>{calls}{fields}{given}{statuses}"


def _first(body: dict[str, Any]) -> dict[str, Any]:
    return next(iter(body.values()), {})


def calls_of(path: str, method: str, body: dict[str, Any], address: str) -> list[str]:
    """Return command lines that ask an endpoint."""
    if method == "get":
        return [f"curl {address}{path}"]
    if not body:
        return [f"curl -X POST {address}{path}"]
    calls = []
    form = body.get("multipart/form-data", {}).get("schema", {})
    files = [name for name, one in form.get("properties", {}).items() if one.get("format") == "binary"]
    if "task" in form.get("properties", {}):
        shown = " ".join(f"-F {name}=@{'attempt' if name != 'b' else 'another'}.mp4" for name in files)
        calls.append(f'curl {address}{path} -F task="push the red block to the left" {shown}')
    if "example" in body.get("application/json", {}):
        example = json.dumps(body["application/json"]["example"], ensure_ascii=False)
        calls.append(f"curl {address}{path} -H 'Content-Type: application/json' -d '{example}'")
    return calls


def _words(text: str) -> str:
    return _QUOTED.sub(r"<code>\1</code>", escape(text, quote=False))


def _fields(schema: dict[str, Any]) -> list[tuple[str, str]]:
    required = schema.get("required", ())
    return [
        (
            name,
            ", ".join(filter(None, [_kind(one), one.get("description"), "" if name in required else "optional"])),
        )
        for name, one in schema.get("properties", {}).items()
    ]


def _schema(description: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = description.get("components", {}).get("schemas", {}).get(name, {})
    return found


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    return str(schema.get("format") or schema.get("type", "anything"))


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    lines = "".join(f"<tr><td><code>{escape(one)}</code></td><td>{_words(two)}</td></tr>" for one, two in rows)
    return f'<table><tr><th class="quiet">{head[0]}</th><th class="quiet">{head[1]}</th></tr>{lines}</table>'
