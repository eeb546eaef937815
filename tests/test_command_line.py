"""What all commands have in common: flags of both spellings, files of options, groups, one document, silence."""

import json
import logging
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rfm import cli
from rfm.cli import main, run_command
from rfm.command_table import COMMANDS, Command
from rfm.commands import options_of
from rfm.console import is_quiet, progress_bar, show
from rfm.errors import ConfigError
from rfm.options.documents import Made, read_options
from rfm.options.flags import flags_of
from rfm.options.groups import TITLES
from rfm.options.line import parsed_line
from rfm.options.parser import did_you_mean


@dataclass(frozen=True)
class Toy:
    """A toy."""

    output: str = field(metadata={"help": "Where"})
    paths: tuple[str, ...] = field(metadata={"help": "What", "positional": True})
    max_frames: int = field(default=3, metadata={"help": "Frames"})
    rate: float = field(default=0.5, metadata={"help": "Rate"})
    fast: bool = field(default=False, metadata={"help": "Fast"})
    safe: bool = field(default=True, metadata={"help": "Safe"})
    words: tuple[str, ...] = field(default=(), metadata={"help": "Words"})
    colour: str = field(default="red", metadata={"help": "Colour", "choices": ("red", "blue")})


def parse(*words: str) -> Toy:
    return parsed_line(Toy, "rfm toy", words).options


def run_main(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return caught.value.code


@pytest.mark.parametrize("flag", ["--max_frames=8", "--max-frames=8"])
def test_flags_have_both_spellings(flag):
    assert parse("--output", "x", "a-b", flag) == Toy("x", ("a-b",), max_frames=8)


def test_only_flags_are_spelt_anew():
    assert parse("--output", "x-y", "--words=no-flag", "--", "--max-frames").paths == ("--max-frames",)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            ["p", "--output", "x", "--max-frame", "8"],
            "unrecognized arguments: --max-frame 8; did you mean --max_frames?",
        ),
        (["p", "--outptu", "x"], "arguments are required: --output; did you mean --output?"),
        (["p", "--output", "x", "--nothing-like-it"], "unrecognized arguments: --nothing-like-it\n"),
    ],
)
def test_the_flag_that_may_have_been_meant_is_named(capsys, words, hint):
    with pytest.raises(SystemExit, match="2"):
        parse(*words)
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"), [(["trian"], "train"), (["ingest", "video"], "ingest videos"), (["eval-uate", "x"], "evaluate")]
)
def test_the_command_that_may_have_been_meant_is_named(capsys, words, meant):
    assert run_main(*words) == 2
    assert f"; did you mean {meant}?" in capsys.readouterr().err.splitlines()[0]


def test_nothing_is_meant_where_nothing_is_close():
    assert did_you_mean("--zzz", ["--max_frames"]) == ""


def test_the_version_is_said(capsys):
    assert run_main("--version") == 0
    assert capsys.readouterr().out.startswith("rfm 0.")


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return str(path)


def test_flags_win_over_a_file_and_a_file_over_defaults(tmp_path):
    text = "output: x\npaths: [a]\nmax-frames: 8\nrate: 2e-5\nfast: true\nsafe: false\nwords: one\ncolour: blue\n"
    file = written(tmp_path, text)
    assert parse("--options", file) == Toy("x", ("a",), 8, 2e-5, True, False, ("one",), "blue")
    flags = ("b", "--max-frames", "9", "--no_fast", "--safe", "--words", "p", "q")
    assert parse("--options", file, *flags) == Toy("x", ("b",), 9, 2e-5, False, True, ("p", "q"), "blue")


def test_a_file_of_options_is_refused_with_all_its_faults(tmp_path):
    file = written(tmp_path, "max_frame: 8\nmax_frames: many\nrate: true\nfast: 1\ncolour: green\noutput: 7\n")
    with pytest.raises(ConfigError) as caught:
        parse("--options", file)
    assert str(caught.value).splitlines() == [
        f"{file} must name options of rfm toy, but has `max_frame`; did you mean max_frames?",
        f"`max_frames` in {file} must be a whole number, but is 'many'",
        f"`rate` in {file} must be a number, but is True",
        f"`fast` in {file} must be true or false, but is 1",
        f"`colour` in {file} must be one of red, blue, but is 'green'",
        f"`output` in {file} must be text: put it into quotes, but is 7",
    ]
    with pytest.raises(ConfigError, match=r"`options` must hold lines as in `seed: 7`, but .* is a list"):
        parse("--options", written(tmp_path, "- a\n"))
    with pytest.raises(ConfigError, match="`options` must be a YAML file, but"):
        parse("--options", str(tmp_path / "none.yaml"))


@pytest.fixture
def toy(monkeypatch):
    """Make `rfm toy` of a function; it prints tables."""

    def make(function):
        monkeypatch.setattr(cli, "toy_function", function, raising=False)
        monkeypatch.setattr(cli, "Toy", Toy, raising=False)
        entry = Command("rfm.cli:Toy", "rfm.cli:toy_function", "toy", "questions", "rfm toy p --output x", tables=True)
        monkeypatch.setitem(COMMANDS, ("toy",), entry)
        return lambda *words: run_command(("toy",), words, "rfm toy")

    return make


def test_options_are_written_beside_what_was_made_and_read_back(toy, tmp_path):
    made = []

    def make(options):
        made.append(options)
        Path(options.output).mkdir()

    run = toy(make)
    out = str(tmp_path / "out")
    assert run("p", "--output", out, "--rate", "2e-5", "--words", "a b", "c") == 0
    file = tmp_path / "out.options.yaml"
    assert set(read_options(file, "rfm toy", flags_of(Toy))) == {"output", "paths", "rate", "words"}
    assert "# max_frames: 3" in file.read_text().splitlines()
    assert parse("--options", str(file)) == made[0]


def test_options_are_not_written_where_nothing_was_made_or_a_file_is_not_theirs(toy, tmp_path, caplog):
    assert toy(lambda options: 0)("p", "--output", str(tmp_path / "none")) == 0
    (tmp_path / "out.options.yaml").write_text("mine: 1\n")
    assert toy(lambda options: Path(options.output).mkdir())("p", "--output", str(tmp_path / "out")) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.options.yaml"]
    assert (tmp_path / "out.options.yaml").read_text() == "mine: 1\n"
    long = tmp_path / ("x" * 250)
    assert toy(lambda options: Path(options.output).mkdir())("p", "--output", str(long)) == 0
    assert toy(lambda options: 0)("--options", written(tmp_path, 'output: "a\\0b"\npaths: p\n')) == 0
    assert not Made.of(None, {"output": "s3://bucket/x"}).before


def test_one_document_takes_the_place_of_tables(toy, capsys):
    run = toy(lambda options: show(lambda: {"frames": options.max_frames}, lambda: sys.stdout.write("table\n")))
    assert run("p", "--output", "x", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"frames": 3}
    assert run("p", "--output", "x") == 0
    assert capsys.readouterr().out == "table\n"


def test_quiet_leaves_out_progress_and_messages_but_no_warnings(toy):
    seen = []

    def work(_options):
        logger = logging.getLogger("rfm")
        seen.append((is_quiet(), progress_bar().disable, logger.isEnabledFor(logging.INFO), logger.isEnabledFor(30)))

    run = toy(work)
    assert run("p", "--output", "x", "--quiet") == run("p", "--output", "x") == 0
    assert seen == [(True, True, False, True), (False, False, True, True)]


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_the_example_of_every_command_is_understood(name):
    words = shlex.split(COMMANDS[name].example.partition(" >")[0])
    assert tuple(words[1 : 1 + len(name)]) == name
    parsed_line(options_of(name), " ".join(name), words[1 + len(name) :], tables=COMMANDS[name].tables)


def test_flags_stand_in_groups(capsys):
    assert run_main("train", "--help") == 0
    shown = capsys.readouterr().out
    titles = [line[:-1] for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles[0] == "data"
    assert titles == [one for one in (*TITLES, "every command", "example") if one in titles]
    assert {"model", "optimisation", "saving", "hub", "machine"} <= set(titles)
    assert "options" not in titles


def test_no_help_imports_torch_and_every_line_fits():
    code = (
        "import os, sys\nos.environ['COLUMNS'] = '80'\n"
        "from rfm.cli import main\nfrom rfm.command_table import COMMANDS\n"
        "for name in COMMANDS:\n"
        "    try: main([*name, '--help'])\n"
        "    except SystemExit as end: assert end.code == 0, name\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    long = [line for line in run.stdout.splitlines() if len(line) > 80 and not line.startswith("  rfm ")]
    assert not long
