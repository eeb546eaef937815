import json

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer, Qwen3VLForConditionalGeneration

from rfm.batch.input_format import InputFormat
from rfm.model.load import load_model
from rfm.model.stock.preprocessing import read_spec
from rfm.model.tiny import build_tiny, tiny_spec
from rfm.model.tiny_tokenizer import VOCABULARY, build_tokenizer


def test_it_is_the_stock_architecture_of_modest_size():
    model, tokenizer = build_tiny(0)
    assert type(model) is Qwen3VLForConditionalGeneration
    assert 300_000 <= sum(parameter.numel() for parameter in model.parameters()) <= 3_000_000
    assert len(model.model.visual.deepstack_merger_list) == 1
    assert len(tokenizer) <= VOCABULARY


def test_weights_are_a_function_of_the_seed():
    state = torch.random.get_rng_state()
    first, second, other = (build_tiny(seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])
    assert first["model.language_model.layers.0.mlp.up_proj.weight"].std().item() == pytest.approx(0.04, rel=0.05)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_texts_are_learnt_without_growing_past_the_limit():
    text = "unscrew the turquoise jar above the conveyor and polish its lid"
    many = [f"{text} number {index} {chr(97 + index % 26) * 9}" for index in range(300)]
    tokenizer, plain = build_tokenizer(many), build_tokenizer()
    assert len(tokenizer) <= VOCABULARY
    assert len(tokenizer(text).input_ids) < len(plain(text).input_ids)
    assert build_tokenizer(many).get_vocab() == tokenizer.get_vocab()
    assert tokenizer.decode(tokenizer("any bytes: ü 漢 \t").input_ids) == "any bytes: ü 漢 \t"


def test_what_is_saved_loads_with_stock_classes(tmp_path):
    loaded = load_model("tiny", seed=3)
    loaded.model.save_pretrained(str(tmp_path))
    loaded.save_processor(tmp_path, InputFormat(32, 32))
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        again = AutoModelForImageTextToText.from_pretrained(str(tmp_path))
        assert torch.equal(again(input_ids=ids).logits, loaded.model(input_ids=ids).logits)
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path))
    assert tokenizer("ANS: 100<|im_end|>").input_ids == loaded.tokenizer("ANS: 100<|im_end|>").input_ids
    assert tokenizer.chat_template == loaded.processor_files["chat_template.jinja"]
    assert read_spec(str(tmp_path), again.config) == tiny_spec()


def test_processor_files_name_the_stock_classes():
    files = load_model("tiny").processor_files
    image, video = (json.loads(files[f"{name}preprocessor_config.json"]) for name in ("", "video_"))
    assert image["image_processor_type"] == "Qwen2VLImageProcessor"
    assert video["video_processor_type"] == "Qwen3VLVideoProcessor"
    assert image["processor_class"] == video["processor_class"] == "Qwen3VLProcessor"
    assert video["do_sample_frames"] is False


def test_both_templates_write_the_same_text():
    from qwen_stock import QWEN3_TEMPLATE, render

    from rfm.model.stock.preprocessing import unnest
    from rfm.model.tiny_tokenizer import CHAT_TEMPLATE

    content = [
        {"type": "text", "text": "Video 1:"},
        {"type": "video"},
        {"type": "image"},
        {"type": "text", "text": "go"},
    ]
    assert render(CHAT_TEMPLATE, content) == render(unnest(QWEN3_TEMPLATE), content)
    assert "<|vision_start|><|video_pad|>" not in render(CHAT_TEMPLATE, content)
