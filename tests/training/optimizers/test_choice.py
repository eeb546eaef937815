import copy

import pytest
import torch

from rfm.errors import ConfigError
from rfm.model.load import load_model
from rfm.training.optimizers.choice import MuonWithAdamW, muon_with_adamw
from rfm.training.options import TrainOptions

torch.set_num_threads(1)


def small_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def optimizer_of(model: torch.nn.Module) -> MuonWithAdamW:
    return muon_with_adamw(model, learning_rate=1e-3, muon_learning_rate=1e-2, betas=(0.9, 0.95), weight_decay=0.1)


def step(model: torch.nn.Module, optimizer: MuonWithAdamW, seed: int) -> None:
    inputs = torch.randn(4, 6, generator=torch.Generator().manual_seed(seed))
    model(inputs).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_hidden_matrices_go_to_muon_and_all_else_to_adamw():
    model = load_model("tiny").model
    muon, decayed, plain = optimizer_of(model).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert sum(len(group["params"]) for group in (muon, decayed, plain)) == len(names)
    assert all(p.ndim == 2 and "embed" not in names[id(p)] for p in muon["params"])
    assert {names[id(p)] for p in decayed["params"]} >= {"model.language_model.embed_tokens.weight"}
    assert all(p.ndim == 1 for p in plain["params"])
    assert (muon["lr"], decayed["lr"], plain["weight_decay"]) == (1e-2, 1e-3, 0.0)


def test_a_scheduler_reaches_both_parts():
    model = small_model()
    optimizer = optimizer_of(model)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.0)
    before = copy.deepcopy(model.state_dict())
    step(model, optimizer, 0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [group["lr"] for group in optimizer.param_groups] == [0.0] * 3
    assert scheduler.base_lrs == [1e-2, 1e-3, 1e-3]


def test_a_loaded_optimizer_goes_on_as_the_saved_one_would_have():
    model = small_model()
    optimizer = optimizer_of(model)
    for seed in range(3):
        step(model, optimizer, seed)
    twin = copy.deepcopy(model)
    other = optimizer_of(twin)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for seed in (3, 4):
        step(model, optimizer, seed)
        step(twin, other, seed)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    fresh = optimizer_of(twin)
    step(model, optimizer, 5)
    step(twin, fresh, 5)
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_muon_is_refused_for_adapters():
    with pytest.raises(ConfigError, match="`optim` must not be muon with `lora_rank` 8"):
        TrainOptions(dataset_path="d", optim="muon", lora_rank=8)
