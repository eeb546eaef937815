"""Models of the package, by name, wherever a model is named."""

import time
from pathlib import Path

import pytest

from rfm.errors import DataError
from rfm.evaluation.options import EvaluateOptions
from rfm.export.options import CardOptions, HubOptions, MergeOptions
from rfm.model.load import load_model
from rfm.model.shipped import SHIPPED, resolved
from rfm.model.weights.fingerprint import model_fingerprint
from rfm.scoring.relabelling.options import RelabelOptions
from rfm.training.check import CheckOptions
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


def test_it_loads_in_less_than_two_seconds_and_is_what_was_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    load_model("tiny")  # what is imported at first use is no part of loading
    started = time.process_time()
    loaded = load_model(NAME)
    assert time.process_time() - started < 2
    assert loaded.name == resolved(NAME)
    assert loaded.form is not None
    assert loaded.model.config.text_config.head_dim in (32, 64)  # what servers take
    assert len(model_fingerprint(loaded.name)) == 32


def test_a_name_that_is_nearly_one_is_no_model():
    with pytest.raises(DataError, match="Model not found"):
        load_model("./metaworld-small")


def test_no_path_of_the_machine_that_trained_it_is_in_it():
    for path in Path(resolved(NAME)).iterdir():
        assert b"/tmp/" not in path.read_bytes(), path
        assert b"/root/" not in path.read_bytes(), path
