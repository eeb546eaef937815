"""An adapter finds the base model it was trained on, from any working directory, or none."""

import json
import logging
import shutil

import pytest
import torch
from checkpoints import random_adapter, random_checkpoint

from rfm.errors import ConfigError, DataError
from rfm.model.load import load_model
from rfm.model.weights.base import BASE_FOLDER, FILE, base_of
from rfm.model.weights.fingerprint import folder_fingerprint, model_fingerprint

NAMED = "base_model_name_or_path"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory in which an adapter was made on the base `mem/final`, by that relative name."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    random_checkpoint(home / "mem" / "final")
    random_adapter(home / "out" / "final", "mem/final")
    return home


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Another working directory, with another model under the same relative name."""
    place = tmp_path / "elsewhere"
    random_checkpoint(place / "mem" / "final", seed=9)
    monkeypatch.chdir(place)
    return place


def first_weight(loaded):
    return loaded.model.get_base_model().model.language_model.embed_tokens.weight


def test_another_working_directory_finds_the_same_base(home, elsewhere):
    loaded = load_model(home / "out" / "final")
    assert loaded.base == str(home / "mem" / "final")
    assert torch.equal(first_weight(loaded), load_model(home / "mem" / "final").model.get_input_embeddings().weight)
    assert json.loads((home / "out" / "final" / "adapter_config.json").read_text())[NAMED] == loaded.base


def test_a_base_of_other_content_is_an_error_that_names_both(home, elsewhere):
    adapter, base = home / "out" / "final", home / "mem" / "final"
    was = folder_fingerprint(base)
    shutil.rmtree(base)
    shutil.copytree(elsewhere / "mem" / "final", base)
    with pytest.raises(DataError) as error:
        load_model(adapter)
    assert str(error.value) == (
        f"the adapter in {adapter} must have the base model that it was trained on, of the fingerprint {was}, but "
        f"{base} has {folder_fingerprint(base)}; put that base back, or pass --base_model to take another one"
    )
    shutil.rmtree(base)
    with pytest.raises(DataError, match=r"Model not found: the adapter in .* needs its base model .*with --base_model"):
        load_model(adapter)


def test_a_moved_run_finds_its_base_beside_it_whatever_lies_at_the_old_place(home, tmp_path):
    shutil.move(home / "mem" / "final", home / "out" / BASE_FOLDER)
    random_checkpoint(home / "mem" / "final", seed=9)
    (home / "out").rename(tmp_path / "moved")
    assert load_model(tmp_path / "moved" / "final").base == str(tmp_path / "moved" / BASE_FOLDER)


def test_a_base_that_is_named_stands_above_the_record(home, elsewhere, caplog):
    adapter = home / "out" / "final"
    with caplog.at_level(logging.WARNING):
        other = load_model(adapter, base_model="mem/final")
    assert other.base == str(elsewhere / "mem" / "final")
    assert f"{other.base} has the fingerprint {folder_fingerprint(elsewhere / 'mem' / 'final')}, but" in caplog.text
    caplog.clear()
    right = load_model(adapter, base_model=str(home / "mem" / "final"))
    assert [record for record in caplog.records if record.name.startswith("rfm")] == []
    assert model_fingerprint(right.name, right.base) != model_fingerprint(other.name, other.base)
    with pytest.raises(ConfigError, match=r"`base_model` must be given with an adapter, but .*mem/final is none"):
        load_model(home / "mem" / "final", base_model="mem/final")
    with pytest.raises(ConfigError, match="`base_model` must be given with an adapter, but tiny is none; leave it out"):
        load_model("tiny", base_model="mem/final")


def test_an_adapter_of_other_tools_says_which_folder_is_taken(home, caplog):
    adapter = home / "out" / "final"
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, NAMED: "mem/final"}))
    (adapter / FILE).unlink()
    with caplog.at_level(logging.WARNING):
        assert base_of(adapter) == str(home / "mem" / "final")
    assert "names its base model 'mem/final' and no fingerprint" in caplog.text


@pytest.mark.parametrize(
    ("file", "content", "fault"),
    [
        ("adapter_config.json", {NAMED: 5}, r"`base_model_name_or_path` in .* must be a name, but is 5"),
        (FILE, {"fingerprint": ["x"]}, r"`fingerprint` in .*base_model.json must be a text, but is \['x'\]"),
        (FILE, {}, r"`fingerprint` in .*base_model.json must be a text, but is None"),
    ],
)
def test_damaged_records(home, file, content, fault):
    (home / "out" / "final" / file).write_text(json.dumps(content))
    with pytest.raises(DataError, match=fault):
        base_of(home / "out" / "final")


def test_a_base_of_the_hub_is_pinned_to_its_commit(home):
    adapter = home / "out" / "final"
    (adapter / FILE).write_text(json.dumps({"fingerprint": "Qwen/Qwen3-VL-4B-Instruct@0123abc"}))
    assert base_of(adapter) == "Qwen/Qwen3-VL-4B-Instruct@0123abc"
    (home / "Qwen" / "Qwen3-VL-4B-Instruct").mkdir(parents=True)
    with pytest.raises(DataError, match=r"must have the base model .*@0123abc of the hub, but .* is a folder of that"):
        base_of(adapter)
