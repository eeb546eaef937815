"""Generating simulated videos, with the simulator replaced by a fake: interruptions, and folders of others."""

import json
from pathlib import Path

import made_up_episodes
import pytest
from simulated import ALL_QUALITIES, BUNDLE, Arrays

from rfm.cli import run_command
from rfm.errors import DataError
from rfm.ingest.metaworld.bundle import Row, claim
from rfm.ingest.metaworld.slots import plan_slots
from rfm.ingest.metaworld.tasks import BUNDLED, select_tasks


@pytest.fixture
def generate(simulator, monkeypatch: pytest.MonkeyPatch):
    """`generate` with episodes made up from the slot instead of simulated, and grey frames."""
    return made_up_episodes.make_up(monkeypatch)


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_interrupted_generation_goes_on_and_ends_with_the_same_bytes(
    generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = {"seed": 3, "episodes_per_task": 12, "tasks": ["door-open", "plate-slide"], "num_workers": 1}
    whole = generate.generate_metaworld(tmp_path / "whole", **settings)
    assert (whole.tasks, whole.episodes, whole.made) == (2, 24, 24)
    assert whole.by_quality == dict.fromkeys(ALL_QUALITIES, 8)
    assert whole.by_source == {"metaworld_train": 18, "metaworld_eval": 6}

    write_part, done = generate.write_part, []

    def failing(output: Path, row: Row, arrays: Arrays) -> None:
        if len(done) == 7:
            (output / "videos" / "left.1.partial").touch()
            raise KeyboardInterrupt
        done.append(row["id"])
        write_part(output, row, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(generate, "write_part", failing)
        with pytest.raises(KeyboardInterrupt):
            generate.generate_metaworld(tmp_path / "cut", **settings)
    assert not (tmp_path / "cut" / "manifest.jsonl").exists()
    assert generate.generate_metaworld(tmp_path / "cut", **settings).made == 17
    assert _bytes_of(tmp_path / "cut") == _bytes_of(tmp_path / "whole")
    assert generate.generate_metaworld(tmp_path / "cut", **settings).made == 0


def test_a_killed_worker_is_one_error_and_the_same_command_goes_on(generate, tmp_path: Path, monkeypatch, capfd):
    settings = {"seed": 3, "episodes_per_task": 12, "tasks": ["door-open"]}
    generate.generate_metaworld(tmp_path / "whole", **settings)
    *_, last = plan_slots(select_tasks(["door-open"]), 12, 3)
    monkeypatch.setattr(generate, "make_episode", made_up_episodes.make_episode)  # which a worker can import
    command = ["--output", str(tmp_path / "cut"), "--seed", "3", "--episodes_per_task", "12", "--tasks", "door-open"]
    with monkeypatch.context() as patch:
        patch.setenv(made_up_episodes.DIES_AT, last.id)
        assert run_command(("ingest", "metaworld"), [*command, "--num_workers", "2"], "rfm ingest metaworld") == 1
    seen = capfd.readouterr().err
    assert seen.count("error: workers must live until their work is done, but one was killed, maybe for lack of m") == 1
    assert "Traceback" not in seen
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut" / "videos").glob("*.mp4")}
    parts = len(list((tmp_path / "cut" / "parts").glob("*.npz")))
    assert 3 <= parts < 12
    summary = generate.generate_metaworld(tmp_path / "cut", **settings, num_workers=2)
    assert summary.made == 12 - parts
    assert sum(path.stat().st_mtime_ns == time for path, time in kept.items()) >= parts
    assert _bytes_of(tmp_path / "cut") == _bytes_of(tmp_path / "whole")


def test_a_folder_with_other_settings_is_refused(generate, tmp_path: Path):
    generate.generate_metaworld(tmp_path, seed=0, episodes_per_task=12, tasks=["door-open"])
    with pytest.raises(DataError, match=r"`output` must be a new folder .*\"seed\": 0.* instead of .*\"seed\": 1"):
        generate.generate_metaworld(tmp_path, seed=1, episodes_per_task=12, tasks=["door-open"])


def test_settings_of_the_bundle_are_the_defaults(simulator):
    from inspect import signature

    from rfm.ingest.metaworld.generate import generate_metaworld

    settings = json.loads((BUNDLE / "generation.json").read_text())
    defaults = {name: parameter.default for name, parameter in signature(generate_metaworld).parameters.items()}
    assert settings["episodes_per_task"] == defaults["episodes_per_task"]
    assert settings["seed"] == defaults["seed"]
    assert settings["tasks"] == list(BUNDLED)


@pytest.mark.parametrize("name", ["manifest.jsonl", "states.npz", "videos/mine.mp4", "parts/mine.npz"])
def test_a_folder_of_somebody_else_is_not_written_into(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(DataError, match="is there and was not written by it; choose another folder"):
        claim(tmp_path, {"seed": 0})
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["mine"]
