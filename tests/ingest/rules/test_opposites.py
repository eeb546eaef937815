"""`--opposites`: tasks that undo each other, named once for every source."""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from robot_datasets import moving_square, write_lerobot, write_video

from rfm.cli import run_command
from rfm.errors import DataError
from rfm.frames.video.decoding import Video
from rfm.ingest.episode import Episode, IngestOptions
from rfm.ingest.reading import rejected
from rfm.ingest.rules.opposites import with_opposites
from rfm.ingest.stored import Stored
from rfm.ingest.towards import progress_by_task
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.store import read_columns


@dataclass(frozen=True)
class Unread:
    """Frames that nobody asks for."""

    def read(self, options: IngestOptions) -> Video:
        raise DataError("not asked for")

    def identity(self) -> str:
        return ""


def episode(name: str, task: str, task_id: str | None = None) -> Episode:
    return Episode(name, task, "set", Unread(), task_id=task_id)


def opposites(path: Path, text: str, *episodes: Episode) -> dict[str, tuple[str, ...]]:
    path.write_text(text)
    return {one.id: one.opposites for one in with_opposites(episodes, path)}


def towards(output: Path, key: str) -> dict[str, dict[str, list[float]]]:
    rows = read_columns(output / key, ("id", "progress_by_task")).to_pylist()
    return {row["id"]: {one["task_id"]: one["progress"] for one in row["progress_by_task"] or ()} for row in rows}


def write_films(folder: Path, rows: list[dict[str, Any]], frames: int = 5) -> Path:
    for row in rows:
        write_video(folder / row["path"], moving_square(frames))
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def run(kind: str, path: Path, output: Path, *flags: str) -> int:
    return run_command(("ingest", kind), [str(path), "--output", str(output), *flags], f"rfm ingest {kind}")


def test_names_are_ids_or_texts_in_any_spelling_and_hold_both_ways(tmp_path: Path) -> None:
    found = opposites(
        tmp_path / "pairs.yaml",
        "window-open: 'Close the window!'\nopen THE door: close-the-door\n",
        episode("a", "open the window", "window-open"),
        episode("b", "close the window", "window-close"),
        episode("c", "slide it shut", "window-close"),
        episode("d", "open the door"),
        episode("e", "Close the door."),
        episode("f", "pour"),
    )
    assert found == {
        "a": ("window-close",),
        "b": ("window-open",),
        "c": ("window-open",),
        "d": ("close the door",),
        "e": ("open the door",),
        "f": (),
    }


def test_a_text_under_several_ids_means_all_of_them(tmp_path: Path) -> None:
    found = opposites(
        tmp_path / "pairs.yaml",
        "open it: shut it\n",
        *(episode(f"o{at}", "open it", f"open-{at}") for at in range(2)),
        *(episode(f"s{at}", "shut it", f"shut-{at}") for at in range(2)),
    )
    assert found["o0"] == found["o1"] == ("shut-0", "shut-1")
    assert found["s0"] == found["s1"] == ("open-0", "open-1")


def test_a_row_without_an_id_belongs_to_the_task_with_its_text(tmp_path: Path) -> None:
    rows = [episode("a", "open it", "open"), episode("b", "Open it"), episode("c", "shut it", "shut")]
    assert opposites(tmp_path / "pairs.yaml", "open: shut\nshut it: open it\n", *rows) == {
        "a": ("shut",),
        "b": ("shut",),
        "c": ("open",),
    }


def test_all_faults_of_the_file_are_told_by_line(tmp_path: Path) -> None:
    rows = [episode(name, name, f"id-{name}") for name in ("open", "shut", "lift")]
    lines = ["# pairs", "fridge: open", "open: shut", "lift: id-lift", "id-open: lift", "yes: open", "Lift: [open]"]
    with pytest.raises(DataError) as caught:
        opposites(tmp_path / "pairs.yaml", "\n".join(lines), *rows, rejected("x", "set", "is broken"))
    held = "`id lift`, `id open`, `id shut`, `lift`, `open` and 1 more"
    assert str(caught.value).split("\n  ") == [
        f"{tmp_path}/pairs.yaml has 5 faults:",
        f"line 2: a task must be one of these episodes', {held}, but is `fridge`",
        "line 4: a task must not be its own opposite, but `lift` is: `id-lift`",
        "line 5: the opposite of `id-open` must be one, but is `id-lift` here and `id-shut` in line 3",
        "line 6: a task must be named by a text, but is `True`: put it in quotes",
        "line 7: a task must be named by a text, but is `['open']`: put it in quotes",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "must hold a mapping, but holds nothing"),
        ("- open\n- shut\n", "must hold a mapping, but holds a sequence"),
        ("open: shut\nopen: lift\n", "must name each key of a mapping once, but has `open` twice"),
        ("open: !!python/name:os.system ''\n", "must do without tags"),
        ("open: [shut\n", "must be YAML, but is not"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(DataError) as caught:
        opposites(tmp_path / "pairs.yaml", text, episode("a", "open"), episode("b", "shut"), episode("c", "lift"))
    assert f"{tmp_path}/pairs.yaml {fault}" in str(caught.value)


def test_progress_towards_the_opposite_is_1_less_the_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    curve = [0.0, 0.25, 0.5, 0.75, 1.0]
    films = write_films(
        tmp_path / "in",
        [
            {"path": "recorded.mp4", "task": "open it", "progress": curve, "quality_label": "failure"},
            {"path": "success.mp4", "task": "shut it", "quality_label": "optimal"},
            {"path": "failure.mp4", "task": "shut it", "quality_label": "failure", "partial_success": 0.5},
            {"path": "unknown.mp4", "task": "open it"},
            {"path": "own.mp4", "task": "open it", "progress": curve, "progress_by_task": {"shut it": [0.9] * 5}},
            {"path": "more.mp4", "task": "open it", "progress": curve, "progress_by_task": {"pour": [0.5] * 5}},
            {"path": "pour.mp4", "task": "pour", "quality_label": "successful"},
        ],
    )
    (tmp_path / "pairs.yaml").write_text("Open it: shut it")
    caplog.set_level(logging.WARNING)
    assert run("videos", films, tmp_path / "out", "--opposites", str(tmp_path / "pairs.yaml")) == 0
    found = towards(tmp_path / "out", "in")
    assert found["recorded"] == {"shut it": [1.0, 0.75, 0.5, 0.25, 0.0]}
    assert found["success"] == {"open it": pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0], abs=1e-6)}
    assert found["failure"] == found["unknown"] == found["pour"] == {}
    assert found["own"] == {"shut it": pytest.approx([0.9] * 5)}, "what was recorded stays"
    assert found["more"] == {"pour": [0.5] * 5, "shut it": [1.0, 0.75, 0.5, 0.25, 0.0]}
    assert "2 of 6 episodes say nothing of the opposite of their task, the first `failure`" in caplog.text
    said = json.loads((tmp_path / "out" / "in" / "dataset_info.json").read_text())["ingest"]
    assert said["opposites"] == {"open it": ["shut it"], "shut it": ["open it"]}
    catalog = load_catalog(tmp_path / "out", ["in"])
    assert not catalog.unreadable
    assert len(catalog.towards) == 5


def test_kept_frames_and_their_times_count() -> None:
    shut = replace(episode("a", "open"), opposites=("shut",), quality_label="success")
    stored = Stored((4, 8, 8, 3), (0, 2, 4, 9), (0.0, 0.1, 0.2, 1.0))
    ((task, progress),) = progress_by_task(shut, stored, None) or ()
    assert task == "shut"
    assert progress == pytest.approx([1 - (3 * time + 1) / 4 for time in (0.0, 0.1, 0.2, 1.0)])
    ((_, progress),) = progress_by_task(shut, stored._replace(times=None), None) or ()
    assert progress == pytest.approx([0.75, 0.5, 0.25, 0.0])
    assert progress_by_task(shut, stored, (0.0, 0.5, 0.5, 0.25)) == (("shut", (1.0, 0.5, 0.5, 0.75)),)
    assert progress_by_task(replace(shut, quality_label="failure"), stored, None) is None


def test_every_source_takes_the_file_and_another_one_is_another_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = [moving_square(4), moving_square(5)]
    path = write_lerobot(tmp_path / "robot", films, tasks=[0, 1], success=[True, True])
    pairs = tmp_path / "pairs.yaml"
    pairs.write_text("do thing 0: do thing 1\n")
    assert run("lerobot", path, tmp_path / "out", "--opposites", str(pairs)) == 0
    assert [list(tasks) for tasks in towards(tmp_path / "out", "robot").values()] == [["do thing 1"], ["do thing 0"]]
    assert run("lerobot", path, tmp_path / "out", "--opposites", str(pairs)) == 0, "nothing to do"
    assert run("lerobot", path, tmp_path / "out") == 1
    assert "exists; add --overwrite" in capsys.readouterr().err
    assert run("lerobot", path, tmp_path / "out", "--opposites", str(tmp_path / "none.yaml")) == 1
    assert "none.yaml must exist" in capsys.readouterr().err
