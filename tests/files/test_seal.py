import pytest

from rfm.files import seal


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").write_text("abc")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_text("de")
    seal.seal(tmp_path)
    return tmp_path


def test_a_sealed_folder_is_whole(folder):
    assert seal.fault(folder) is None
    seal.seal(folder)
    assert seal.fault(folder) is None
    (folder / "more").write_text("added later")
    assert seal.fault(folder) is None


def test_what_is_missing_or_cut_is_named(folder):
    (folder / "a").write_text("ab")
    assert seal.fault(folder) == "a must have 3 bytes, but has 2"
    (folder / "a").unlink()
    assert seal.fault(folder) == "a is missing"
    (folder / seal.FILE_NAME).write_text("{")
    assert seal.fault(folder).startswith(
        f"its checkpoint_files.json is damaged: {folder}/checkpoint_files.json must be"
    )
    (folder / seal.FILE_NAME).unlink()
    assert seal.fault(folder) == "it has no checkpoint_files.json, which is written last"


def test_files_in_their_sizes_are_there_whatever_they_hold(folder):
    assert seal.is_there(folder)
    (folder / "a").write_text("abd")
    assert seal.is_there(folder)
    assert seal.fault(folder) == "a has other bytes than checkpoint_files.json says"
    (folder / "a").write_text("ab")
    assert not seal.is_there(folder)
    (folder / seal.FILE_NAME).unlink()
    assert not seal.is_there(folder)
