"""Datasets on remote stores: fsspec's file system in memory stands for one."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from robot_datasets import moving_square, rlds_episode, write_demos, write_lerobot, write_tfrecord, write_video

from rfm.cli import run_command
from rfm.errors import ConfigError, DataError, MissingExtraError
from rfm.ingest.remote import fetch as remote
from rfm.ingest.remote.fetch import mirrored

EPISODES = [moving_square(count, seed) for seed, count in enumerate((5, 9, 4))]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    monkeypatch.setenv("RFM_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield memory
    memory.store.clear()


def videos(folder: Path) -> None:
    for at, frames in enumerate(EPISODES):
        write_video(folder / f"{at}.mp4", frames)
    (folder / "manifest.csv").write_text("path,task\n0.mp4,a\n1.mp4,b\n2.mp4,c")


def lerobot(folder: Path) -> None:
    write_lerobot(folder, EPISODES, success=[True, False, True])


def rlds(folder: Path) -> None:
    write_tfrecord(folder / "a.tfrecord", [rlds_episode(frames) for frames in EPISODES])


def hdf5(folder: Path) -> None:
    write_demos(folder / "a.hdf5", EPISODES, "libero", compression="gzip")


def content(folder: Path) -> dict[str, bytes]:
    """All files but those that say from which place, and to which, they were made."""
    places = ("made_from.json", "walks.options.yaml")
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in places)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def ingest(command: str, path: str, output: str, *flags: str) -> int:
    return run_command(("ingest", command), [path, "--output", output, *flags], None)


@pytest.mark.parametrize("write", [videos, lerobot, rlds, hdf5])
def test_a_remote_dataset_gives_what_a_local_one_does(tmp_path, store, write):
    write(tmp_path / "walks")
    store.put(str(tmp_path / "walks"), "/bucket/walks", recursive=True)
    assert ingest(write.__name__, str(tmp_path / "walks"), str(tmp_path / "local")) == 0
    assert ingest(write.__name__, "memory://bucket/walks", str(tmp_path / "remote")) == 0
    assert content(tmp_path / "remote") == content(tmp_path / "local")


def test_a_remote_output_gets_what_a_local_one_does_and_is_replaced_only_when_told(tmp_path, store, capsys):
    videos(tmp_path / "walks")
    assert ingest("videos", str(tmp_path / "walks"), str(tmp_path / "local")) == 0
    assert ingest("videos", str(tmp_path / "walks"), "memory://bucket/out") == 0
    store.get("/bucket/out", str(tmp_path / "fetched"), recursive=True)
    assert content(tmp_path / "fetched") == content(tmp_path / "local")
    assert not content(tmp_path / "cache" / "upload")
    assert ingest("videos", str(tmp_path / "walks"), "memory://bucket/out") == 1
    assert "memory://bucket/out/walks must be free for a new dataset, but holds one" in capsys.readouterr().err
    (tmp_path / "walks" / "manifest.csv").write_text("path,task\n0.mp4,a")
    assert ingest("videos", str(tmp_path / "walks"), "memory://bucket/out", "--overwrite") == 0
    assert [path for path in store.find("/bucket/out") if "/frames/" in path] == [
        "/bucket/out/walks/frames/trajectory_0.npz"
    ]


def test_an_upload_that_broke_off_goes_on(tmp_path, store, monkeypatch, capsys):
    videos(tmp_path / "walks")
    put, sent = type(store).put_file, []

    def breaking(self, local, path, **options):
        if len(sent) == 4:  # the probe, the mark and two videos' frames
            raise ConnectionResetError("gone")
        sent.append(path)
        put(self, local, path, **options)

    monkeypatch.setattr("rfm.ingest.remote.upload.THREADS", 1)
    monkeypatch.setattr(type(store), "put_file", breaking)
    assert ingest("videos", str(tmp_path / "walks"), "memory://bucket/out") == 1
    assert "reaching it gives ConnectionResetError: gone" in capsys.readouterr().err
    first = {path for path in sent if "/frames/" in path}
    assert len(first) == 2
    assert not store.exists("/bucket/out/walks/processed_dataset/state.json")

    def counting(self, local, path, **options):
        sent.append(path)
        put(self, local, path, **options)

    sent.clear()
    monkeypatch.setattr(type(store), "put_file", counting)
    assert ingest("videos", str(tmp_path / "walks"), "memory://bucket/out") == 0
    assert not first & set(sent)
    assert sent[-1].endswith("processed_dataset/state.json")
    assert ingest("videos", str(tmp_path / "walks"), str(tmp_path / "local")) == 0
    store.get("/bucket/out", str(tmp_path / "fetched"), recursive=True)
    assert content(tmp_path / "fetched") == content(tmp_path / "local")


def test_only_what_changed_is_copied_again_and_what_is_gone_goes(tmp_path, store):
    for name in ("a", "b/c"):
        store.pipe(f"/bucket/set/{name}", name.encode())
    folder = mirrored("memory://bucket/set")
    assert content(folder) == {"a": b"a", "b/c": b"b/c"}
    file = folder / "b" / "c"
    before = file.stat().st_ino
    store.pipe("/bucket/set/b/c", b"new")
    store.pipe("/bucket/set/d", b"d")
    store.rm("/bucket/set/a")
    assert mirrored("memory://bucket/set") == folder
    assert content(folder) == {"b/c": b"new", "d": b"d"}
    again = file.stat().st_ino
    assert mirrored("memory://bucket/set") == folder
    assert file.stat().st_ino == again != before


def test_a_file_that_came_in_part_is_no_file(store, monkeypatch):
    store.pipe("/bucket/set/a", b"whole")
    monkeypatch.setattr(type(store), "get_file", lambda self, path, local, **_: Path(local).write_bytes(b"who"))
    with pytest.raises(DataError, match="bucket/set/a must have the 5 bytes that are listed, but 3 came: try again"):
        mirrored("memory://bucket/set")
    assert not content(remote.cache_folder())
    monkeypatch.undo()


def test_file_urls_are_read_and_written_where_they_are(tmp_path, store):
    videos(tmp_path / "walks")
    assert ingest("videos", f"file://{tmp_path}/walks", f"file://{tmp_path}/out") == 0
    assert (tmp_path / "out" / "walks" / "processed_dataset").is_dir()
    assert not (tmp_path / "cache").exists()


def test_names_that_lead_out_of_the_folder_are_refused(store, tmp_path):
    store.store["/bucket/set/../../evil"] = store.store["/bucket/set/x"] = fsspec.implementations.memory.MemoryFile(
        store, "/bucket/set/x", b"evil"
    )
    with pytest.raises(DataError, match=r"names in memory://bucket/set must stay in that folder, but .*\.\./evil"):
        mirrored("memory://bucket/set")
    assert not list(tmp_path.rglob("evil"))


def test_more_than_the_disk_holds_is_refused_before(store, monkeypatch):
    store.pipe("/bucket/set/a", b"whole")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 5, 4))
    with pytest.raises(ConfigError, match="have room for 5 bytes of memory://bucket/set, but has 4: set RFM_CACHE"):
        mirrored("memory://bucket/set")


def test_what_cannot_be_reached_is_named(store, monkeypatch):
    with pytest.raises(ConfigError, match="memory://no/where must exist, but there is no such bucket, folder or file"):
        mirrored("memory://no/where")
    with pytest.raises(ConfigError, match=r"abc://x must begin with a protocol that fsspec knows, but: .*abc"):
        mirrored("abc://x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match="s3://x needs a package that is not installed: Install s3fs"):
        mirrored("s3://x")
    store.pipe("/bucket/set/a", b"whole")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError("403")

    monkeypatch.setattr(type(store), "find", forbidden)
    with pytest.raises(ConfigError, match="memory://bucket/set must be open to you, but permission is denied: 403"):
        mirrored("memory://bucket/set")
