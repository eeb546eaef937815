"""`rfm audit`: its tables, its exit status, its options."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rfm.audit.options import AuditOptions
from rfm.audit.run import audit
from rfm.cli import run_command
from rfm.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("quick")


def test_the_command_prints_tables_of_at_most_80_columns_and_fails_past_a_limit(clean, capsys, caplog, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run_command(("audit",), [str(clean)], "rfm audit") == 0
    assert run_command(("audit",), [str(clean), "--max_duplicates", "0"], "rfm audit") == 1
    shown = capsys.readouterr().out
    assert "contradictions                      0       <= 0   ok" in shown
    assert "FAILED" in shown
    assert "duplicate rows, what it means: rows that say what an earlier one says" in shown
    assert "contradictions, what it means" not in shown, "what is well needs no explanation"
    assert max(map(len, shown.splitlines()[1:])) <= 80
    assert caplog.messages[-1] == f"the audit fails:\n  {clean}: duplicate rows"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"max_rows": 0}, "`max_rows` must be at least 1, but is 0"),
        ({"max_contradictions": -1}, "`max_contradictions` must be at least 0, but is -1"),
        ({"max_shortcut_accuracy": 55}, "`max_shortcut_accuracy` must be between 0 and 1, but is 55"),
        ({"datasets": ("a", "b", "a")}, "`datasets` must all be different, but a is given more than once"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_options_are_named(change, text):
    with pytest.raises(ConfigError) as caught:
        AuditOptions(**{"datasets": ("a",), **change})
    assert str(caught.value) == text


def test_wrong_inputs_are_named_before_any_work(clean, tmp_path):
    with pytest.raises(DataError, match="`dataset_path` must be a folder made by `rfm generate`"):
        audit(AuditOptions((str(tmp_path / "none"),)))
    with pytest.raises(DataError, match="`datasets_root` must be a folder, but is"):
        audit(AuditOptions((str(clean),), datasets_root=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="`output_path` must be a file in a folder that exists, but is"):
        audit(AuditOptions((str(clean),), output_path=str(tmp_path / "none" / "found.json")))


def test_it_needs_no_torch():
    code = "import sys, rfm.audit.run, rfm.audit.statistics.command\nsys.exit(int('torch' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
