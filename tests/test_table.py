"""Tables on narrow terminals: every word and number is there whole."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from rfm.audit.checks import Check, Verdict
from rfm.audit.report import check_table
from rfm.audit.statistics.tables import counted
from rfm.console import PlainConsole
from rfm.evaluation.reports.comparison import print_comparison
from rfm.evaluation.reports.tables import SET_COLUMNS, _tables
from rfm.inference.answering.distribution import Distribution
from rfm.scoring.records import Curve, Preference
from rfm.scoring.videos.scored import Judged, Scored
from rfm.scoring.videos.tables import print_preferences, print_scores
from rfm.splits.command import show_split
from rfm.splits.file import Split
from rfm.table import LEAST, FittedTable

ROOT = Path(__file__).parents[1]


def printed(table: Table, width: int) -> str:
    console = PlainConsole(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def whole_words(table: Table) -> list[str]:
    """The numbers, and the words that no column may part."""
    cells = [str(cell) for column in table.columns for cell in (column.header, *column.cells)]
    return [word for cell in cells for word in cell.split() if cell_len(word) <= LEAST or word[0].isdigit()]


def check_readable(table: Table, width: int = 80) -> None:
    """Raise AssertionError where a line is too long, or a word in the table is parted or cut."""
    shown = printed(table, width)
    assert max(map(cell_len, (line.rstrip() for line in shown.splitlines()))) <= width
    there = set(shown.split())
    assert [word for word in whole_words(table) if word not in there] == []


def made(columns: int, numbers: int, *, no_wrap: bool = False) -> FittedTable:
    table = FittedTable("what was found")
    for at in range(columns):
        table.add_column(f"column {at}", no_wrap=no_wrap)
    for at in range(numbers):
        table.add_column(f"number {at}", justify="right", no_wrap=no_wrap)
    for row in range(2):
        words = [f"row{row} of words {at} and /a/path/that/goes/on/and/on.mp4" for at in range(columns)]
        table.add_row(*map(Text, words), *(f"{row}.{at:03} [{at:03}.123, {at:03}.234]" for at in range(numbers)))
    return table


@pytest.mark.parametrize("width", [40, 80, 132])
@pytest.mark.parametrize("columns", [1, 2, 4])
@pytest.mark.parametrize("numbers", [0, 1, 3, 12])
@pytest.mark.parametrize("no_wrap", [True, False])
def test_no_word_is_parted_and_no_number_cut(width, columns, numbers, no_wrap):
    check_readable(made(columns, numbers, no_wrap=no_wrap), width)


def test_what_fits_is_as_wide_as_its_words():
    table = FittedTable("short")
    table.add_column("name")
    table.add_column("value", justify="right")
    table.add_row("a b", "1")
    for width in (20, 80, 1000):
        assert [line.rstrip() for line in printed(table, width).splitlines()] == [
            "short",
            "",
            " name   value",
            " ────────────",
            " a b        1",
            "",
        ]


def test_rows_that_do_not_fit_beside_each_other_stand_below_each_other():
    table = FittedTable("wide")
    for head in ("video", "progress", "", "90%"):
        table.add_column(head, no_wrap=True)
    table.add_row("a.mp4", "0.93", "x" * 12, "0.9 to 1.0")
    table.add_row("b.mp4", "", "y", "[/red]")
    table.add_row("", "0.5")
    assert [line.rstrip() for line in printed(table, 24).splitlines()] == [
        "wide",
        "video a.mp4",
        "  progress  0.93",
        "            xxxxxxxxxxxx",
        "  90%       0.9 to 1.0",
        "video b.mp4",
        "            y",
        "  90%       [/red]",
        "",
        "  progress  0.5",
        "",
    ]


def test_words_that_steer_a_terminal_are_spelt_out_in_either_form():
    table = FittedTable()
    for head in ("name", "text"):
        table.add_column(head, no_wrap=True)
    table.add_row("a\x1b[2Jb", "c" * 30)
    for width in (20, 80):
        assert "a\\x1b[2Jb" in printed(table, width)
        assert "\x1b" not in printed(table, width)


def test_numbers_keep_their_intervals_beside_them_where_words_can_make_room():
    table = FittedTable()
    table.add_column("words that go on and on and on")
    for _ in range(2):
        table.add_column("a head that is long", justify="right")
    table.add_row("and words below that go on", *["0.600 [0.437, 0.746]"] * 2)
    assert printed(table, 62).count("0.600 [0.437, 0.746]") == 2
    assert printed(table, 40).split().count("0.746]") == 2


def test_every_table_that_a_command_prints_is_of_this_kind():
    """But those in Markdown, whose lines are never broken."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "rfm").rglob("*.py"))}
    made = [
        line.strip()
        for path, text in texts.items()
        if "from rich.table import" in text
        for line in text.splitlines()
        if re.search(r"\bTable\(", line)
    ]
    assert made == ["escaped = Table(box=MARKDOWN, pad_edge=False)"]


@pytest.fixture
def tables(monkeypatch):
    """The tables made in a test."""
    made, begin = [], FittedTable.__init__

    def noted(self, *words, **options):
        begin(self, *words, **options)
        made.append(self)

    monkeypatch.setattr(FittedTable, "__init__", noted)
    return made


TASKS = "press the button from above", "internationalise the drawer", "抽屉を開ける 抽屉を開ける"
NUMBERS = {"count": 12345, "value": 0.858, "unparsed": 3, "rmse": 26.123, "score": 91.3, "known": 88.3, "mae": 8.7}


def scores():
    answers = np.eye(101)[[0, 40, 100]]
    said = Distribution(np.arange(101) / 100, answers, np.zeros(3))
    curves = tuple(
        (model, Curve(task, np.array([0, 5000, 12345]), None, ((0,),) * 3, np.array([False, False, True]), said))
        for task in TASKS
        for model in ("runs/first_of_all", "runs/second")
    )
    print_scores([Scored("videos/attempt_number_17_of_the_morning.mp4", curves)], ["a", "b"])


def preferences():
    said = (0.75, (0.9, 0.6)), (0.5, (0.9, 0.1))
    judged = [Judged("runs/first", Preference(task, *pair, 0.0)) for task in TASKS for pair in said]
    print_preferences("one/attempt_17_of_the_morning.mp4", "two/b.mp4", judged, several=True)


def numbers(metric, **more):
    return {**NUMBERS, metric: 0.858, f"{metric}_interval": [0.793, 0.915], **more}


def evaluation():
    by = {"by_strategy": dict.fromkeys(("different_task_instruction", "a_strategy_of_ones_own"), numbers("accuracy"))}
    kinds = {kind: numbers("accuracy", **by) for kind in ("preference", "similarity")} | {"progress": numbers("mae")}
    sets = {name: {} for name in SET_COLUMNS}
    for name, columns in SET_COLUMNS.items():
        for metric, _ in columns:
            sets[name] |= {metric: 0.858, f"{metric}_interval": [0.793, 0.915]}
    levels = sets["five_levels"] | {"exact": 0.5, "unparsed": 2, "count": 1234}
    levels |= {"by_strategy": {"bridge": levels}, "by_source": {"a_subset_with_a_long_name_of_its_own": levels}}
    asked = {kind: numbers("score") for kind in ("own", "same_scene", "other_scene")}
    confusion = asked | {"same_scene_gap": 11.5, "same_scene_gap_interval": [8.0, 15.0], "same_scene_gap_known": 98.0}
    confusion |= {"gap": 66.3, "gap_interval": [60.0, 72.0]}
    one = kinds | sets | {"five_levels": levels, "instruction_confusion": confusion}
    lead = {"metric": "accuracy", "control": 0.5, "best_control": "other_instruction", "gap": 0.1}
    lead |= {"gap_interval": [0, 0.2]}
    controls = dict.fromkeys(("blank", "first_frame", "shuffled", "other_instruction"), one)
    ranking = {"rows": 1234, "episodes": 234, "tasks": 23, "max_frames": 16, **sets["policy_ranking"], "datasets": 2}
    datasets = {"franka_eval_of_the_lab": {"ranking": ranking}, "mw": {"ranking": ranking}}
    for known in (
        {"name": "rbm", "datasets": datasets, "mean_over_datasets": {"ranking": ranking}},
        {"name": "roboreward"},
    ):
        results = one | {"controls": controls, "best_constant": kinds, "gap": {"preference": lead}}
        list(_tables(results | {"total_samples": 9, "dataset_path": "d/" * 60, "benchmark": known}))


def comparison():
    sides = {"metric": "accuracy", "first": 0.858, "second": 0.931, "count": 12345}
    change = {"difference": 0.073, "difference_interval": [0.012, 0.134], "wins": 1234, "losses": 1123, "ties": 9988}
    said = {"row": 123456, "truth": 100, "first": "ANS: 17", "second": "no idea at all"}
    differing = [said | {"task": task} for task in TASKS]
    found = {**sides, **change, "by_task": dict.fromkeys(TASKS, sides | change), "most_different": differing}
    whose = {side: {"model_path": side, "results": f"{side}.json"} for side in ("first", "second")}
    gaps = {"instruction_confusion": sides | change}
    print_comparison(whose | {"left_out": 0, "preference": found, "same_scene_gap": gaps})


def sides_of_a_split():
    counts = {"quality": {"successful": 123}, "task": dict.fromkeys(TASKS, 41)}
    side = {"trajectories": 123, "wanted": 123, "counts": counts, "share": 0.1, "ids": {}}
    content = {
        "sides": {f"fold_{at}": side for at in range(1, 11)},
        "settings": {"shares": {f"fold_{at}": 0.1 for at in range(1, 11)}},
        "groups": {"count": 1, "largest": 1},
        "near_duplicates": {"groups": [], "not_compared": {}},
    }
    show_split(Split(content))


def audit():
    check_table([Check("least used tenth of scores", Verdict.NOT_CHECKED, 0.123, 0.05, at_least=True)])
    counted("tasks", dict.fromkeys(TASKS, 12345) | {"x" * 300: 1})


@pytest.mark.parametrize("printing", [scores, preferences, evaluation, comparison, sides_of_a_split, audit])
def test_the_tables_of_the_commands_are_readable_at_80_columns(printing, tables, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    printing()
    assert tables
    for table in tables:
        for width in (60, 80, 200):
            check_readable(table, width)
