"""The OpenAPI description: what it documents is all that happens, its examples run, and its page needs no network."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from marked_frames import write_marked
from serving.served import Served

EXAMPLES = 12
"""Requests that are made up for each endpoint and kind."""


def test_schemathesis_finds_no_fault_and_no_status_that_is_not_documented(server: Served) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="made-up requests need schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import checks
    from schemathesis.specs.openapi import checks as openapi

    wanted = [
        checks.not_a_server_error,
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_schema_conformance,
    ]
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            if mode is schemathesis.GenerationMode.NEGATIVE and "requestBody" not in operation.definition.raw:
                continue

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=[*HealthCheck],
            )
            def holds(case: object) -> None:
                nonlocal asked
                asked += 1
                case.call_and_validate(checks=wanted, timeout=60)  # type: ignore[attr-defined]

            holds()
    assert asked > 100


def test_every_example_runs(server: Served) -> None:
    description = server.get("/openapi.json").json()
    asked = []
    for path, methods in description["paths"].items():
        for said in methods.values():
            content = said.get("requestBody", {}).get("content", {})
            if "example" in content.get("application/json", {}):
                answer = server.post(path, json=content["application/json"]["example"])
                assert answer.status_code == 200, answer.text
                asked.append(path)
    assert asked == ["/v1/progress", "/v1/curve", "/v1/preference", "/evaluate_batch"]


def test_the_page_shows_everything_and_needs_nothing_from_elsewhere(server: Served) -> None:
    page = server.get("/docs").text
    for path in server.get("/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!/openapi\.json")', page)
    assert server.get("/", follow_redirects=True).text == page


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's command lines are run by curl")
def test_command_lines_of_the_page_run(server: Served, tmp_path: Path) -> None:
    for name in ("attempt.mp4", "another.mp4"):
        write_marked(tmp_path / name, 12)
    lines = [unescape(line) for line in re.findall(r"<pre>(curl .*?)</pre>", server.get("/docs").text)]
    forms = [line for line in lines if "-F" in line]
    assert len(forms) == 3
    for line in forms + [line for line in lines if "/v1/models" in line or "/ready" in line]:
        run = subprocess.run(
            [*shlex.split(line), "-sS", "-f"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, (line, run.stdout, run.stderr)


def test_statuses_of_what_is_not_there(server: Served) -> None:
    assert server.get("/v1/nothing").json()["detail"] == "Not Found"
    answer = server.get("/v1/progress")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert {*answer.json()} == {"detail", "request_id"}
