"""The copy of a dataset holds what belongs to it, and nothing that a link in it leads to."""

import os

import pytest

from rfm.errors import DataError
from rfm.scoring.relabelling.dataset_copy import copy_dataset


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source" / "data" / "chunk-000").mkdir(parents=True)
    (tmp_path / "source" / "data" / "chunk-000" / "a.parquet").write_text("rows")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "id_rsa").write_text("private")
    return tmp_path / "source"


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("target", ["../secrets", "../secrets/id_rsa", "data/out", "..", "/", "/etc/hostname"])
def test_a_link_out_of_the_dataset_is_refused_by_name(source, tmp_path, target):
    (source / "data" / "out").symlink_to("../../secrets")  # a second step that leads out
    (source / "extra").symlink_to(target)
    with pytest.raises(
        DataError, match=r"link (data/out|extra) must lie in the dataset's folder .*source, but `.*` leads"
    ):
        copy_dataset(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_links_within_are_followed(source, tmp_path):
    (source / "data" / "chunk-001").symlink_to("chunk-000")
    (source / "b.parquet").symlink_to(source / "data" / "chunk-000" / "a.parquet")
    copy_dataset(source, tmp_path / "copy")
    assert names(tmp_path / "copy") == ["b.parquet", "data/chunk-000/a.parquet", "data/chunk-001/a.parquet"]
    assert not any(path.is_symlink() for path in (tmp_path / "copy").rglob("*"))
    assert (tmp_path / "copy" / "b.parquet").samefile(source / "data" / "chunk-000" / "a.parquet")


@pytest.mark.parametrize("target", [".", "../data"])
def test_a_link_back_is_one_message(source, tmp_path, target):
    (source / "data" / "round").symlink_to(target)
    with pytest.raises(
        DataError, match=r"data/round must not lead back to a folder that holds it, but leads to .*source"
    ):
        copy_dataset(source, tmp_path / "copy")


def test_links_in_a_circle_and_into_nothing(source, tmp_path):
    (source / "one").symlink_to("two")
    (source / "two").symlink_to("one")
    with pytest.raises(DataError, match=r"one must be a file or a folder, but is neither: its link leads to"):
        copy_dataset(source, tmp_path / "copy")
    (source / "one").unlink()
    with pytest.raises(
        DataError, match=r"two must be a file or a folder, but is neither: its link leads to .*one, which"
    ):
        copy_dataset(source, tmp_path / "copy")


def test_a_pipe_is_not_read(source, tmp_path):
    os.mkfifo(source / "waits")
    with pytest.raises(DataError, match=r"waits must be a file or a folder, but is neither: remove it"):
        copy_dataset(source, tmp_path / "copy")


def test_a_snapshot_of_the_hugging_face_cache_is_copied_whole(tmp_path):
    cache = tmp_path / "datasets--me--mine"
    (cache / "blobs").mkdir(parents=True)
    (cache / "blobs" / "abc").write_text("rows")
    (cache / "snapshots" / "1").mkdir(parents=True)
    (cache / "snapshots" / "1" / "a.parquet").symlink_to("../../blobs/abc")
    copy_dataset(cache / "snapshots" / "1", tmp_path / "copy")
    assert (tmp_path / "copy" / "a.parquet").read_text() == "rows"
    assert not (tmp_path / "copy" / "a.parquet").is_symlink()


def test_names_that_are_left_out(source, tmp_path):
    (source / "made.json").write_text("{}")
    copy_dataset(source, tmp_path / "copy", leave_out=("made.json",))
    assert names(tmp_path / "copy") == ["data/chunk-000/a.parquet"]
