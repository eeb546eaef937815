"""Models of the package, by name, wherever a model is named."""

import json
from pathlib import Path

import pytest
from checkpoints import random_adapter
from vqa_fakes import fake_dataset

from rfm.cli import run_command
from rfm.errors import DataError
from rfm.evaluation.options import EvaluateOptions
from rfm.export.options import CardOptions, HubOptions, MergeOptions
from rfm.model.load import load_model
from rfm.model.shipped import SHIPPED, called, resolved
from rfm.model.weights.fingerprint import model_fingerprint
from rfm.scoring.relabelling.options import RelabelOptions
from rfm.training.check_options import CheckOptions
from rfm.training.options import TrainOptions

NAME = "metaworld-small"


def test_a_shipped_name_is_a_folder_of_the_package_and_any_other_name_is_as_it_was():
    folder = Path(resolved(NAME))
    assert (folder / "model.safetensors").stat().st_size <= 6_000_000
    for other in ("tiny", "me/metaworld-small", f"./{NAME}", "Metaworld-Small"):
        assert resolved(other) == other
    assert SHIPPED == (NAME,)


def test_every_option_that_names_a_model_takes_the_name():
    folder = resolved(NAME)
    assert TrainOptions(dataset_path="d", model_name=NAME).model_name == folder
    assert CheckOptions(model_name=NAME).model_name == folder
    evaluated = EvaluateOptions(model_path=NAME, dataset_path="d")
    assert evaluated.model_path == folder
    served = EvaluateOptions(model_path=NAME, dataset_path="d", engine="openai", base_url="http://localhost:1/v1")
    assert served.model_path == NAME  # as the server calls it
    assert MergeOptions(checkpoint="adapter", output="o", base_model=NAME).base_model == folder
    assert CardOptions(checkpoint=NAME).checkpoint == folder
    assert HubOptions(checkpoint=NAME, hub_model_id="me/mine").checkpoint == folder
    assert RelabelOptions(path="d", output="o", model_path=NAME).model_path == folder


def test_it_loads_from_anywhere_and_is_what_was_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_model(NAME)
    assert loaded.name == resolved(NAME)
    assert loaded.form is not None
    assert loaded.model.config.text_config.head_dim in (32, 64)  # what servers take
    assert len(model_fingerprint(loaded.name)) == 32


def test_what_is_written_calls_it_by_its_name_and_not_by_its_folder_here(tmp_path: Path, capsys):
    assert called(resolved(NAME)) == NAME
    assert called(str(tmp_path)) == str(tmp_path)
    dataset = fake_dataset(tmp_path, 2, episodes=2)
    output = tmp_path / "results.json"
    words = ["--model_path", NAME, "--dataset_path", str(dataset), "--output_path", str(output), "--device", "cpu"]
    for _ in range(2):  # the second goes on with the first
        assert run_command(("evaluate",), words, "rfm evaluate") == 0
        assert json.loads(output.read_text())["model_path"] == NAME
    assert resolved(NAME) not in output.read_text()


def test_an_adapter_of_it_finds_it_where_another_machine_has_it(tmp_path: Path):
    adapter = random_adapter(tmp_path / "adapter", resolved(NAME))
    (adapter / "checkpoint_files.json").unlink()  # what is saved elsewhere names a folder there
    recorded = json.loads((adapter / "adapter_config.json").read_text())
    recorded["base_model_name_or_path"] = "/another/machine/metaworld-small"
    (adapter / "adapter_config.json").write_text(json.dumps(recorded))
    assert load_model(adapter).base == resolved(NAME)
    fingerprint = {"fingerprint": "0" * 32}
    (adapter / "base_model.json").write_text(json.dumps(fingerprint))
    with pytest.raises(DataError, match="needs its base model"):
        load_model(adapter)


def test_a_name_that_is_nearly_one_is_no_model():
    with pytest.raises(DataError, match="Model not found"):
        load_model("./metaworld-small")


def test_no_path_of_the_machine_that_trained_it_is_in_it():
    for path in Path(resolved(NAME)).iterdir():
        assert b"/tmp/" not in path.read_bytes(), path
        assert b"/root/" not in path.read_bytes(), path


def test_a_server_that_calls_a_model_by_the_shipped_name_is_sent_what_that_was_trained_on():
    served = EvaluateOptions(NAME, "rows", engine="openai", base_url="http://127.0.0.1:1/v1")
    assert (served.model_path, served.input_format) == (NAME, resolved(NAME))
    other = EvaluateOptions("mine", "rows", engine="openai", base_url="http://127.0.0.1:1/v1")
    assert (other.model_path, other.input_format) == ("mine", None)
    named = EvaluateOptions(NAME, "rows", engine="openai", base_url="http://127.0.0.1:1/v1", input_format="run/final")
    assert named.input_format == "run/final"
