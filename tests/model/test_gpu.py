"""What is done on a GPU alone. Without one it is pretended, and tests of what kernels compute skip."""

import pytest
import tiny_qwen2_5
import torch
from pretended_gpu import pretended_gpu
from tiny_batches import fake_rows, tiny_collator

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.model.kernels import attention
from rfm.model.kernels.attention import attend, use_equal_segments, use_packed_segments
from rfm.model.kernels.patch_embedding import use_matrix_product
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.load import load_model
from rfm.training.optimizers.adamw import MasterAdamW, can_fuse

sees_attention = pytest.mark.skipif(
    not torch.cuda.is_available() and torch.__version__.startswith("2.6."),
    reason="torch 2.6 takes grouped attention apart on CPUs, which the pretended GPU takes for a mixture of devices",
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: kernels that a CPU has not")


@pytest.fixture(autouse=True)
def gpu():
    if torch.cuda.is_available():
        yield
    else:
        with pretended_gpu():
            yield


def parts(lengths, heads=8, groups=2, width=64):
    generator = torch.Generator("cuda").manual_seed(0)
    shapes = ((1, heads, sum(lengths), width), *((1, groups, sum(lengths), width),) * 2)
    made = [torch.randn(shape, generator=generator, device="cuda", dtype=torch.bfloat16) for shape in shapes]
    return [tensor.requires_grad_() for tensor in made], torch.tensor([0, *lengths], device="cuda").cumsum(0).int()


@pytest.mark.skipif(attention.VARLEN is None, reason="needs a torch with variable-length attention")
@pytest.mark.parametrize("causal", [False, True])
def test_the_variable_length_kernel_gives_what_segments_give(causal, monkeypatch):
    lengths, results = (700, 30, 512, 1), []
    for kernel in (attention.VARLEN, None):
        monkeypatch.setattr(attention, "VARLEN", kernel)
        made, ends = parts(lengths)
        out = attend(*made, ends, max(lengths), scaling=0.125, causal=causal)
        out.float().square().sum().backward()
        results.append([out, *(tensor.grad for tensor in made)])
    for ours, expected in zip(*results, strict=True):  # single numbers differ by how sums of heads are rounded
        assert (ours - expected).float().norm() < 1e-2 * expected.float().norm()


def test_equal_segments_do_not_wait_for_the_device():
    made, ends = parts((196,) * 8)
    attend(*made, ends, 196, scaling=0.125)
    torch.cuda.set_sync_debug_mode("error")
    try:
        attend(*made, ends, 196, scaling=0.125)
        if attention.VARLEN is not None:
            attend(*made, ends, 200, scaling=0.125, causal=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@sees_attention
def test_a_packed_batch_has_the_losses_of_its_rows(tmp_path):
    loaded = load_model("tiny", seed=1, device="cuda")
    model = loaded.model.bfloat16()
    rows = fake_rows(tmp_path, 4)

    def loss(batch):
        batch = {key: value.cuda() if torch.is_tensor(value) else value for key, value in batch.items()}
        return model(**batch).loss, (batch["labels"] != -100).sum()

    alone = [loss(tiny_collator(tmp_path, loaded.tokenizer)([row])) for row in rows]
    expected = sum(value * count for value, count in alone) / sum(count for _, count in alone)
    use_packed_segments(model)
    together, _ = loss(tiny_collator(tmp_path, loaded.tokenizer, packed=True)(rows))
    torch.testing.assert_close(together, expected, rtol=2e-2, atol=2e-2)


@needs_gpu
@pytest.mark.skipif(not can_fuse(), reason="needs Triton and a C compiler")
@pytest.mark.parametrize("eight_bit", [False, True])
def test_the_fused_optimizer_takes_the_same_steps(eight_bit):
    results = []
    for fused in (False, True):
        weight = torch.nn.Parameter(torch.randn(1000, 70, generator=torch.Generator().manual_seed(0)).bfloat16().cuda())
        optimizer = MasterAdamW([weight], lr=1e-3, weight_decay=0.1, eight_bit=eight_bit, fused=fused)
        for seed in range(5):
            weight.grad = torch.randn(1000, 70, generator=torch.Generator().manual_seed(seed)).bfloat16().cuda()
            optimizer.step()
        results.append(weight.detach().float())
    torch.testing.assert_close(*results, rtol=1e-2, atol=1e-4)


@needs_gpu
def test_layers_compile_and_learn(tmp_path):
    from rfm.model.kernels.compilation import compile_layers

    loaded = load_model("tiny", seed=1, device="cuda")
    batch = tiny_collator(tmp_path, loaded.tokenizer)(fake_rows(tmp_path, 4))
    batch = {key: value.cuda() if torch.is_tensor(value) else value for key, value in batch.items()}
    plain = loaded.model(**batch).loss
    compile_layers(loaded.model)
    compiled = loaded.model(**batch).loss
    compiled.backward()
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-4)


@sees_attention
@pytest.mark.parametrize("packed", [False, True])
def test_the_other_family_with_its_windows(tmp_path, packed):
    tokenizer = load_model("tiny").tokenizer
    frames = FrameStore(tmp_path, tiny_qwen2_5.SPEC, InputFormat(48, 48, "box"))  # windows of several lengths
    batch = VQACollator(ConversationEncoder(tokenizer, tiny_qwen2_5.SPEC), frames, packed=packed)(
        fake_rows(tmp_path, 4)
    )
    losses = []
    for device in ("cpu", "cuda"):
        model = tiny_qwen2_5.build_tiny_qwen2_5(tokenizer).bfloat16().to(device)
        accept_uint8(model, tiny_qwen2_5.SPEC)
        use_matrix_product(model)
        use_equal_segments(model)
        if packed:
            use_packed_segments(model)
        there = {key: value.to(device) if torch.is_tensor(value) else value for key, value in batch.items()}
        loss = model(**there).loss
        loss.backward()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
