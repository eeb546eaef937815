import io
import logging
import os
import subprocess
import sys

import pytest
from rich.progress import Task
from rich.table import Table

from rfm.console import PlainConsole, _Lines, _Rate, console, one_line, plain, progress_bar, tracked, visible


def test_tracked_items_come_through_in_order(capsys):
    assert list(tracked((word for word in "abc"), "letters", 3)) == ["a", "b", "c"]
    shown = capsys.readouterr().err
    assert "letters" in shown
    assert "3/3" in shown


def test_nothing_to_do_shows_no_bar(capsys):
    assert list(tracked((), "letters", 0)) == []
    assert capsys.readouterr().err == ""


def test_a_disabled_bar_is_silent(capsys):
    with progress_bar(disable=True) as bar:
        bar.advance(bar.add_task("work", total=2), 2)
    assert capsys.readouterr().err == ""


def test_the_rate_is_steps_a_second():
    task = Task(1, "work", 10, 0, _get_time=lambda: 0.0, finished_speed=1234.5)
    assert str(_Rate().render(task)) == "1,234.5/s"
    task.finished_speed = None
    assert str(_Rate().render(task)) == "-/s"


def test_logging_leaves_other_packages_quiet():
    from rfm.console import set_up_logging

    set_up_logging()
    assert logging.getLogger("rfm").level == logging.INFO
    assert logging.getLogger("some_other_package").getEffectiveLevel() >= logging.WARNING


def test_words_of_data_are_one_plain_line():
    assert plain("put [/red] the\n\n cup\x1b[31m \t抽屉").plain == "put [/red] the cup [31m 抽屉"
    assert plain("x" * 300).plain == "x" * 199 + "…"
    assert plain("abcdef", 4).plain == "abc…"


PRINTS = """
import logging, sys
from rich.table import Table
from rfm.console import results, set_up_logging

set_up_logging()
logging.getLogger("rfm.x").warning("a line of %s", "words " * 40)
table = Table("name")
table.add_row("y" * 150)
results().print(table)
"""


def test_results_go_to_standard_output_and_logs_to_standard_error_in_whole_lines():
    clean = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    run = subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, text=True, check=True, env=clean)
    assert run.stderr == f"WARNING: a line of {'words ' * 40}\n"
    assert "y" * 150 in run.stdout
    assert not any(line.endswith("  ") for line in run.stdout.splitlines())


TWICE = """
import logging
from rfm.console import set_up_logging

set_up_logging()
logging.getLogger("library").addHandler(logging.StreamHandler())
logging.getLogger("library.part").warning("once")
logging.getLogger("other.part").warning("also once")
"""


def test_what_a_library_prints_itself_is_not_printed_again():
    run = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, check=True)
    assert run.stderr.splitlines() == ["once", "WARNING: also once"]


HOSTILE = "a\x1b]0;owned\x07b\x1b[2J\x9b31m\r\x00c\u202edrawkcab\u2028\ud800 [/red] :smile:"


def test_what_steers_a_terminal_is_spelt_out():
    shown = visible(HOSTILE)
    assert shown == ("a\\x1b]0;owned\\x07b\\x1b[2J\\x9b31m\\r\\x00c\\u202edrawkcab \\ud800 [/red] :smile:")
    assert visible("two\n\tlines, été 抽屉 😀\u00a0!") == "two\n\tlines, été 抽屉 😀 !"
    assert one_line(HOSTILE).isprintable()


@pytest.mark.parametrize("way", ["print", "cell", "title", "log", "bar"])
def test_words_of_data_never_steer_the_terminal(way, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    file = io.StringIO()
    writer = PlainConsole(file=file, force_terminal=True, width=200, color_system="truecolor")
    if way == "print":
        writer.print(f"error: {HOSTILE}", style="bold red", soft_wrap=True)
    elif way == "log":
        record = logging.LogRecord("rfm", logging.WARNING, "x", 1, "%s", (HOSTILE,), None)
        file.write(_Lines("%(message)s").format(record))
    elif way == "bar":
        console.cache_clear()  # of another width, where a test before this one made it
        list(tracked([1], HOSTILE, 1))
        console.cache_clear()
        file.write(capsys.readouterr().err)
    else:
        table = Table(title=HOSTILE if way == "title" else "", width=150)
        table.add_row(HOSTILE if way == "cell" else "")
        writer.print(table)
    shown = file.getvalue()
    assert "owned" in shown
    assert "[/red] :smile:" in shown, "no markup, no emoji"
    assert not any(mark in shown for mark in ("\x1b]", "\x1b[2J", "\x9b", "\x07", "\x00", "\u202e", "\ud800"))


def test_a_library_that_complains_on_import_is_quiet():
    code = (
        "import logging; from rfm.console import set_up_logging; set_up_logging();"
        "logging.getLogger('bitsandbytes.backends.cpu.ops').warning('Failed to load a kernel')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
