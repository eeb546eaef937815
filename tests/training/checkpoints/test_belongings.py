"""A run deletes what runs wrote, and nothing that only looks like it."""

import dataclasses
import logging
import shutil
from pathlib import Path

import pytest
from runs import tiny_run
from vqa_fakes import fake_dataset

from rfm.errors import ConfigError
from rfm.files import seal
from rfm.training.checkpoints.belongings import FILE_NAME, Belongings
from rfm.training.checkpoints.rotation import rotate
from rfm.training.run import train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 8, episodes=4)


@pytest.fixture(scope="module")
def made(dataset, tmp_path_factory):
    """An adapter's run: checkpoint-1, final, base and curves."""
    folder = tmp_path_factory.mktemp("made")
    return tiny_run(dataset, folder, max_steps=1, save_steps=1, lora_rank=2, report_to="tensorboard", run_name="mine")


@pytest.fixture(scope="module")
def run(made):
    train(made)
    return Path(made.output_dir)


def put(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_overwriting_deletes_a_run_and_leaves_all_else(run, made, dataset, tmp_path):
    folder = shutil.copytree(run, tmp_path / "proj")
    kept = {"notes.txt", "checkpoint-notes/a.txt", "runs/other_experiment/events.out.tfevents.1", "checkpoint-1-old/b"}
    for name in kept:
        put(folder / name)
    train(tiny_run(dataset, folder, max_steps=2, save_steps=2, overwrite_output_dir=True))
    left = everything(folder)
    assert kept <= left
    assert not any(name.startswith(("checkpoint-1/", "base/", "runs/mine/")) for name in left)
    assert {path.name for path in folder.iterdir()} >= {"checkpoint-2", "final"}


@pytest.mark.parametrize(
    "name",
    ["final/thesis.txt", "final/sub/a.txt", "checkpoint-1/notes.md", "checkpoint-7/weights.bin", "runs/mine/plot.png"],
)
def test_what_a_run_did_not_write_is_refused_by_name(run, made, tmp_path, name):
    folder = shutil.copytree(run, tmp_path / "proj")
    put(folder / name)
    before = everything(folder)
    again = dataclasses.replace(made, output_dir=str(folder), overwrite_output_dir=True)
    expected = (
        rf"`output_dir` must hold what `rfm train` wrote where it writes and deletes, but .* holds {name}, which it "
    )
    with pytest.raises(
        ConfigError, match=expected + "did not write; move that elsewhere, or name another --output_dir"
    ):
        train(again)
    assert everything(folder) == before
    shutil.move(folder / name, tmp_path / "elsewhere")  # the advice
    if name.startswith("checkpoint-7"):
        (folder / "checkpoint-7").rmdir()
    train(again)


def test_a_list_of_rows_that_is_not_its_own_is_refused_before_a_run_is_deleted(run, made, tmp_path):
    folder = shutil.copytree(run, tmp_path / "proj")
    (folder / FILE_NAME).unlink()  # as of a version that took no notes
    put(folder / "bad_rows.jsonl")
    before = everything(folder)
    with pytest.raises(ConfigError, match=r"holds bad_rows.jsonl, which it did not write"):
        train(dataclasses.replace(made, output_dir=str(folder), overwrite_output_dir=True))
    assert everything(folder) >= before


@pytest.mark.parametrize("name", ["final/thesis.txt", "checkpoint-5/a.bin"])
def test_a_folder_of_other_things_is_no_run_to_go_on_with_or_overwrite(dataset, tmp_path, name):
    put(tmp_path / name)
    with pytest.raises(ConfigError, match=rf"holds {name}, which it did not write"):
        train(tiny_run(dataset, tmp_path, max_steps=1))
    assert (tmp_path / name).read_text() == "mine"


def test_a_base_of_the_users_own_is_not_written_into(dataset, tmp_path):
    put(tmp_path / "base" / "config.json")
    with pytest.raises(ConfigError, match=r"holds base/config.json, which it did not write"):
        train(tiny_run(dataset, tmp_path, max_steps=1, lora_rank=2))
    assert everything(tmp_path / "base") == {"config.json"}
    train(tiny_run(dataset, tmp_path, max_steps=1, save_strategy="no"))  # which needs none
    assert (tmp_path / "base" / "config.json").read_text() == "mine"


def test_what_is_in_the_way_of_a_checkpoint_steps_aside(dataset, tmp_path, caplog):
    options = tiny_run(dataset, tmp_path, max_steps=1, save_steps=1)
    train(options)
    put(tmp_path / "checkpoint-2" / "half_copied.bin")
    with caplog.at_level(logging.WARNING, logger="rfm"):
        train(dataclasses.replace(options, max_steps=2, resume_from_checkpoint="latest"))
    assert "checkpoint-2 was not written by `rfm train` and is in its way; it is now" in caplog.text
    assert (tmp_path / "checkpoint-2.aside" / "half_copied.bin").read_text() == "mine"
    assert seal.fault(tmp_path / "checkpoint-2") is None


def test_rotation_leaves_a_checkpoint_with_a_file_of_the_users(dataset, tmp_path, caplog):
    options = tiny_run(dataset, tmp_path, max_steps=1, save_steps=1, save_total_limit=1)
    train(options)
    put(tmp_path / "checkpoint-1" / "notes.md")
    with caplog.at_level(logging.WARNING, logger="rfm"):
        train(dataclasses.replace(options, max_steps=3, resume_from_checkpoint="latest"))
    assert "notes.md was not written by `rfm train`" in caplog.text
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {"checkpoint-1", "checkpoint-3"}


def sealed(folder: Path) -> Path:
    put(folder / "model.safetensors")
    seal.seal(folder)
    return folder


def test_a_link_is_deleted_and_not_what_it_leads_to(tmp_path):
    elsewhere = sealed(tmp_path / "disk" / "checkpoint-1")
    folder = tmp_path / "run"
    sealed(folder / "checkpoint-2")
    (folder / "checkpoint-1").symlink_to(elsewhere)
    rotate(Belongings(folder), newest=2, best=None, limit=1)
    assert not (folder / "checkpoint-1").is_symlink()
    assert everything(elsewhere) == {"model.safetensors", "checkpoint_files.json"}


@pytest.mark.parametrize("text", ["", "[]", '{"written": 3}', '{"written": ["../x", "/etc", "", ".", "notes", 4]}'])
def test_a_damaged_list_owns_nothing(tmp_path, text):
    put(tmp_path / FILE_NAME, text)
    stranger = put(tmp_path / "checkpoint-4" / "x")
    own = Belongings(tmp_path)
    assert own.strangers([tmp_path / "checkpoint-4"]) == [stranger]
    assert own.noted() == []
    put(tmp_path / "notes")
    with pytest.raises(ConfigError, match="holds notes, which it did not write"):
        own.delete([tmp_path / "notes"])


def test_a_deletion_that_was_killed_is_finished(tmp_path, monkeypatch):
    folder = sealed(tmp_path / "checkpoint-1")
    own = Belongings(tmp_path)

    def killed(path):
        (folder / "checkpoint_files.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rfm.training.checkpoints.belongings.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            own.delete([folder])
    own.delete([folder])
    assert not folder.exists()
    assert own.noted() == []
