import dataclasses
import os
import subprocess
import sys

import pytest
import torch
from tiny_batches import fake_rows, tiny_collator
from torch import nn

from rfm.errors import ConfigError, MissingExtraError
from rfm.model import quantization, unsloth, unsloth_import
from rfm.model.freeze import (
    check_trainable,
    freeze_vision_tower,
    inner_model,
    parameter_groups,
    run_frozen_tower_without_graph,
)
from rfm.model.load import load_model
from rfm.model.lora import add_lora, target_modules
from rfm.model.tiny import build_tiny


@pytest.fixture
def model():
    return build_tiny(0)[0]


def trainable(model):
    return {group.name: group.trainable for group in parameter_groups(model)}


def test_freezing_keeps_the_projector(model):
    total = {group.name: group.total for group in parameter_groups(model)}
    freeze_vision_tower(model)
    check_trainable(model, frozen_tower=True)
    assert trainable(model) == {**total, "vision tower": 0}
    assert model.model.visual.merger.linear_fc1.weight.requires_grad
    assert model.model.visual.deepstack_merger_list[0].linear_fc1.weight.requires_grad


def test_an_unfrozen_tower_is_found_out(model):
    with pytest.raises(
        ConfigError, match=r"`freeze_vision_tower` must leave nothing to train in the tower, but model.visual"
    ):
        check_trainable(model, frozen_tower=True)
    model.requires_grad_(False)
    with pytest.raises(ConfigError, match="Some parameters must be trainable, but none is"):
        check_trainable(model, frozen_tower=False)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("lora", [False, True])
def test_a_frozen_tower_runs_without_a_graph_and_the_projector_learns_the_same(tmp_path, lora, checkpointing):
    loaded = load_model("tiny", seed=1)
    model = add_lora(loaded.model, rank=2, alpha=4, tower=False) if lora else loaded.model
    if not lora:
        freeze_vision_tower(model)
    if checkpointing:
        loaded.model.gradient_checkpointing_enable({"use_reentrant": False})
    batch = tiny_collator(tmp_path, loaded.tokenizer)(fake_rows(tmp_path, 2))
    visual, seen, slopes = inner_model(model).visual, [], []
    visual.patch_embed.register_forward_hook(lambda module, args, out: out.requires_grad_(True))  # the trap
    visual.blocks[0].register_forward_hook(lambda block, args, out: seen.append(out.requires_grad))
    for without in (False, True):
        assert not without or run_frozen_tower_without_graph(model)
        model.zero_grad()
        model.train()(**batch).loss.backward()
        slopes.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert (seen[0], seen[-1]) == (True, False)
    assert any("deepstack_merger_list.0" in name and slope.any() for name, slope in slopes[1].items())
    torch.testing.assert_close(slopes[1], slopes[0])


def test_a_tower_that_trains_keeps_its_graph(model):
    assert not run_frozen_tower_without_graph(model)
    assert not run_frozen_tower_without_graph(add_lora(model, rank=2, alpha=4, tower=True))


def test_adapters_have_the_type_of_the_weights(model):
    adapted = add_lora(model.bfloat16(), rank=2, alpha=4, tower=True)
    assert {parameter.dtype for parameter in adapted.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("tower", [True, False])
def test_lora_adapts_every_block_and_the_projector_unless_it_trains_whole(model, tower, whole):
    of_projector = 0 if whole else 2 * 2
    assert len(target_modules(model, tower=tower, projector=not whole)) == 2 * 7 + (4 if tower else 0) + of_projector
    adapted = add_lora(model, rank=4, alpha=8, tower=tower, whole_projector=whole)
    counts = trainable(adapted)
    assert counts["adapter"] > 0
    assert (counts["projector"] > 0) == whole
    assert counts["vision tower"] == counts["language model"] == 0
    check_trainable(adapted, frozen_tower=not tower)
    assert any("visual.blocks" in name and "lora" in name for name, _ in adapted.named_parameters()) == tower
    adapters = [name for name, _ in adapted.named_parameters() if "merger" in name and "lora_B" in name]
    assert len(adapters) == of_projector


def test_a_projector_without_linear_layers_is_an_error(model):
    model.model.visual.deepstack_merger_list[0] = nn.Identity()
    with pytest.raises(ConfigError) as caught:
        add_lora(model, rank=4, alpha=8, tower=True)
    assert str(caught.value).startswith(
        "`lora_projector` must find linear layers to adapt in the projector, but "
        "model.visual.deepstack_merger_list.0 has "
        "none that matches "
    )
    assert str(caught.value).endswith("; pass --lora_projector full to train it whole")


def test_targets_that_match_nothing_are_an_error(model):
    attention = model.model.language_model.layers[1]
    attention.self_attn, attention.mlp = nn.Identity(), nn.Identity()
    with pytest.raises(ConfigError, match=r"`lora_rank` must find layers .* block 1 of 2 has none that matches"):
        add_lora(model, rank=4, alpha=8, tower=True)


def test_quantization_names_its_extra(monkeypatch):
    monkeypatch.setattr(quantization, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rfm-vqa\[quantization\]' or drop --quantization"):
        quantization.nf4("Qwen/Qwen3-VL-4B-Instruct", torch.bfloat16)
    with pytest.raises(ConfigError, match="`quantization` must not be given with the model `tiny`"):
        quantization.nf4("tiny", torch.bfloat16)


def test_quantization_skips_the_tower_and_is_checked(monkeypatch, model):
    monkeypatch.setattr(quantization, "find_spec", lambda _: object())
    config = quantization.nf4("Qwen/Qwen3-VL-4B-Instruct", torch.bfloat16)
    assert config.llm_int8_skip_modules == ["model.visual", "lm_head"]
    assert config.bnb_4bit_quant_type == "nf4"
    with pytest.raises(ConfigError, match=r"`quantization` must turn the language model .* 0 layers are 4-bit: none"):
        quantization.check_quantized(model)


OPTIONS = unsloth.UnslothOptions(
    16, 32, quantization=True, freeze_vision_tower=True, gradient_checkpointing=True, seed=1
)


def test_unsloth_says_how_to_get_it_or_go_without(monkeypatch):
    monkeypatch.setattr(unsloth_import, "find_spec", lambda _: None)
    with pytest.raises(
        MissingExtraError, match=r"unsloth requested but not installed: pip install unsloth .* remove --use_unsloth"
    ):
        unsloth.load_unsloth("tiny", OPTIONS, dtype=torch.float32)


def test_unsloth_needs_a_gpu_and_a_model_to_load(monkeypatch):
    monkeypatch.setattr(unsloth_import, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="`use_unsloth` must run on a GPU"):
        unsloth.load_unsloth("tiny", OPTIONS, dtype=torch.float32)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="`use_unsloth` must not be given with the model `tiny`"):
        unsloth.load_unsloth("tiny", OPTIONS, dtype=torch.float32)


class FakeUnsloth:
    """Records what unsloth would be asked for, and gives the stock model."""

    calls: dict = {}  # noqa: RUF012

    @classmethod
    def from_pretrained(cls, name, **options):
        from transformers import AutoModelForImageTextToText

        cls.calls["from_pretrained"] = options
        return AutoModelForImageTextToText.from_pretrained(name), None

    @classmethod
    def get_peft_model(cls, model, **options):
        cls.calls["get_peft_model"] = options
        return model

    @staticmethod
    def for_training(model):
        return model


def test_unsloth_is_asked_for_what_the_options_say(monkeypatch, tmp_path):
    from rfm.batch.input_format import InputFormat
    from rfm.model.load import load_model

    tiny = load_model("tiny")
    tiny.model.save_pretrained(str(tmp_path))
    tiny.save_processor(tmp_path, InputFormat())
    monkeypatch.setattr(unsloth_import, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "unsloth", type("unsloth", (), {"FastVisionModel": FakeUnsloth}))
    unsloth.load_unsloth(str(tmp_path), OPTIONS, dtype=torch.float32)
    loading, adapters = FakeUnsloth.calls["from_pretrained"], FakeUnsloth.calls["get_peft_model"]
    assert (loading["load_in_4bit"], loading["full_finetuning"]) == (True, False)
    assert loading["use_gradient_checkpointing"] == "unsloth"
    assert loading["load_in_16bit"] is False
    assert loading["use_exact_model_name"] is True
    assert adapters["use_gradient_checkpointing"] == "unsloth"
    assert (adapters["r"], adapters["lora_alpha"], adapters["finetune_vision_layers"]) == (16, 32, False)
    assert adapters["modules_to_save"] == ["model.visual.merger", "model.visual.deepstack_merger_list.0"]


def test_unsloth_in_16_bits_without_checkpointing(monkeypatch, tmp_path):
    from rfm.batch.input_format import InputFormat
    from rfm.model.load import load_model

    tiny = load_model("tiny")
    tiny.model.save_pretrained(str(tmp_path))
    tiny.save_processor(tmp_path, InputFormat())
    monkeypatch.setattr(unsloth_import, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "unsloth", type("unsloth", (), {"FastVisionModel": FakeUnsloth}))
    options = dataclasses.replace(OPTIONS, quantization=False, gradient_checkpointing=False)
    unsloth.load_unsloth(str(tmp_path), options, dtype=torch.float32)
    loading, adapters = FakeUnsloth.calls["from_pretrained"], FakeUnsloth.calls["get_peft_model"]
    assert (loading["load_in_4bit"], loading["load_in_16bit"], loading["full_finetuning"]) == (False, True, False)
    assert (loading["use_gradient_checkpointing"], adapters["use_gradient_checkpointing"]) == (False, False)


def test_the_command_line_imports_unsloth_before_transformers(tmp_path):
    (tmp_path / "unsloth.py").write_text(
        "import sys\n"
        "early = [name for name in ('transformers', 'peft', 'trl') if name in sys.modules]\n"
        "raise SystemExit('too late: ' + ', '.join(early) if early else 'in time')\n"
    )
    code = (
        "import torch\ntorch.cuda.is_available = lambda: True\n"
        "from rfm.cli import main\nmain(['train', '--dataset_path', 'x', '--use_unsloth'])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.stderr.strip().endswith("in time")
