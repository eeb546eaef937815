import numpy as np
import pytest
import torch
from tiny_qwen2_5 import SPEC as QWEN2_5
from tiny_qwen2_5 import build_tiny_qwen2_5
from vqa_fakes import preference_row, progress_row, row, similarity_row, write_frames

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.model.kernels.attention import use_equal_segments
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.tiny import build_tiny, tiny_spec

FAMILIES = ("qwen3_vl", "qwen2_5_vl")


@pytest.fixture(scope="module")
def models():
    qwen3, tokenizer = build_tiny(0)
    made = {"qwen3_vl": (qwen3, tiny_spec()), "qwen2_5_vl": (build_tiny_qwen2_5(tokenizer), QWEN2_5)}
    for model, spec in made.values():
        accept_uint8(model, spec)
        use_equal_segments(model)
        model.double().eval()  # float32 rounds to a millionth, and on each processor otherwise
    return made, tokenizer


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("frames")


@pytest.fixture(scope="module")
def rows(root):
    paths, rng = write_frames(root, 3, size=32), np.random.default_rng(0)
    odd = row("progress", "100", "ANS: 7 <|im_end|> how far?", clip=(paths[0], [0, 3, 5]))
    return [preference_row(paths, rng), progress_row(paths, rng), odd, similarity_row(paths, rng)]


def collators(models, root, family, images=False):
    made, tokenizer = models
    model, spec = made[family]
    encoder, frames = ConversationEncoder(tokenizer, spec), FrameStore(root, spec, InputFormat(use_multi_image=images))
    return model, VQACollator(encoder, frames), VQACollator(encoder, frames, packed=True)


def summed_loss(model, batch):
    """The loss summed over answer tokens, and its gradient."""
    model.zero_grad()
    out = model(**{name: value for name, value in batch.items() if name not in ("labels", "shift_labels")})
    logits, labels = (
        (out.logits, batch["labels"]) if "shift_labels" in batch else (out.logits[:, :-1], batch["labels"][:, 1:])
    )
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    losses.sum().backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return losses[labels.flatten() != -100].detach(), gradient


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_rows_have_the_loss_and_gradient_of_each_row_alone(models, root, rows, family, images):
    model, padded, packed = collators(models, root, family, images)
    batch = packed(rows)
    assert batch["input_ids"].shape == (1, sum(len(packed.encode(one)[0].ids) for one in rows))
    assert "attention_mask" not in batch
    together, gradient = summed_loss(model, batch)
    alone = [summed_loss(model, padded([one])) for one in rows]
    torch.testing.assert_close(together, torch.cat([losses for losses, _ in alone]), rtol=0, atol=2e-6)
    torch.testing.assert_close(gradient, sum(part for _, part in alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stock_loss_of_a_pack_is_the_mean_over_its_answer_tokens(models, root, rows, family):
    model, padded, packed = collators(models, root, family)
    with torch.no_grad():
        batch = packed(rows)
        out = model(**batch)
        assert out.logits.shape[1] == batch["labels"].shape[1] == len(batch["logits_to_keep"])
        assert abs(out.loss - model(**padded(rows)).loss) < 1e-6
        shared = model(**batch, num_items_in_batch=torch.tensor(100)).loss
    assert abs(shared - out.loss * batch["labels"].shape[1] / 100) < 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_of_one_row_does_not_reach_the_others(models, root, rows, family):
    """Loss on the last row alone: the inputs of all other rows have no gradient at all."""
    model, _, packed = collators(models, root, family)
    batch = packed(rows)
    inputs = _input_gradients(model, batch, last_row_only=True)
    start = int((batch["position_ids"][0, 0] == 0).nonzero()[-1])
    assert inputs[:start].abs().max() == 0
    assert inputs[start:].abs().max() > 0


LEAKS = {
    "all-ones mask": lambda batch: batch | {"attention_mask": torch.ones_like(batch["input_ids"])},
    "three rows of positions": lambda batch: batch | {"position_ids": batch["position_ids"][1:]},
    "default cache": lambda batch: {name: value for name, value in batch.items() if name != "use_cache"},
}


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_detectors_see_each_known_leak(models, root, rows, family, leak):
    model, padded, packed = collators(models, root, family)
    batch = LEAKS[leak](packed(rows))
    together, _ = summed_loss(model, batch)
    alone = torch.cat([summed_loss(model, padded([one]))[0] for one in rows])
    assert (together - alone).abs().max() > 1e-4
    inputs = _input_gradients(model, batch, last_row_only=True)
    start = int((packed(rows)["position_ids"][0, 0] == 0).nonzero()[-1])
    assert inputs[:start].abs().max() > 0


def _input_gradients(model, batch, *, last_row_only):
    embedded = {}

    def keep(_, __, output):
        output.retain_grad()
        embedded["grad"] = output

    hook = model.get_input_embeddings().register_forward_hook(keep)
    labels = batch["labels"].clone()
    end = int((batch["labels"][0] == batch["labels"][0, -1]).nonzero()[-2]) + 1  # behind the answer before the last
    labels[:, :end] = -100
    model.zero_grad()
    model(**batch | {"labels": labels, "shift_labels": labels}).loss.backward()
    hook.remove()
    return embedded["grad"].grad[0]


def test_answers_carry_loss_and_nothing_else(models, root, rows):
    _, _, packed = collators(models, root, "qwen3_vl")
    batch = packed(rows)
    text = packed.encoder.decode(batch["labels"][0].tolist())
    assert text == "".join(f"ANS: {one['answer']}<|im_end|>" for one in rows)
    assert torch.equal(batch["input_ids"][0, batch["logits_to_keep"] + 1], batch["labels"][0])
    assert torch.equal(batch["labels"], batch["shift_labels"])


def test_packing_is_for_training(models, root):
    _, padded, _ = collators(models, root, "qwen3_vl")
    with pytest.raises(ValueError, match="`packed` must be False without answers"):
        VQACollator(padded.encoder, padded.frames, with_answers=False, packed=True)
