"""A folder is ours, is replaced whole or not at all, and has one writer at a time."""

import multiprocessing
import os
import re
import signal
from pathlib import Path

import pytest

from rfm.errors import ConfigError
from rfm.files import ownership
from rfm.files.ownership import Kind, listed, named, replaced

KIND = Kind("a catalog", "output", ("catalog.json",), named(r"catalog\.json|made_from\.json|rows/\d+\.txt"))
LISTED = Kind("a model", "output", ("model.json",), listed("model.json"))
OLD, NEW = {"rows": 1}, {"rows": 2}


def make(output: Path, plan=None, text="new", **options) -> ownership.Workplace:
    with replaced(output, KIND, overwrite=options.pop("overwrite", False), plan=plan, **options) as work:
        if not work.complete:
            (work.folder / "rows").mkdir(exist_ok=True)
            (work.folder / "rows" / "1.txt").write_text(text)
            (work.folder / "catalog.json").write_text("{}")
            work.publish()
    return work


def content(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files if path.name != "made_from.json"}


def test_nothing_but_the_folder_is_left(tmp_path):
    make(tmp_path / "out", OLD, "old")
    make(tmp_path / "out", NEW, "new", overwrite=True)
    assert content(tmp_path) == {"out/catalog.json": "{}", "out/rows/1.txt": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_ours_is_kept_unless_it_is_to_be_replaced(tmp_path):
    make(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"`output` .*out exists; add --overwrite to replace it, or name another$"):
        make(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "name", ["thesis.tex", "rows/thesis.tex", "rows/1.txt/x", ".hidden", "deep/er/x", "catalog.json~"]
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_foreign_is_named_before_anything_is_changed(tmp_path, name, overwrite):
    foreign = tmp_path / "out" / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text("precious")
    expected = rf"`output` must be free or a catalog, but .*out holds {re.escape(name)}, which is no part of one and"
    with pytest.raises(ConfigError, match=expected):
        make(tmp_path / "out", overwrite=overwrite)
    if name != "rows/1.txt/x":
        (tmp_path / "out" / "catalog.json").write_text("{}")
        with pytest.raises(ConfigError, match=expected):
            make(tmp_path / "out", overwrite=True)
    assert foreign.read_text() == "precious"


def test_links_are_foreign_and_what_they_lead_to_stays(tmp_path):
    make(tmp_path / "out")
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "2.txt").write_text("precious")
    for name, target in (("out/rows/2.txt", "disk/2.txt"), ("out/more", "disk")):
        (tmp_path / name).symlink_to(tmp_path / target)
        with pytest.raises(ConfigError, match=rf"holds {name.removeprefix('out/')}, which is no part of one"):
            make(tmp_path / "out", overwrite=True)
        (tmp_path / name).unlink()
    assert content(tmp_path / "disk") == {"2.txt": "precious"}


def test_a_folder_without_our_mark_is_nobody_s_to_delete(tmp_path):
    (tmp_path / "out" / "rows").mkdir(parents=True)
    (tmp_path / "out" / "rows" / "1.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"`output` must be free or a catalog, but .*out is none; name another"):
        make(tmp_path / "out", overwrite=True)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ConfigError, match=r"`output` must be a folder, but .*file is a file; name another"):
        make(tmp_path / "file", overwrite=True)


def test_files_may_be_listed_in_the_mark(tmp_path):
    (tmp_path / "model.json").write_text('{"files": ["weights"]}')
    (tmp_path / "weights").write_text("x")
    assert LISTED.foreign(tmp_path) is None
    (tmp_path / "notes").write_text("x")
    assert LISTED.foreign(tmp_path) == tmp_path / "notes"
    (tmp_path / "model.json").write_text("[")
    assert LISTED.foreign(tmp_path) == tmp_path / "notes"


def test_the_folder_of_a_link_is_replaced_and_not_the_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "out")
    make(tmp_path / "out")
    make(tmp_path / "out", text="newer", overwrite=True)
    assert (tmp_path / "out").is_symlink()
    assert content(tmp_path / "disk" / "out")["rows/1.txt"] == "newer"
    assert not list(tmp_path.glob(".*"))


def test_the_same_plan_is_complete_and_another_is_not(tmp_path):
    make(tmp_path / "out", OLD, "old")
    assert make(tmp_path / "out", OLD).complete
    with pytest.raises(ConfigError, match="exists; add --overwrite"):
        make(tmp_path / "out", NEW)
    with pytest.raises(ConfigError, match="exists; add --overwrite"):
        make(tmp_path / "out", OLD, whole=lambda folder: (folder / "rows" / "2.txt").is_file())
    assert not make(tmp_path / "out", OLD, overwrite=True).complete
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_run_is_gone_on_with_by_the_same_plan_alone(tmp_path):
    for plan, resumed in ((OLD, False), (OLD, True), (NEW, False)):
        with replaced(tmp_path / "out", KIND, overwrite=False, plan=plan) as work:
            assert work.resumed == resumed
            assert (work.folder / "done").exists() == resumed
            (work.folder / "done").write_text("x")
    (work.folder / ".done.0123456789abcdef.tmp").write_text("x")
    with replaced(tmp_path / "out", KIND, overwrite=False, plan=NEW) as work:
        assert sorted(path.name for path in work.folder.iterdir()) == ["done", "made_from.json"]


def test_work_that_is_never_gone_on_with_leaves_nothing(tmp_path):
    with replaced(tmp_path / "out", KIND, overwrite=False) as work, work.anew() as folder:
        (folder / "weights").write_text("x")
    assert not list(tmp_path.iterdir())


def test_the_second_of_two_is_refused_before_it_changes_anything(tmp_path):
    with replaced(tmp_path / "out", KIND, overwrite=False, plan=OLD) as work:
        (work.folder / "done").write_text("x")
        for overwrite in (False, True):
            with pytest.raises(ConfigError, match="must have one writer at a time, but another process is writing it"):
                make(tmp_path / "out", NEW, overwrite=overwrite)
        assert (work.folder / "done").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_who_begins_while_another_puts_its_folder_in_place_is_refused_before_any_work(tmp_path, overwrite):
    """The other's lock has gone with its folder to the output, and `.out.partial` is free already."""
    with replaced(tmp_path / "out", KIND, overwrite=False, plan=OLD) as work:
        (work.folder / "catalog.json").write_text("{}")
        work.publish()
        with (
            pytest.raises(ConfigError, match="must have one writer at a time, but another process is writing it"),
            replaced(tmp_path / "out", KIND, overwrite=overwrite, plan=NEW),
        ):
            pytest.fail("it was let begin")
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _write(output: Path, number: int, start) -> None:
    start.wait()
    try:
        make(output, {"of": number}, str(number), overwrite=True)
    except ConfigError as error:
        os._exit(7 if "one writer at a time" in str(error) else 8)


def test_many_that_begin_together_never_mix(tmp_path):
    context = multiprocessing.get_context("fork")
    for _ in range(5):
        start = context.Event()
        children = [context.Process(target=_write, args=(tmp_path / "out", number, start)) for number in range(8)]
        for child in children:
            child.start()
        start.set()
        for child in children:
            child.join()
        codes = [child.exitcode for child in children]
        assert set(codes) <= {0, 7}
        assert 0 in codes
        made = ownership.made_from(tmp_path / "out")["of"]
        assert content(tmp_path / "out")["rows/1.txt"] == str(made)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


CHANGES = ("rename", "rmdir", "unlink")


def _killed_at(step: int, output: Path, *, exchange: bool) -> None:
    left = [step]

    def dying(change):
        def wrapper(*arguments, **options):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return change(*arguments, **options)

        return wrapper

    for name in CHANGES:
        setattr(os, name, dying(getattr(os, name)))
    if not exchange:
        ownership.replace_folder.__globals__["_exchanged"] = lambda *_: False
    make(output, NEW, overwrite=True)


@pytest.mark.parametrize("exchange", [False, True])
def test_killed_at_any_step_there_is_the_old_one_or_the_new_one_or_none_until_the_next_run(tmp_path, exchange):
    step, code = 0, -signal.SIGKILL
    whole = ({"catalog.json": "{}", "rows/1.txt": text} for text in ("old", "new"))
    old, new = whole
    while code == -signal.SIGKILL:
        output = tmp_path / str(step) / "out"
        make(output, OLD, "old")
        child = multiprocessing.get_context("fork").Process(
            target=_killed_at, args=(step, output), kwargs={"exchange": exchange}
        )
        child.start()
        child.join()
        code = child.exitcode
        there = content(output)
        assert there in ((old, new) if exchange else (old, new, {"rows/1.txt": "old"}, {}))
        finished = make(output, NEW, overwrite=there == old)
        assert finished.complete == (there != old)
        assert content(output) == new
        assert [path.name for path in output.parent.iterdir()] == ["out"]
        step += 1
    assert code == 0
    assert step > 3


def test_a_disk_cannot_be_replaced():
    with pytest.raises(ConfigError, match="`output` must be a folder of its own, but /proc is a disk; name one in it"):
        make(Path("/proc"))
