import logging
import os
import subprocess
import sys

from rich.progress import Task

from rfm.console import _Rate, plain, progress_bar, tracked


def test_tracked_items_come_through_in_order(capsys):
    assert list(tracked((word for word in "abc"), "letters", 3)) == ["a", "b", "c"]
    shown = capsys.readouterr().err
    assert "letters" in shown
    assert "3/3" in shown


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
