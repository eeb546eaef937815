import json

import pytest
from transformers import GPT2Config

from rfm.batch.input_format import InputFormat
from rfm.errors import ConfigError, DataError
from rfm.model.load import load_model
from rfm.model.lora import add_lora


def test_a_missing_folder_names_what_is_there(tmp_path):
    for name in ("final", "checkpoint-5", "checkpoint-10", "runs"):
        (tmp_path / name).mkdir()
    with pytest.raises(
        DataError, match=r"Model not found: .*/last is not a folder; .* has checkpoint-10, checkpoint-5, final"
    ):
        load_model(tmp_path / "last")


def test_the_folder_of_a_run_is_no_checkpoint(tmp_path):
    (tmp_path / "final").mkdir()
    with pytest.raises(
        DataError, match=r"Model not found: .* holds neither config.json .* has final: pass for example .*final"
    ):
        load_model(tmp_path)


def test_a_name_that_no_hub_gives(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="Model not found: nobody/no-such-model is neither a folder here nor a model"):
        load_model("nobody/no-such-model")


def test_other_model_types_are_refused(tmp_path):
    GPT2Config().save_pretrained(str(tmp_path))
    with pytest.raises(ConfigError, match=r"`model_name` must be a model of type .*qwen3_vl.* but is of type 'gpt2'"):
        load_model(tmp_path)


@pytest.fixture
def adapter(tmp_path):
    loaded = load_model("tiny")
    base, folder = tmp_path / "run" / "base", tmp_path / "run" / "final"
    loaded.model.save_pretrained(str(base))
    loaded.save_processor(base, InputFormat(32, 32))
    model = add_lora(load_model(base).model, rank=2, alpha=4, tower=True)
    model.save_pretrained(str(folder))
    loaded.save_processor(folder, InputFormat(64, 64))
    return folder


def test_an_adapter_brings_its_base_along(adapter):
    loaded = load_model(adapter)
    assert type(loaded.model).__name__ == "PeftModelForCausalLM"
    assert loaded.form == InputFormat(64, 64)


def test_a_moved_run_finds_its_base_beside_the_adapter(adapter, tmp_path):
    adapter.parent.rename(tmp_path / "moved")
    assert load_model(tmp_path / "moved" / "final").name.endswith("final")


def test_an_adapter_without_its_base(adapter):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": "/gone/base"}))
    (adapter.parent / "base").rename(adapter.parent / "elsewhere")
    with pytest.raises(DataError, match=r"Model not found: the adapter in .* needs its base model '/gone/base'"):
        load_model(adapter)
