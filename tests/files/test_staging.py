"""Files and folders appear whole, flushed, with the user's modes, and in one step where the system can."""

import errno
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from rfm.files import staging
from rfm.files.staging import finish_replacement, naming, new_of, remove, remove_leftovers, staged_file, staged_folder


def content(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("umask", "file", "folder"), [(0o077, 0o600, 0o700), (0o022, 0o644, 0o755)])
def test_modes_are_what_the_umask_leaves(tmp_path, umask, file, folder):
    before = os.umask(umask)
    try:
        with staged_file(tmp_path / "a.json") as staged:
            staged.write_text("{}")
        with staged_folder(tmp_path / "b"):
            pass
    finally:
        os.umask(before)
    assert (mode(tmp_path / "a.json"), mode(tmp_path / "b")) == (file, folder)


def test_several_may_delete_one_folder_at_a_time(tmp_path):
    for number in range(3):
        folder = tmp_path / str(number)
        for part in range(20):
            (folder / str(part)).mkdir(parents=True)
            for at in range(20):
                (folder / str(part) / str(at)).touch()
        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(remove, [folder] * 6)) == [None] * 6
        assert not folder.exists()


def test_a_private_source_stays_private(tmp_path):
    with staged_file(tmp_path / "a", mode=0o400) as staged:
        staged.write_text("x")
    assert mode(tmp_path / "a") == 0o600


def test_content_is_flushed_before_it_gets_its_name_and_the_name_after(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append(Path(f"/proc/self/fd/{handle}").resolve().name))
    with staged_file(tmp_path / "a") as staged:
        staged.write_text("x")
    assert seen == [staged.name, tmp_path.name]
    seen.clear()
    with staged_folder(tmp_path / "b") as folder:
        (folder / "in").mkdir()
        (folder / "in" / "c").write_text("x")
    assert seen == [folder.name, "c", "in", tmp_path.name]


def test_what_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").write_text("old")
    with suppress(ZeroDivisionError), staged_folder(tmp_path / "kept") as staged:
        (staged / "a").write_text("new")
        raise ZeroDivisionError
    assert content(tmp_path) == {"kept/a": "old"}


def test_a_full_disk_is_said_of_the_file_that_was_written(tmp_path):
    """As the system says it: of the file that was read, or of none."""
    for error in (OSError(errno.ENOSPC, "full", "source", None, "target"), OSError(errno.ENOSPC, "full")):
        with pytest.raises(OSError, match="No space left") as found, naming(tmp_path / "out.json"):
            raise error
        assert found.value.filename == str(tmp_path / "out.json")
    with pytest.raises(FileNotFoundError, match="other"), naming(tmp_path):
        (tmp_path / "other").read_text()


def replaceable(folder: Path) -> tuple[Path, Path]:
    old, new = folder / "data", folder / ".data.made"
    for path, text in ((old, "old"), (new, "new")):
        (path / "deep").mkdir(parents=True)
        (path / "state.json").write_text(text)
        (path / "deep" / "x").write_text(text)
    return old, new


def test_folders_are_exchanged_in_one_step(tmp_path, monkeypatch):
    old, new = replaceable(tmp_path)
    seen = []
    rename = Path.rename

    def looking(path, target):
        seen.append(content(old)["state.json"])
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", looking)
    staging.replace_folder(new, old)
    assert set(seen) == {"new"}
    assert content(tmp_path) == {"data/deep/x": "new", "data/state.json": "new"}


def refusing(folders: set[Path]):
    """os.rename and os.replace as overlayfs has them: folders that were there before can't be renamed."""
    lower = {path.stat().st_ino for path in folders}
    real = os.rename

    def rename(source, target, **options):
        if Path(source).is_dir() and Path(source).stat().st_ino in lower:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))
        return real(source, target, **options)

    return rename


@pytest.mark.parametrize("both", [False, True])
def test_where_folders_cannot_be_renamed_they_are_replaced_all_the_same(tmp_path, monkeypatch, both):
    old, new = replaceable(tmp_path)
    monkeypatch.setattr(staging, "_exchanged", lambda *_: False)
    monkeypatch.setattr(os, "rename", refusing({old, new} if both else {old}))
    staging.replace_folder(new, old)
    assert content(tmp_path) == {"data/deep/x": "new", "data/state.json": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_replacement_that_was_killed_is_finished_by_the_next(tmp_path, monkeypatch):
    old, new = replaceable(tmp_path)
    monkeypatch.setattr(staging, "_exchanged", lambda *_: False)
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(staging.shutil, "rmtree", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        staging.replace_folder(new, old)
    assert not (old / "state.json").exists()  # what is left of the old one can't be read as one
    assert (new_of(old) / "state.json").read_text() == "new"
    finish_replacement(old)
    assert content(tmp_path) == {"data/deep/x": "new", "data/state.json": "new"}


def test_only_what_was_staged_is_a_leftover(tmp_path):
    mine = ["notes.tmp", ".notes.tmp", ".a.0123456789abcdeg.tmp", "a.0123456789abcdef.tmp"]
    for name in [*mine, ".a.0123456789abcdef.tmp"]:
        (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(mine)


OVERLAY = """
import os, subprocess, sys
from pathlib import Path
sys.path.insert(0, {package!r})
from rfm.files.staging import staged_folder
base = Path({base!r})
subprocess.run(["mount", "-t", "tmpfs", "none", base], check=True)
for name in ("lower/data/deep", "upper", "work", "merged"):
    (base / name).mkdir(parents=True)
for name in ("state.json", "deep/x"):
    (base / "lower/data" / name).write_text("old")
layers = f"lowerdir={{base}}/lower,upperdir={{base}}/upper,workdir={{base}}/work,redirect_dir=off"
subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, base / "merged"], check=True)
data = base / "merged/data"
try:
    os.rename(data, data.with_name("other"))
    sys.exit(4)
except OSError as error:
    assert error.errno == 18, error
with staged_folder(data) as staged:
    (staged / "state.json").write_text("new")
assert [path.name for path in data.iterdir()] == ["state.json"]
assert (data / "state.json").read_text() == "new"
assert [path.name for path in data.parent.iterdir()] == ["data"]
"""


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root may mount a file system")
def test_a_folder_of_an_image_is_replaced_under_overlayfs(tmp_path):
    script = tmp_path / "overlay.py"
    package = str(Path(staging.__file__).parents[2])
    script.write_text(OVERLAY.format(package=package, base=str(tmp_path)))
    held = tmp_path.parent / "overlay.py"
    held.write_text(script.read_text())  # the mount hides the folder
    done = subprocess.run(
        ["unshare", "-m", sys.executable, str(held)], check=False, capture_output=True, text=True, cwd="/"
    )
    if "CalledProcessError" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"file systems can't be mounted here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
