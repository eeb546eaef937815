import dataclasses
import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hub_fakes import fake_hub  # noqa: F401
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText
from vqa_fakes import fake_dataset

from rfm.batch.input_format import InputFormat
from rfm.errors import ConfigError, DataError, MissingExtraError
from rfm.evaluation.evaluate import evaluate
from rfm.evaluation.options import EvaluateOptions
from rfm.export import merge as merging
from rfm.export.merge import merge
from rfm.export.options import MergeOptions
from rfm.export.training_record import read_record, write_record
from rfm.files import seal
from rfm.files.lock import exclusive
from rfm.model import quantization
from rfm.model.load import LoadedModel, load_model
from rfm.model.lora import add_lora
from rfm.model.quantization import nf4
from rfm.model.tiny import TinySizes, build_tiny, processor_files, tiny_spec
from rfm.training.options import TrainOptions
from rfm.training.run import train
from rfm.vqa.provenance import load_hashes


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 8, episodes=3)


@pytest.fixture(scope="module")
def adapter(dataset, tmp_path_factory):
    """An adapter whose weights have moved far enough to matter."""
    options = TrainOptions(
        dataset_path=str(dataset), model_name="tiny", output_dir=str(tmp_path_factory.mktemp("run")), lora_rank=4,
        max_steps=3, learning_rate=1e-2, dataloader_num_workers=0, gradient_accumulation_steps=1, report_to="none",
        gradient_checkpointing=False, save_strategy="no", warmup_ratio=0.0,
    )  # fmt: skip
    folder = train(options)
    weights = load_file(folder / "adapter_model.safetensors")
    generator = torch.Generator().manual_seed(0)
    moved = {
        name: torch.randn(value.shape, generator=generator) * 0.05 if "lora_B" in name else value
        for name, value in weights.items()
    }
    save_file(moved, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    seal.seal(folder)
    return folder


def options(adapter: Path, output: Path, **changes) -> MergeOptions:
    return MergeOptions(**{"checkpoint": str(adapter), "output": str(output), "device": "cpu", **changes})


def test_merged_and_unmerged_agree_on_real_rows(adapter, dataset, tmp_path):
    agreement = merge(options(adapter, tmp_path / "merged"))
    assert agreement.rows == 8
    assert agreement.tokens > 8 * 3
    assert agreement.largest_difference < 1e-4 < 0.1 < agreement.largest_logit
    assert agreement.same_choice == agreement.tokens
    report = json.loads((tmp_path / "merged" / "merge.json").read_text())
    assert report["largest_difference"] == agreement.largest_difference
    assert report["dtype"] == "float32"


def test_a_merged_model_is_a_complete_checkpoint(adapter, dataset, tmp_path):
    folder = tmp_path / "merged"
    merge(options(adapter, folder))
    model = AutoModelForImageTextToText.from_pretrained(str(folder))
    assert not any("lora" in name for name, _ in model.named_parameters())
    loaded, before = load_model(folder), load_model(adapter)
    assert loaded.form == before.form
    assert read_record(folder) == read_record(adapter)
    assert load_hashes(folder).tolist() == load_hashes(adapter).tolist()
    for name in ("tokenizer.json", "video_preprocessor_config.json", "chat_template.jinja", "README.md"):
        assert (folder / name).is_file()
    results = tmp_path / "results.json"
    assert evaluate(EvaluateOptions(str(folder), str(dataset), str(results), device="cpu")) == 0
    assert json.loads(results.read_text())["total_samples"] == 8


def test_merging_in_bfloat16_passes_and_says_how_far_apart_they_are(adapter, tmp_path):
    agreement = merge(options(adapter, tmp_path / "merged", dtype="bfloat16"))
    assert 0 < agreement.relative < 0.05
    weights = load_file(tmp_path / "merged" / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}


def test_a_merge_that_answers_differently_leaves_nothing(adapter, tmp_path, monkeypatch):
    from peft import PeftModel

    def forgetful(self, **_):
        return self.unload()

    monkeypatch.setattr(PeftModel, "merge_and_unload", forgetful, raising=False)
    with pytest.raises(DataError, match=r"the merged model must give the logits of the adapter .* nothing was written"):
        merge(options(adapter, tmp_path / "merged"))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_merged_is_said(adapter, dataset, tmp_path):
    merge(options(adapter, tmp_path / "merged", num_rows=1))
    with pytest.raises(
        DataError, match=r"`checkpoint` must be the folder of an adapter, but .* is a full model already"
    ):
        merge(options(tmp_path / "merged", tmp_path / "again"))
    with pytest.raises(DataError, match=r"`checkpoint` must be the folder .* has no adapter_config.json"):
        merge(options(tmp_path, tmp_path / "again"))
    with pytest.raises(ConfigError, match=r"`output` .*merged exists; add --overwrite"):
        merge(options(adapter, tmp_path / "merged"))
    with pytest.raises(ConfigError, match=r"`output` must be free or a merged model, but .* is none; name another"):
        merge(options(adapter, adapter, overwrite=True))
    (tmp_path / "merged" / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match=r"but .*merged holds thesis.tex, which is no part of one and is not deleted"):
        merge(options(adapter, tmp_path / "merged", num_rows=1, overwrite=True))
    (tmp_path / "merged" / "thesis.tex").unlink()
    merge(options(adapter, tmp_path / "merged", num_rows=1, overwrite=True))
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_the_same_merge_again_is_complete_and_another_one_is_refused(adapter, dataset, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    made = options(adapter, tmp_path / "merged", num_rows=2)
    agreement = merge(made)
    files = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "merged").iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(merging, "load_model", None)
        assert merge(made) == agreement
        assert merging.export_merge(dataclasses.replace(made, dtype="float32", device="cuda")) == 0
    assert f"{tmp_path / 'merged'} is complete" in caplog.text
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "merged").iterdir()} == files
    moved = shutil.copytree(adapter, tmp_path / "moved" / "final")
    shutil.copytree(adapter.parent / "base", tmp_path / "moved" / "base")
    weights = load_file(moved / "adapter_model.safetensors")
    save_file(
        {name: 2 * value for name, value in weights.items()}, moved / "adapter_model.safetensors", {"format": "pt"}
    )
    seal.seal(moved)
    for other in ({"num_rows": 1}, {"tolerance": 0.5}, {"dtype": "bfloat16"}, {"checkpoint": str(moved)}):
        with pytest.raises(ConfigError, match=r"`output` .*merged exists; add --overwrite to replace it"):
            merge(dataclasses.replace(made, **other))
    merge(dataclasses.replace(made, num_rows=1, overwrite=True))
    assert json.loads((tmp_path / "merged" / "merge.json").read_text())["rows"] == 1


def test_a_merge_that_was_damaged_is_not_complete(adapter, tmp_path):
    made = options(adapter, tmp_path / "merged", num_rows=1)
    merge(made)
    (tmp_path / "merged" / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"`output` .*merged exists; add --overwrite to replace it"):
        merge(made)


def test_a_second_merge_is_refused_before_its_work_and_leftovers_are_cleared(adapter, tmp_path, monkeypatch):
    leftover = tmp_path / ".merged.partial"
    leftover.mkdir()
    (leftover / "model.safetensors").write_text("of a run that was killed")
    with exclusive(leftover, wait=False), monkeypatch.context() as patch:
        patch.setattr(merging, "load_model", None)
        with pytest.raises(ConfigError, match=r"must have one writer at a time, but another process is writing it"):
            merge(options(adapter, tmp_path / "merged"))
    merge(options(adapter, tmp_path / "merged", num_rows=1))
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_rows_to_verify_on_must_be_known(adapter, dataset, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for path in adapter.iterdir():
        if path.name != "training_data.json":
            (copy / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ConfigError, match=r"`dataset` must name rows to verify on: .* pass --dataset"):
        merge(options(copy, tmp_path / "merged"))
    assert merge(options(copy, tmp_path / "merged", dataset=str(dataset), num_rows=2)).rows == 2


def test_a_merged_model_can_be_uploaded(adapter, tmp_path, fake_hub):  # noqa: F811
    made = options(adapter, tmp_path / "merged", num_rows=1, push_to_hub=True, hub_model_id="me/merged")
    merge(made)
    assert {"model.safetensors", "config.json", "rfm_config.json", "README.md"} <= set(fake_hub.files["me/merged"])
    assert "made_from.json" not in fake_hub.files["me/merged"]
    fake_hub.files.clear()
    merge(made)  # an upload that failed is made up for
    assert "model.safetensors" in fake_hub.files["me/merged"]
    with pytest.raises(ConfigError, match="`hub_model_id` must come with `push_to_hub`"):
        dataclasses.replace(made, push_to_hub=False)


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_an_adapter_on_4_bit_weights_is_merged_into_those(dataset, tmp_path, monkeypatch):
    # in float32 on every processor: where one has products in bfloat16, bitsandbytes takes them
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False, raising=False)
    sizes = TinySizes(text_width=128, text_mlp=320)  # bitsandbytes needs multiples of 64
    model, tokenizer = build_tiny(0, [], sizes)
    base, folder = tmp_path / "base", tmp_path / "adapter"
    model.save_pretrained(str(base))
    spec = tiny_spec(sizes)
    processor = LoadedModel(None, tokenizer, spec, "", None, processor_files(spec))
    processor.save_processor(base, InputFormat(32, 32))
    adapted = add_lora(load_model(base, quantization=nf4("", torch.float32)).model, rank=4, alpha=8, tower=True)
    generator = torch.Generator().manual_seed(0)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.05
    adapted.save_pretrained(str(folder))
    processor.save_processor(folder, InputFormat(32, 32))
    write_record(folder, {}, str(dataset), 8, {})
    quantization.mark_quantized(folder)
    agreement = merge(options(folder, tmp_path / "merged"))
    assert agreement.relative < 1e-3
    assert "quantization_config" not in json.loads((tmp_path / "merged" / "config.json").read_text())
    (folder / quantization.FILE).unlink()  # the original weights are another model
    other = merge(options(folder, tmp_path / "other"))
    assert other.largest_difference < 1e-4
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("merged", "other"))
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    assert (one[name] - two[name]).abs().max() > 1e-3


def test_without_bitsandbytes_a_4_bit_adapter_says_what_it_needs(adapter, dataset, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(adapter, copy)
    shutil.copytree(adapter.parent / "base", tmp_path / "base")
    write_record(copy, {}, str(dataset), 8, {})
    quantization.mark_quantized(copy)
    monkeypatch.setattr(quantization, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="`quantization` needs bitsandbytes, which is not installed"):
        merge(options(copy, tmp_path / "merged"))
