"""Standard streams and places that are not as usual: closed, full, without a reader, of another encoding, gone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE
from worlds import make_world

from rfm.cli import run_command
from rfm.errors import ConfigError
from rfm.files.cache import cache_folder, expanded

METRICS = {"count": 4, "accuracy": 0.8, "accuracy_interval": None, "by_strategy": {}}
RESULTS = {
    "model_path": "m", "dataset_path": "été 抽屉", "total_samples": 4, "preference": METRICS, "controls": {},
    "best_constant": {"preference": METRICS},
}  # fmt: skip


@pytest.fixture
def shell(tmp_path):
    """Run a line of a shell in which `rfm` and `results.json` are known."""
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))

    def run(line, **environment):
        settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment}
        settings = {name: value for name, value in settings.items() if value is not None}
        script = f'rfm() {{ {sys.executable} -m rfm "$@"; }}; set -o pipefail; {line}'
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=settings, capture_output=True, timeout=PATIENCE, check=False
        )
        assert b"Traceback" not in done.stderr
        assert b"Exception ignored" not in done.stderr
        return done

    return run


def test_a_reader_that_has_gone_ends_a_command_without_a_word(shell):
    done = shell("rfm report results.json --markdown | true")
    assert (done.returncode, done.stdout, done.stderr) == (141, b"", b"")


@pytest.mark.parametrize(
    "line",
    [
        "rfm report results.json --plot_path made.png; mv made.png made",
        "rfm compare results.json results.json --output_path made",
        "rfm split --datasets toy_train --datasets_root . --split a=0.5,b=0.5 --near_duplicates ignore --output made",
        "rfm stats toy_train --output_path made",
        "rfm audit asked --output_path made",
    ],
)
def test_a_reader_that_has_gone_costs_no_file(shell, tmp_path, line):
    make_world(tmp_path, "toy_train", episodes=8)
    prediction = {"row": 0, "sample_type": "progress", "answer": "40", "completion": "ANS: 40", "unreadable": None}
    prediction |= {"truth": 40.0, "predicted": 40.0, "trajectory": 0, "task": "t", "strategy": "rewind"}
    results = {**RESULTS, "total_samples": 1, "dataset_hash": "h", "predictions": [prediction]}
    (tmp_path / "results.json").write_text(json.dumps(results))
    if "asked" in line:
        overrides = "data.datasets_root=. data.train_datasets=[toy_train] data.max_frames=4"
        assert (
            shell(f"rfm generate --output_path asked --num_samples 40 --config_overrides {overrides}").returncode == 0
        )
    shell(f"{line} | true")
    assert (tmp_path / "made").stat().st_size > 0


def test_streams_that_are_closed_take_what_is_written(shell):
    assert shell("rfm report results.json --markdown >&-").returncode == 0
    assert shell("rfm report results.json >&- 2>&- <&-").returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_behind_standard_output_is_said(shell):
    done = shell("rfm report results.json --markdown >/dev/full")
    assert done.returncode == 1
    assert b"error: there must be room on the disk" in done.stderr


def test_letters_that_an_encoding_lacks_are_spelt_out(shell):
    done = shell("rfm report results.json --markdown", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0
    assert b"4 samples of \\xe9t\\xe9 \\u62bd\\u5c49" in done.stdout


@pytest.mark.parametrize("command", ["report", "stats", "validate", "evaluate --model_path constant --dataset_path"])
def test_a_path_that_is_no_utf8_is_named(shell, command):
    done = shell(f"rfm {command} $'caf\\xe9'")
    assert done.returncode == 1
    assert b"must be UTF-8 text, but is " in done.stderr
    assert b"caf\\udce9" in done.stderr


def test_the_working_folder_is_there_and_can_be_written_down(shell):
    gone = shell("mkdir gone && cd gone && rmdir ../gone && rfm report x")
    assert gone.returncode == 1
    assert b"error: the working folder must exist, but was deleted; change to another" in gone.stderr
    odd = shell("mkdir $'caf\\xe9' && cd $'caf\\xe9' && rfm report x")
    assert odd.returncode == 1
    assert b"error: the working folder must have a name in UTF-8, but is b'" in odd.stderr


def test_escape_sequences_in_a_path_are_spelt_out(capsys):
    assert run_command(("report",), ["a\x1b]0;owned\x07\x1b[2J.json"], "rfm report") == 1
    shown = capsys.readouterr().err
    assert "a\\x1b]0;owned\\x07\\x1b[2J.json must exist, but does not" in shown
    assert "\x1b]" not in shown


NOBODY = """
import os, pwd, sys

def nobody(uid):
    raise KeyError(uid)

pwd.getpwuid = nobody
os.environ.pop("HOME", None)
from rfm.cli import main
main(sys.argv[1:])
"""


def test_no_home_folder_and_no_entry_of_the_user(shell, tmp_path):
    """As containers have it: what needs no home works, what needs one says so."""
    (tmp_path / "nobody.py").write_text(NOBODY)
    settings = dict.fromkeys(("RFM_CACHE", "XDG_CACHE_HOME", "RFM_PROCESSED_DATASETS_PATH", "MPLCONFIGDIR"))
    drawn = shell(f"{sys.executable} nobody.py report results.json --plot_path a.png", **settings)
    assert drawn.returncode == 0
    assert (tmp_path / "a.png").is_file()
    said = shell(f"{sys.executable} nobody.py generate --output_path out", **settings)
    assert said.returncode == 1
    assert b"error: RFM_CACHE must name a folder where there is no home folder, but is not set" in said.stderr


def test_a_home_that_is_not_known(monkeypatch):
    for variable in ("HOME", "XDG_CACHE_HOME", "RFM_CACHE"):
        monkeypatch.delenv(variable, raising=False)

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(ConfigError, match="RFM_CACHE must name a folder where there is no home folder"):
        cache_folder()
    monkeypatch.setenv("RFM_CACHE", "~nosuchuser/x")
    with pytest.raises(ConfigError, match="RFM_CACHE must name a folder, but is `~nosuchuser/x`, whose `~`"):
        cache_folder()
    monkeypatch.setenv("RFM_CACHE", "relative/x")
    assert cache_folder() == Path("relative/x")


@pytest.mark.parametrize("name", ["`data.datasets_root`", "`datasets_root` of a/generation_config.json"])
def test_a_user_that_is_not_known(name):
    with pytest.raises(ConfigError) as caught:
        expanded("~nosuchuser/data", name)
    rule = f"{name} must name a folder, but is `~nosuchuser/data`, whose `~` stands for no home that is known"
    assert str(caught.value) == f"{rule}; write it out"
