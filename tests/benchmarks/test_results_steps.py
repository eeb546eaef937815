import json
import multiprocessing
import os
import signal
from dataclasses import dataclass

import pytest

from benchmarks.results.steps import MARK, Workshop, flags
from rfm.errors import ConfigError


def writer(text, calls):
    def make(folder):
        calls.append(text)
        (folder / "out.txt").write_text(text)

    return make


def test_a_step_is_made_once_and_again_when_its_inputs_change(tmp_path):
    calls = []
    for seed in (1, 1, 2):
        Workshop(tmp_path).step("a/b", {"seed": seed}, writer(f"{seed}", calls))
    assert calls == ["1", "2"]
    assert (tmp_path / "a/b/out.txt").read_text() == "2"


def test_what_was_made_from_something_else_is_gone_before_the_step_begins(tmp_path):
    Workshop(tmp_path).step("a", {"seed": 1}, lambda folder: (folder / "old.txt").write_text("x"))
    Workshop(tmp_path).step("a", {"seed": 2}, lambda folder: (folder / "new.txt").write_text("x"))
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["new.txt", MARK]


def test_a_step_follows_what_it_needs_by_content_and_not_by_time(tmp_path):
    calls = []

    def run(first, again):
        workshop = Workshop(tmp_path)
        made = workshop.step("first", {"again": again}, writer(first, []))
        workshop.step("second", {}, writer("second", calls), [made])

    run("x", 0)
    run("x", 1)  # made anew, with the same content
    assert calls == ["second"]
    run("y", 2)
    assert calls == ["second", "second"]


@pytest.mark.parametrize("damage", [lambda path: path.write_text("z"), lambda path: path.unlink()])
def test_files_that_were_changed_or_lost_are_made_again(tmp_path, damage):
    calls = []
    Workshop(tmp_path).step("a", {}, writer("x", calls))
    damage(tmp_path / "a/out.txt")
    Workshop(tmp_path).step("a", {}, writer("x", calls))
    assert calls == ["x", "x"]
    assert (tmp_path / "a/out.txt").read_text() == "x"


def killed_half_way(folder):
    (folder / "half.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_step_that_was_killed_goes_on_in_its_folder(tmp_path):
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=lambda: Workshop(tmp_path).step("a", {"seed": 1}, killed_half_way))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    found = []
    Workshop(tmp_path).step("a", {"seed": 1}, lambda folder: found.append((folder / "half.txt").read_text()))
    assert found == ["half"]
    mark = json.loads((tmp_path / "a" / MARK).read_text())
    assert list(mark["files"]) == ["half.txt"]


def test_the_code_is_told_and_makes_nothing_again(tmp_path):
    calls = []
    for code in ("old", "new"):
        workshop = Workshop(tmp_path, code)
        made = workshop.step("a", {}, writer("x", calls))
    assert calls == ["x"]
    assert made.code == "old"
    assert workshop.made == {"a": made}


def test_paths_in_the_workshop_are_the_same_wherever_it_lies(tmp_path):
    digests = set()
    for name in ("here", "there"):
        workshop = Workshop(tmp_path / name)
        workshop.step("a", {"paths": [f"{tmp_path / name}/data"]}, writer("x", []))
        digests.add(json.loads((tmp_path / name / "a" / MARK).read_text())["key"])
    assert len(digests) == 1


def test_one_process_at_a_time(tmp_path):
    with (
        Workshop(tmp_path).alone(),
        pytest.raises(ConfigError, match="must have one writer at a time, but another process is writing it"),
        Workshop(tmp_path).alone(),
    ):
        pass


@dataclass(frozen=True)
class Flags:
    path: str
    rows: int = 10
    new: str | None = None


def test_a_flag_at_its_default_is_no_input():
    assert flags(Flags("x", 20)) == {"path": "x", "rows": 20}
