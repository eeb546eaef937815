from dataclasses import dataclass

import numpy as np
import pytest
import torch
from qwen_stock import qwen_tokenizer
from transformers import (
    AttentionInterface,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from vqa_fakes import indices, preference_row, row, write_frames

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.pictures.patches import VisionSpec
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.errors import DataError
from rfm.inference.answering.answer_tree import answer_tree
from rfm.inference.answering.scored import answer_distribution, answer_log_probabilities
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.tiny import TinySizes, build_tiny, tiny_config, tiny_spec

QWEN2_5 = VisionSpec("qwen2_5_vl", 8, 2, 2, (0.5,) * 3, (0.5,) * 3, 10**6, 10**6, tokens_per_second=2.0)


@dataclass
class Subject:
    model: object
    encoder: ConversationEncoder
    spec: VisionSpec


def widened(model, factor):
    with torch.no_grad():  # wide weights make answers far from equally likely
        for parameter in model.parameters():
            parameter.mul_(factor if parameter.ndim > 1 else 1)
    return model.eval()


def qwen2_5(tokenizer):
    ids = tokenizer.convert_tokens_to_ids
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "vocab_size": len(tokenizer), "initializer_range": 0.2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]}}  # fmt: skip
    vision = {"depth": 1, "hidden_size": 32, "num_heads": 2, "intermediate_size": 32, "out_hidden_size": 32,
              "patch_size": 8, "tokens_per_second": 2, "fullatt_block_indexes": [0], "window_size": 32}  # fmt: skip
    pads = {"image_token_id": ids("<|image_pad|>"), "video_token_id": ids("<|video_pad|>")}
    torch.manual_seed(1)
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision, **pads))


def qwen3_with_the_real_vocabulary():
    torch.manual_seed(2)
    sizes = TinySizes(text_width=48, text_heads=4, text_depth=2, std=0.1)
    return Qwen3VLForConditionalGeneration(tiny_config(qwen_tokenizer(), sizes))


@pytest.fixture(scope="module", params=["qwen3", "qwen2_5", "real vocabulary"])
def subject(request):
    model, tokenizer = build_tiny(5)
    spec = tiny_spec()
    if request.param == "qwen2_5":
        model, spec = qwen2_5(tokenizer), QWEN2_5
    elif request.param == "real vocabulary":
        model, tokenizer = qwen3_with_the_real_vocabulary(), qwen_tokenizer()
    accept_uint8(model, spec)
    return Subject(widened(model, 4 if request.param == "qwen3" else 1), ConversationEncoder(tokenizer, spec), spec)


@pytest.fixture(scope="module")
def qwen3():
    model, tokenizer = build_tiny(5)
    accept_uint8(model, tiny_spec())
    return Subject(widened(model, 4), ConversationEncoder(tokenizer, tiny_spec()), tiny_spec())


def collator(subject, root, images=False):
    form = InputFormat(32, 32, use_multi_image=images)
    return VQACollator(subject.encoder, FrameStore(root, subject.spec, form), with_answers=False)


def progress_rows(root):
    """Rows of different lengths, so that a batch has padding."""
    paths = write_frames(root, 2)
    prompts = ("How far?", "How far has the robot got, from 0 to 100? ANS: 7", "?")
    return [
        row("progress", "5", prompt, clip=(path, indices(end, shown)))
        for prompt, path, end, shown in zip(prompts, (*paths, paths[0]), (15, 9, 4), (4, 2, 6), strict=True)
    ]


def written_out(subject, made, one, answers, *, end):
    """log P(answer) by a forward of each whole string; strings of one length form a batch without padding."""
    encoder = subject.encoder
    logs = {}
    for length in (1, 2, 3):
        some = [answer for answer in answers if len(str(answer)) == length]
        if some:
            batch = made([one] * len(some))
            ids = torch.tensor([encoder.answer_ids(str(answer)) for answer in some])
            batch["input_ids"] = torch.cat([batch["input_ids"], ids], dim=1)
            batch["attention_mask"] = torch.ones_like(batch["input_ids"])
            steps = torch.arange(1, ids.shape[1] + 1)
            last = batch["position_ids"][:, :, -1:]
            batch["position_ids"] = torch.cat([batch["position_ids"], last + steps], dim=2)
            with torch.no_grad():
                logits = subject.model(**batch, logits_to_keep=ids.shape[1] + 1).logits[:, :-1]
            each = logits.log_softmax(dim=2).gather(2, ids[:, :, None])[:, :, 0]
            scored = each[:, -(length + 1) :] if end else each[:, -(length + 1) : -1]
            logs |= dict(zip(some, scored.sum(dim=1).tolist(), strict=True))
    return np.array([logs[answer] for answer in answers])


@pytest.mark.parametrize("images", [False, True])
def test_scores_equal_writing_out_all_101_strings(subject, tmp_path, images):
    rows, made = progress_rows(tmp_path), collator(subject, tmp_path, images)
    tree = answer_tree(subject.encoder, "progress")
    assert (tree.nodes, tree.answers) == (101, tuple(range(101)))
    logs = answer_log_probabilities(subject.model, made(rows), tree)
    for one, scored in zip(rows, logs, strict=True):
        expected = written_out(subject, made, one, tree.answers, end=True)
        assert np.abs(np.exp(scored.numpy()) - np.exp(expected)).max() < 1e-5
        assert np.abs(scored.numpy() - expected).max() < 1e-4
    assert np.ptp(logs.numpy(), axis=1).min() > 1  # the answers are told apart


@pytest.mark.parametrize("kind", ["preference", "discrete"])
def test_short_answers_are_read_at_one_position(subject, tmp_path, kind):
    made = collator(subject, tmp_path)
    rng = np.random.default_rng(0)
    rows = progress_rows(tmp_path)
    if kind == "preference":
        rows = [preference_row([one["npz_path"] for one in rows], rng) for _ in range(3)]
    tree = answer_tree(subject.encoder, rows[0]["sample_type"], discrete=kind == "discrete")
    assert tree.nodes == 0
    assert tree.answers == ((1, 2) if kind == "preference" else (1, 2, 3, 4, 5))
    logs = answer_log_probabilities(subject.model, made(rows), tree)
    for one, scored in zip(rows, logs, strict=True):
        expected = written_out(subject, made, one, tree.answers, end=False)
        assert np.abs(scored.numpy() - expected).max() < 1e-4


def test_probabilities_do_not_depend_on_the_batch(qwen3, tmp_path):
    rows, made = progress_rows(tmp_path), collator(qwen3, tmp_path)
    tree = answer_tree(qwen3.encoder, "progress")
    together = answer_distribution(qwen3.model, made(rows), tree)
    alone = [answer_distribution(qwen3.model, made([one]), tree) for one in rows]
    assert np.abs(together.probabilities - np.concatenate([one.probabilities for one in alone])).max() < 1e-5
    assert together.probabilities.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-12)
    assert ((together.leftover > 0) & (together.leftover < 1)).all()


def without_a_mask(module, query, key, value, attention_mask, **options):
    """Flash attention as far as masks go: causal, and it takes none."""
    assert attention_mask is None
    return sdpa_attention_forward(module, query, key, value, None, **options)


@pytest.mark.parametrize("attention", ["eager", "without_a_mask"])
def test_attention_that_takes_no_mask_is_replaced_for_the_tree(qwen3, tmp_path, attention):
    AttentionInterface.register("without_a_mask", without_a_mask)
    batch, tree = collator(qwen3, tmp_path)(progress_rows(tmp_path)[:1]), answer_tree(qwen3.encoder, "progress")
    expected = answer_log_probabilities(qwen3.model, batch, tree)
    language = qwen3.model.get_decoder().config
    language._attn_implementation = attention
    try:
        scored = answer_log_probabilities(qwen3.model, batch, tree)
        assert language._attn_implementation == attention
    finally:
        language._attn_implementation = "sdpa"
    torch.testing.assert_close(scored, expected, rtol=0, atol=1e-4)


def test_a_model_in_training_scores_the_same_and_stays_in_training(qwen3, tmp_path):
    batch, tree = collator(qwen3, tmp_path)(progress_rows(tmp_path)), answer_tree(qwen3.encoder, "progress")
    expected = answer_log_probabilities(qwen3.model, batch, tree)
    qwen3.model.train()
    qwen3.model.model.visual.eval()
    qwen3.model.gradient_checkpointing_enable()
    try:
        logs = answer_log_probabilities(qwen3.model, {**batch, "labels": batch["input_ids"]}, tree)
        assert (qwen3.model.training, qwen3.model.model.visual.training) == (True, False)
    finally:
        qwen3.model.gradient_checkpointing_disable()
        qwen3.model.eval()
    torch.testing.assert_close(logs, expected, rtol=0, atol=1e-4)
    assert not logs.requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_stays_finite(tmp_path, dtype):
    model, tokenizer = build_tiny(5)
    accept_uint8(model, tiny_spec())
    subject = Subject(model.eval().to(dtype), ConversationEncoder(tokenizer, tiny_spec()), tiny_spec())
    rows, made = progress_rows(tmp_path), collator(subject, tmp_path)
    exact = answer_distribution(build_and_accept(5), made(rows), answer_tree(subject.encoder, "progress"))
    rounded = answer_distribution(model, made(rows), answer_tree(subject.encoder, "progress"))
    assert np.isfinite(rounded.probabilities).all()
    assert np.abs(rounded.probabilities - exact.probabilities).max() < 0.01


def build_and_accept(seed):
    model, _ = build_tiny(seed)
    accept_uint8(model, tiny_spec())
    return model


def test_an_adapter_scores_like_its_base(qwen3, tmp_path):
    from peft import LoraConfig, get_peft_model

    batch, tree = collator(qwen3, tmp_path)(progress_rows(tmp_path)), answer_tree(qwen3.encoder, "progress")
    expected = answer_log_probabilities(qwen3.model, batch, tree)
    model = get_peft_model(qwen3.model, LoraConfig(target_modules=["q_proj"]))
    try:
        torch.testing.assert_close(answer_log_probabilities(model, batch, tree), expected, rtol=0, atol=1e-4)
    finally:
        model.unload()


def test_a_tokenizer_that_joins_prefix_and_answer_is_refused(qwen3, monkeypatch):
    monkeypatch.setattr(qwen3.encoder, "text_ids", lambda text: tuple(text.encode()[:5]) if len(text) < 6 else (1, 2))
    with pytest.raises(DataError) as caught:
        answer_tree(qwen3.encoder, "preference")
    assert str(caught.value) == (
        "The tokenizer must keep 'ANS: ' and an answer apart, but joins them: answers can't be scored; "
        "take --decoding greedy"
    )
