"""Every way of answering counts positions as training does: with those of the batch, never with the model's own."""

from contextlib import contextmanager

import pytest
import torch
from tiny_qwen2_5 import SPEC, build_tiny_qwen2_5
from vqa_fakes import indices, row, write_frames

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.inference.answering.answer_tree import answer_tree
from rfm.inference.answering.decoding import Decoding
from rfm.inference.answering.generation import generate
from rfm.inference.answering.scored import answer_distribution
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.tiny import build_tiny


@pytest.fixture(scope="module")
def qwen2_5():
    tokenizer = build_tiny(5)[1]
    model = build_tiny_qwen2_5(tokenizer, seed=1).eval()
    accept_uint8(model, SPEC)
    return model, ConversationEncoder(tokenizer, SPEC)


@pytest.fixture
def rows(tmp_path):
    """Clips of 12 and of 6 frames: their last time steps, 10 and 4, lie far behind two rows and two columns."""
    path, *_ = write_frames(tmp_path, 1)
    return [row("progress", "5", "How far?", clip=(path, indices(15, shown))) for shown in (12, 6)]


@contextmanager
def positions_seen(model):
    """The positions that the language model is given, call by call."""
    seen = []

    def look(_, __, inputs):
        seen.append(inputs["position_ids"][-3:].clone())

    handle = model.get_decoder().register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def collated(encoder, root, rows, **settings):
    return VQACollator(encoder, FrameStore(root, SPEC, InputFormat(32, 32)), **settings)(rows)


@pytest.mark.parametrize("method", ["greedy", "beam", "sample", "constrained"])
def test_generating_goes_on_behind_the_positions_of_the_prompt(qwen2_5, rows, tmp_path, method):
    model, encoder = qwen2_5
    batch = collated(encoder, tmp_path, rows, with_answers=False)
    with positions_seen(model) as seen:
        generate(model, batch, encoder, Decoding(method, num_beams=2), 5, sample_type="progress", seeds=(1, 2))
    beams = 2 if method == "beam" else 1
    mask = batch["attention_mask"].bool().repeat_interleave(beams, dim=0)
    given = batch["position_ids"].repeat_interleave(beams, dim=1)
    assert torch.equal(seen[0][:, mask], given[:, mask])
    assert len(seen) > 2
    for step, one in enumerate(seen[1:], start=1):
        assert torch.equal(one, given[:, :, -1:] + step)


def test_scoring_goes_on_behind_the_positions_of_the_prompt(qwen2_5, rows, tmp_path):
    model, encoder = qwen2_5
    batch, tree = collated(encoder, tmp_path, rows, with_answers=False), answer_tree(encoder, "progress")
    with positions_seen(model) as (seen):
        answer_distribution(model, batch, tree)
    mask, given = batch["attention_mask"].bool(), batch["position_ids"]
    prompt, nodes = seen
    assert torch.equal(prompt[:, :, : given.shape[2]][:, mask], given[:, mask])
    deepest = given[:, :, -1] + len(tree.prefix) + int(tree.depth().max())
    assert torch.equal(nodes.amax(dim=2), deepest)


def test_training_sees_the_same_positions_padded_and_packed(qwen2_5, rows, tmp_path):
    model, encoder = qwen2_5
    asked = collated(encoder, tmp_path, rows, with_answers=False)
    padded, packed = (collated(encoder, tmp_path, rows, packed=packed) for packed in (False, True))
    with positions_seen(model) as seen:
        model(**padded)
        model(**packed)
    mask = padded["attention_mask"].bool()
    assert torch.equal(seen[0][:, mask], padded["position_ids"][:, mask])
    assert torch.equal(seen[1][:, 0], seen[0][:, mask])
    prompt = asked["attention_mask"].bool()
    lengths = prompt.sum(dim=1).tolist()
    ours = [asked["position_ids"][:, at][:, prompt[at]] for at in range(2)]
    theirs = [seen[0][:, at][:, mask[at]][:, :length] for at, length in enumerate(lengths)]
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
