import pytest
import torch
from tiny_batches import fake_rows, tiny_collator

from rfm.model.kernels.compilation import compile_layers
from rfm.model.load import load_model
from rfm.model.lora import add_lora


@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_layers_give_the_same_loss_gradients_and_names(tmp_path, checkpointing):
    loaded = load_model("tiny", seed=1)
    model = add_lora(loaded.model, rank=2, alpha=4, tower=True).train()
    if checkpointing:
        loaded.model.gradient_checkpointing_enable({"use_reentrant": False})
    batch = tiny_collator(tmp_path, loaded.tokenizer)(fake_rows(tmp_path, 2))
    names, losses, slopes = [], [], []
    for _ in range(2):
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        losses.append(loss.detach())
        slopes.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        names.append(list(model.state_dict()))
        assert compile_layers(model, backend="aot_eager") == 2 + 1
    assert names[0] == names[1]
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-4, atol=1e-6)
