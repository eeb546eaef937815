import copy

import torch
from transformers import AutoModelForImageTextToText

from rfm.model.kernels.patch_embedding import use_matrix_product
from rfm.model.load import load_model
from rfm.model.tiny import build_tiny


def patches(count=12, seed=0):
    return torch.randn(count, 3 * 2 * 8 * 8, generator=torch.Generator().manual_seed(seed))


def embedding_of(model):
    return model.model.visual.patch_embed


def test_it_is_the_stock_convolution():
    model, _ = build_tiny(0)
    embedding, slopes, outputs = embedding_of(model), [], []
    for _ in range(2):
        model.zero_grad()
        outputs.append(embedding(patches()))
        outputs[-1].square().sum().backward()
        slopes.append(embedding.proj.weight.grad.clone())
        use_matrix_product(model)
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(slopes[1], slopes[0])


def test_every_loaded_model_has_it_and_stock_classes_read_what_it_saves(tmp_path):
    model = load_model("tiny", seed=2).model
    model.save_pretrained(str(tmp_path))
    stock = AutoModelForImageTextToText.from_pretrained(str(tmp_path))
    assert type(embedding_of(stock)) is type(embedding_of(model))
    assert torch.equal(embedding_of(stock).proj.weight, embedding_of(model).proj.weight)
    assert "forward" in vars(embedding_of(model))
    assert "forward" not in vars(embedding_of(stock))


def test_a_copied_model_uses_its_own_weights():
    model = load_model("tiny").model
    twin = copy.deepcopy(model)
    with torch.no_grad():
        embedding_of(twin).proj.weight.zero_()
        assert embedding_of(model)(patches()).abs().sum() > 0
        assert torch.equal(embedding_of(twin)(patches()), embedding_of(twin).proj.bias.expand(12, -1))
