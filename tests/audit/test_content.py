"""What small pictures tell: the last frame shows how far a clip got, the first one does not."""

from __future__ import annotations

import pytest
from audit.audits import draw, look
from worlds import make_world

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    root = make_world(tmp_path_factory.mktemp("plain"), episodes=120, frames=32)
    return draw(root, tmp_path_factory.mktemp("seen") / "vqa", "data.sample_type_ratio=[0.4,0.6,0]", rows=1500)


def test_the_last_frame_tells_the_task_and_the_first_little(seen, capsys):
    found = look(seen, content=True)
    first, last = (found.checks[f"progress told by the {which} frame"] for which in ("first", "last"))
    assert (first["verdict"], last["verdict"]) == ("reported", "reported")
    assert last["measured"] < 0.8 < first["measured"]
    told = found.found["datasets"][0]["told_by_content"]["progress"]
    assert set(told["by_strategy"]["last frame"]) >= {"forward_progress", "different_task_instruction"}
    assert (told["rows"], told["unreadable_rows"]) == (900, {})
    assert "told by the words and one small picture of each clip" in capsys.readouterr().out


def test_without_being_asked_no_picture_is_read(seen):
    found = look(seen)
    assert found.found["datasets"][0]["told_by_content"] == {}
    assert not any("frame" in name and "told" in name for name in found.checks)


def test_pictures_that_cannot_be_read_are_counted_by_reason(own_world):
    root, path = own_world
    files = sorted((root / "toy_train" / "frames").iterdir())
    files[0].unlink()
    files[1].write_bytes(b"no archive")
    found = look(path, content=True)
    told = found.found["datasets"][0]["told_by_content"]["progress"]
    assert set(told["unreadable_rows"]) == {"missing file", "unreadable file"}
    assert told["rows"] + sum(told["unreadable_rows"].values()) == 600
    note = found.checks["progress told by the first frame"]["note"]
    assert f"missing file: {told['unreadable_rows']['missing file']} rows left out" in note
    for file in files:
        file.unlink(missing_ok=True)
    lost = look(path, content=True).checks["progress told by the last frame"]
    assert lost["verdict"] == "not checked"
    assert lost["note"] == "not checked: the pictures of 0 rows can be read; 100 are needed"
