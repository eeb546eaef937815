import pytest
import torch
from tiny_batches import fake_rows, tiny_collator
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from rfm.model.kernels import attention
from rfm.model.kernels.attention import attend, segment_ends, use_packed_segments
from rfm.model.load import load_model
from rfm.model.lora import add_lora

torch.set_num_threads(1)


def heads(count, length, width=16, seed=0):
    return torch.randn(1, count, length, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [(6, 6, 6), (3, 5, 3, 1), (9,)])
def test_segments_do_not_see_each_other(causal, lengths):
    query, key, value = heads(4, sum(lengths)), heads(2, sum(lengths), seed=1), heads(2, sum(lengths), seed=2)
    ends = torch.tensor([0, *lengths]).cumsum(0).int()
    parts = [tensor.split(lengths, dim=2) for tensor in (query, key, value)]
    alone = [
        scaled_dot_product_attention(q, k, v, is_causal=causal, scale=0.3, enable_gqa=True)
        for q, k, v in zip(*parts, strict=True)
    ]
    expected = torch.cat(alone, dim=2).transpose(1, 2)
    for longest in (None, max(lengths)):
        together = attend(query, key, value, ends, longest, scaling=0.3, causal=causal)
        torch.testing.assert_close(together, expected)


def test_equal_segments_are_seen_without_asking_for_their_lengths(monkeypatch):
    monkeypatch.setattr(attention, "_by_length", None)
    query = heads(4, 12)
    attend(query, query, query, torch.tensor([0, 4, 8, 12]), 4, scaling=0.3)


@pytest.mark.skipif(attention.VARLEN is None, reason="needs a torch with variable-length attention")
def test_the_kernel_of_gpus_gets_what_it_takes(monkeypatch):
    """Its shapes are checked without a GPU, forward and backward; its values in test_gpu.py."""
    monkeypatch.setattr(attention, "_varlen", lambda query: attention.VARLEN)
    shapes = ((1, 8, 10, 64), (1, 2, 10, 64), (1, 2, 10, 64))
    parts = [torch.zeros(shape, device="meta", dtype=torch.bfloat16, requires_grad=True) for shape in shapes]
    out = attend(*parts, torch.zeros(3, device="meta", dtype=torch.int32), 6, scaling=0.125, causal=True)
    out.sum().backward()
    assert out.shape == (1, 10, 8, 64)
    assert [part.grad.shape for part in parts] == list(shapes)


def test_ends_of_rows_come_from_positions_that_start_again():
    positions = torch.tensor([0, 1, 2, 0, 1, 0, 1, 2, 3])
    assert segment_ends(positions).tolist() == [0, 3, 5, 9]
    assert segment_ends(torch.arange(4)).tolist() == [0, 4]


@pytest.fixture
def rows(tmp_path):
    return fake_rows(tmp_path, 4)


def row_losses(model, batch, counts):
    logits, labels = model(**batch).logits[0], batch["labels"][0]
    return [
        cross_entropy(part, wanted) for part, wanted in zip(logits.split(counts), labels.split(counts), strict=True)
    ]


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_packed_row_has_the_loss_and_the_gradient_of_the_row_alone(tmp_path, rows, lora, checkpointing, monkeypatch):
    loaded = load_model("tiny", seed=1)
    model = add_lora(loaded.model, rank=4, alpha=8, tower=True) if lora else loaded.model
    collator = tiny_collator(tmp_path, loaded.tokenizer)
    model.train()
    if checkpointing:
        loaded.model.gradient_checkpointing_enable({"use_reentrant": False})
    alone, counts = [], []
    for row in rows:
        model.zero_grad()
        batch = collator([row])
        counts.append(int((batch["labels"] != -100).sum()))
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        alone.append((loss.detach(), gradients(model)))
    use_packed_segments(model)
    monkeypatch.setattr(attention, "sdpa_attention_forward", None)  # a packed batch must not get there
    for number, (expected, slopes) in enumerate(alone):
        model.zero_grad()
        losses = row_losses(model, tiny_collator(tmp_path, loaded.tokenizer, packed=True)(rows), counts)
        losses[number].backward()
        torch.testing.assert_close(losses[number].detach(), expected, rtol=0, atol=2e-6)
        for name, slope in gradients(model).items():
            torch.testing.assert_close(slope, slopes[name], rtol=1e-3, atol=2e-6, msg=name)


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_padded_batches_and_generation_are_as_before(tmp_path, rows):
    loaded = load_model("tiny", seed=1)
    model = loaded.model.eval()
    batch = tiny_collator(tmp_path, loaded.tokenizer)(rows)
    question = tiny_collator(tmp_path, loaded.tokenizer, with_answers=False)(rows)
    question["mm_token_type_ids"] = 2 * (question["input_ids"] == model.config.video_token_id).int()
    del question["position_ids"]
    with torch.no_grad():
        before = model(**batch).logits, model.generate(**question, max_new_tokens=5, do_sample=False)
        use_packed_segments(model)
        after = model(**batch).logits, model.generate(**question, max_new_tokens=5, do_sample=False)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


def test_what_is_saved_does_not_name_our_attention(tmp_path):
    model = load_model("tiny").model
    use_packed_segments(model)
    model.save_pretrained(str(tmp_path))
    assert "segments" not in (tmp_path / "config.json").read_text()
