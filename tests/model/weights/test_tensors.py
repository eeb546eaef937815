"""Weights are whole, or it is an error that names file, tensor and the way out."""

import json
import logging
import shutil

import pytest
import torch
from checkpoints import random_adapter, random_checkpoint
from safetensors.torch import load_file, save_file

from rfm.batch.input_format import InputFormat
from rfm.errors import DataError
from rfm.files import seal
from rfm.model.load import load_model
from rfm.model.quantization import nf4

Q = "model.language_model.layers.0.self_attn.q_proj.weight"
A = "base_model.model.model.language_model.layers.0.mlp.down_proj.lora_A.weight"
B = A.replace("lora_A", "lora_B")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    full = random_checkpoint(folder / "full")
    return {"full": full, "adapter": random_adapter(folder / "adapter", full)}


@pytest.fixture
def changed(sound, tmp_path):
    """Copies a checkpoint without its seal, as models from elsewhere come, and changes its tensors."""

    def change(kind, edit):
        folder = tmp_path / kind
        shutil.copytree(sound[kind], folder)
        (folder / seal.FILE_NAME).unlink()
        (file,) = folder.glob("*.safetensors")
        tensors = load_file(file)
        edit(tensors)
        save_file(tensors, file, metadata={"format": "pt"})
        return folder

    return change


def shards(folder):
    load_model(folder).model.save_pretrained(str(folder), max_shard_size="500KB")
    (folder / "model.safetensors").unlink()
    return json.loads((folder / "model.safetensors.index.json").read_text())


def half(tensors):
    for name in sorted(tensors)[::2]:
        del tensors[name]


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda t: t.pop(Q), rf"{{file}} must hold the 52 tensors of its model, but lacks 1 \({Q}\); copy it again"),
        (half, r"{file} must hold the 52 tensors of its model, but lacks 2\d \("),
        (lambda t: t.clear(), r"must hold the 52 tensors of its model, but lacks 52 \(lm_head.weight, "),
        (
            lambda t: t.update({Q.replace("0", "7"): t.pop(Q)}),
            rf"lacks 1 \({Q}\) and has 1 \(.*layers.7.*\) that the model does not have",
        ),
        (
            lambda t: t.update({Q.replace("0", "7"): torch.ones(2)}),
            r"but has 1 \(.*layers.7.*\) that the model does not have",
        ),
        (
            lambda t: t.update({Q: torch.ones(3, 3)}),
            rf"{Q} in {{file}} must have the shape \(96, 96\), as config.json wants it, but has \(3, 3\)",
        ),
        (
            lambda t: t.update({Q: t[Q].to(torch.int8)}),
            rf"tensors of {{file}} must be of BF16, F16, F32, F64, but {Q} is I8",
        ),
        (
            lambda t: t[Q].view(-1)[:3].fill_(float("nan")),
            rf"weights of {{folder}} must be finite, but 3 of 9216 values of {Q} are not",
        ),
        (lambda t: t[Q].view(-1)[5:6].fill_(float("-inf")), r"must be finite, but 1 of 9216 values"),
        (lambda t: t[Q].zero_(), rf"weights of {{folder}} must not be zero throughout, but {Q} is"),
    ],
    ids=["one", "half", "all", "renamed", "more", "shape", "dtype", "nan", "inf", "zero"],
)
def test_a_full_checkpoint_is_whole(changed, edit, fault):
    folder = changed("full", edit)
    with pytest.raises(DataError, match=fault.format(file=folder / "model.safetensors", folder=folder)) as error:
        load_model(folder)
    assert str(error.value).endswith("copy it again or take another checkpoint")


def test_weights_that_become_4_bits_must_be_finite_too(tmp_path):
    pytest.importorskip("bitsandbytes", reason="4-bit weights need bitsandbytes, of the extra `quantization`")
    load_model("tiny-64", seed=1).save(tmp_path, InputFormat(32, 32))
    (tmp_path / seal.FILE_NAME).unlink()
    sound = load_file(tmp_path / "model.safetensors")
    for value in (float("nan"), float("inf")):
        tensors = {name: tensor.clone() for name, tensor in sound.items()}
        tensors[Q].view(-1)[7] = value
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(DataError, match=rf"weights of {tmp_path} must be finite, but .* values of {Q} are not"):
            load_model(tmp_path, quantization=nf4("", torch.float32))


def test_tensors_of_another_purpose_are_left_aside_with_a_word(changed, caplog):
    folder = changed("full", lambda t: t.update({"value_head.weight": torch.ones(2)}))
    with caplog.at_level(logging.WARNING):
        load_model(folder)
    assert "has 1 (value_head.weight) that the model does not have; they are left aside" in caplog.text


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda t: t.pop(B), rf"{{file}} must hold the \d+ tensors of its model, but lacks 1 \({B}\)"),
        (half, r"{file} must hold the \d+ tensors of its model, but lacks \d+ \("),
        (lambda t: t.clear(), r"{file} must hold the \d+ tensors of its model, but lacks \d+ \("),
        (
            lambda t: t.update({B: torch.ones(3, 3)}),
            rf"{B} in {{file}} must have the shape \(96, 2\), as adapter_config.json wants it, but has \(3, 3\)",
        ),
        (lambda t: t.update({B: t[B].to(torch.int32)}), rf"tensors of {{file}} must be of .*, but {B} is I32"),
        (lambda t: t[B].fill_(float("inf")), r"weights of {folder} or its base .* must be finite"),
        (lambda t: [one.zero_() for one in t.values()], r"must not be zero throughout, but .*lora_A.default.weight is"),
        (lambda t: t[A].zero_(), r"must not be zero throughout, but .*down_proj.lora_A.default.weight is"),
    ],
    ids=["one", "half", "all", "shape", "dtype", "inf", "zeros", "zero-a"],
)
def test_an_adapter_is_whole(changed, edit, fault):
    folder = changed("adapter", edit)
    with pytest.raises(DataError, match=fault.format(file=folder / "adapter_model.safetensors", folder=folder)):
        load_model(folder)


def test_an_adapter_that_was_never_trained_says_so(changed, caplog):
    folder = changed("adapter", lambda t: [t[name].zero_() for name in t if "lora_B" in name])
    with caplog.at_level(logging.WARNING):
        load_model(folder)
    assert f"the adapter in {folder} was not trained: every lora_B is zero" in caplog.text


def test_shards_are_those_of_the_index(changed):
    folder = changed("full", lambda _: None)
    index = shards(folder)
    assert load_model(folder).model is not None
    name = index["weight_map"][Q]
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"Model not found: {folder} must hold {name}, but does not"):
        load_model(folder)
    (folder / name).write_bytes(content[:-7])
    with pytest.raises(DataError, match=rf"Model not found: {folder / name} must hold weights, but can't be read"):
        load_model(folder)
    tensors = load_file(next(path for path in folder.glob("*.safetensors") if path.name != name))
    save_file(tensors, folder / name, metadata={"format": "pt"})
    with pytest.raises(DataError, match=rf"{folder / name} must hold .*, as model.safetensors.index.json says"):
        load_model(folder)
    for broken in ({}, {"weight_map": []}, {"weight_map": {Q: "../full/model.safetensors"}}, {"weight_map": {Q: 3}}):
        (folder / "model.safetensors.index.json").write_text(json.dumps(broken))
        with pytest.raises(DataError, match=r"`weight_map` of .* must name a file beside it for each tensor"):
            load_model(folder)


def test_pickled_weights_are_not_read(changed):
    folder = changed("full", lambda _: None)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"must hold model.safetensors, but does not"):
        load_model(folder)


def test_changed_bytes_are_seen_by_the_seal(sound, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(sound["full"], folder)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-9] ^= 1  # a mantissa's last bit: finite, and another model
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(DataError) as error:
        load_model(folder)
    assert str(error.value) == (
        f"{folder} must be as it was saved, but model.safetensors has other bytes than checkpoint_files.json says; "
        "copy it again or take another checkpoint. If it was changed on purpose, delete checkpoint_files.json in it to "
        "use it as it is"
    )
    (folder / seal.FILE_NAME).unlink()
    assert load_model(folder).name == str(folder)


def test_a_tokenizer_of_another_model(changed):
    folder = changed("full", lambda _: None)
    (folder / "tokenizer.json").unlink()  # transformers makes an empty one then
    with pytest.raises(DataError, match=rf"the tokenizer of {folder} (must be of its model|can't be used)"):
        load_model(folder)
