import errno
import importlib
import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rfm import cli
from rfm.cli import main, run_command
from rfm.command_table import COMMANDS, GROUPS, Command
from rfm.errors import ConfigError, RfmError

REPOSITORY = Path(__file__).parents[1]
SCRIPTS = {
    "generate_vqa_dataset.py": ("--num_samples", "--output_path", "--save_batch_size", "--config_overrides"),
    "train_vqa_sft.py": ("--dataset_path", "--use_unsloth", "--lora_rank", "--no_bf16", "--lr_scheduler_type"),
    "evaluate_vqa.py": ("--model_path", "--max_new_tokens", "--save_predictions"),
    "test_vqa_collator.py": ("--dataset_path",),
}


def run_main(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_without_a_command_it_lists_them(capsys, arguments):
    assert run_main(*arguments) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"rfm {' '.join(name)} {command.summary}" in shown for name, command in COMMANDS.items())
    assert all(f"{title}: {purpose}" in shown for title, purpose in GROUPS.items())


def test_a_group_of_commands_has_a_list_of_its_own(capsys):
    assert run_main("ingest", "--help") == 0
    listed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  rfm ")]
    assert len(listed) == 10
    assert all(line.startswith("  rfm ingest ") for line in listed)


@pytest.mark.parametrize("arguments", [["genrate"], ["ingest"], ["ingest", "films"]])
def test_an_unknown_command_ends_with_status_2_and_the_list(capsys, arguments):
    assert run_main(*arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"rfm: no command {' '.join(arguments)!r}")
    assert "rfm ingest videos" in shown


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_leads_to_options_and_a_function(name):
    for where in (COMMANDS[name].options, COMMANDS[name].function):
        module, _, attribute = where.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_a_command_gets_the_rest_of_the_line(capsys):
    assert run_main("ingest", "videos", "--help") == 0
    assert capsys.readouterr().out.startswith("usage: rfm ingest videos")
    assert run_main("generate", "--output_path", "x", "--samples", "3") == 2
    assert "rfm generate: error: unrecognized arguments: --samples 3" in capsys.readouterr().err


@pytest.fixture
def command(monkeypatch):
    """Make a command of a function; it takes the options of `rfm generate`."""

    def make(function):
        monkeypatch.setattr(cli, "toy_function", function, raising=False)
        options = COMMANDS[("generate",)].options
        monkeypatch.setitem(COMMANDS, ("toy",), Command(options, "rfm.cli:toy_function", "toy", "questions", "rfm toy"))
        return lambda: run_command(("toy",), ["--output_path", "x"], "rfm toy")

    return make


@pytest.mark.parametrize("error", [RfmError, ConfigError])
def test_an_error_of_the_user_is_one_message_and_status_1(command, capsys, error):
    def fail(_options):
        raise error("`seed` must be " + "a very long explanation " * 20 + "[0, 1]\nand a second line")

    assert command(fail)() == 1
    shown = capsys.readouterr().err
    assert shown == f"error: `seed` must be {'a very long explanation ' * 20}[0, 1]\nand a second line\n"


def test_a_fault_of_ours_keeps_its_traceback(command):
    with pytest.raises(ZeroDivisionError):
        command(lambda _options: 1 / 0)()


def test_without_torch_it_is_said_how_it_comes(command, capsys, monkeypatch):
    def ask(name):
        return command(lambda _options: importlib.import_module(name))

    monkeypatch.setitem(sys.modules, "torch", None)
    assert ask("torch")() == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: torch must be installed, but is not; take the build for this machine: `pip install")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        ask("no_such_module")()


def test_a_full_disk_is_one_message_and_status_1(command, capsys):
    def fill(_options):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/x.arrow")

    assert command(fill)() == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: there must be room on the disk for /data/x.arrow, but there is none left (No space")
    assert "give the command again: it goes on where it can" in shown


def test_a_training_that_filled_the_disk_is_gone_on_with_from_what_it_saved(monkeypatch, capsys, tmp_path):
    def fill(_options):
        (tmp_path / "checkpoint-4").mkdir()
        (tmp_path / "checkpoint-4" / "checkpoint_files.json").write_text("{}")
        raise OSError(errno.ENOSPC, "No space left on device", "runs/events")

    monkeypatch.setattr(cli, "toy_function", fill, raising=False)
    monkeypatch.setattr(sys, "argv", ["rfm"])
    monkeypatch.setitem(COMMANDS, ("train",), COMMANDS[("train",)]._replace(function="rfm.cli:toy_function"))
    flags = ["--dataset_path", "d", "--output_dir", str(tmp_path)]
    assert run_command(("train",), flags, "rfm train") == 1
    expected = shlex.join(["rfm", "train", *flags, "--resume_from_checkpoint", "latest"])
    assert capsys.readouterr().err == (
        "error: there must be room on the disk for runs/events, but there is none left (No space left on device); "
        f"free some, then go on from checkpoint-4 with\n{expected}\n"
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOTDIR, "error: a/b must lie in a folder, but a part of its path is a file (Not a directory); name an"),
        (errno.EACCES, "error: a/b must be open to this user, but is not (Permission denied); change its rights, or"),
        (errno.EROFS, "error: a/b must lie on a disk that can be written to, but does not (Read-only file system); na"),
        (errno.ENAMETOOLONG, "error: a/b must have a shorter name (File name too long); name another"),
        (errno.EISDIR, "error: a/b must be a file, but is a folder (Is a directory); name another"),
        (errno.EEXIST, "error: a/b must be a folder or free, but a file is there (File exists); name"),
    ],
)
def test_a_path_that_the_system_refuses_is_one_message_and_status_1(command, capsys, number, expected):
    def refuse(_options):
        raise OSError(number, os.strerror(number), "a/b")

    assert command(refuse)() == 1
    assert capsys.readouterr().err.startswith(expected)


def test_another_failure_of_the_system_keeps_its_traceback(command):
    def fail(_options):
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        command(fail)()


def test_an_interruption_says_how_to_go_on(command, capsys):
    def interrupt(_options):
        raise KeyboardInterrupt

    assert command(interrupt)() == 130
    assert "interrupted; the same command starts anew, nothing is left half made" in capsys.readouterr().err


@pytest.mark.parametrize(("result", "status"), [(None, 0), (Path("x"), 0), (0, 0), (1, 1)])
def test_the_result_becomes_the_exit_status(command, result, status):
    assert command(lambda _options: result)() == status


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_short_and_run(monkeypatch, capsys, script):
    path = REPOSITORY / "scripts" / script
    assert len(path.read_text().splitlines()) <= 20
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(path), run_name="__main__")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: {script}")
    assert all(flag in shown for flag in SCRIPTS[script])


def test_there_are_no_other_scripts():
    assert {path.name for path in (REPOSITORY / "scripts").iterdir() if path.suffix == ".py"} == set(SCRIPTS)


def test_everything_up_to_generation_works_without_torch():
    code = (
        "import sys, rfm.cli, rfm.ingest.sources.videos, rfm.generation.generate, rfm.vqa.provenance\n"
        "sys.exit(int('torch' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_module_runs_as_a_program():
    run = subprocess.run([sys.executable, "-m", "rfm", "nothing"], check=False, capture_output=True, text=True)
    assert (run.returncode, run.stderr.splitlines()[0]) == (2, "rfm: no command 'nothing'")
