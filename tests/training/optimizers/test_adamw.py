import copy

import pytest
import torch

from rfm.errors import ConfigError
from rfm.training.optimizers.adamw import MasterAdamW, join, split

torch.set_num_threads(1)

SETTINGS = {"lr": 2e-3, "betas": (0.9, 0.999), "weight_decay": 0.05}


def parameters(dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in ((30, 7), (64,), (5,))]


def step(params, optimizer, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in params:
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    optimizer.step()


def distance(one, other):
    return max((a.float() - b.float()).abs().max().item() for a, b in zip(one, other, strict=True))


def test_float32_weights_move_as_with_torchs_adamw():
    ours, theirs = parameters(), parameters()
    for name, params, optimizer in (
        ("ours", ours, MasterAdamW(ours, **SETTINGS)),
        ("theirs", theirs, torch.optim.AdamW(theirs, **SETTINGS)),
    ):
        for seed in range(20):
            step(params, optimizer, seed)
        assert distance(params, parameters()) > 1e-3, name
    assert distance(ours, theirs) < 1e-6


def test_a_master_is_its_two_halves_bit_for_bit():
    master = torch.randn(100_000, generator=torch.Generator().manual_seed(0)) * torch.logspace(-30, 30, 100_000)
    upper, lower = torch.empty(100_000, dtype=torch.bfloat16), torch.empty(100_000, dtype=torch.int16)
    split(master, upper, lower)
    assert torch.equal(join(upper, lower), master)
    error, nearest = ((half.float() - master).abs() for half in (upper, master.bfloat16()))
    assert torch.equal(error, nearest)  # ties may go the other way, no further


def test_plain_bfloat16_loses_most_updates_and_masters_lose_none():
    """The learning rate and weights of the specification's default: the updates are far below a half unit."""
    start = torch.randn(20_000, generator=torch.Generator().manual_seed(0)) * 0.02
    runs = {}
    for name in ("plain", "masters", "float32"):
        weight = torch.nn.Parameter(start.bfloat16().float() if name == "float32" else start.bfloat16())
        make = torch.optim.AdamW if name == "plain" else MasterAdamW
        optimizer = make([weight], lr=2e-5, weight_decay=0.0)
        for _ in range(20):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
        runs[name] = weight, optimizer
    begin, ideal = start.bfloat16(), runs["float32"][0]
    moved = {name: (weight.detach() != begin).float().mean().item() for name, (weight, _) in runs.items()}
    assert moved["plain"] < 0.5
    weight, optimizer = runs["masters"]
    assert torch.equal(join(weight.detach(), optimizer.state[weight]["lower"]), ideal.detach())
    plain, ours = ((runs[name][0].float() - begin.float()).mean().item() for name in ("plain", "masters"))
    assert ours == pytest.approx(-20 * 2e-5, rel=0.05)
    assert abs(plain) < 0.5 * abs(ours)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moments_in_eight_bits_learn_as_well(dtype):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(512, 100, generator=generator) * torch.logspace(-2, 0, 100)
    targets = inputs @ torch.randn(100, 1, generator=generator)
    losses = {}
    for eight_bit in (False, True):
        weight = torch.nn.Parameter(torch.zeros(100, 1, dtype=dtype))
        optimizer = MasterAdamW([weight], lr=3e-2, eight_bit=eight_bit)
        for number in range(500):
            rows = torch.arange(16 * number, 16 * (number + 1)) % 512
            loss = (inputs[rows] @ weight.float() - targets[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[eight_bit] = (inputs @ weight.float() - targets).square().mean().item()
    assert losses[True] < 1.3 * losses[False] + 1e-3
    assert losses[False] < 0.05 * targets.square().mean().item()


def test_bytes_of_the_state_are_as_documented():
    for dtype, eight_bit, expected in (
        (torch.bfloat16, False, 10),
        (torch.bfloat16, True, 4 + 1 / 8),
        (torch.float32, False, 8),
        (torch.float32, True, 2 + 1 / 8),
    ):
        weight = torch.nn.Parameter(torch.zeros(6400, dtype=dtype))
        optimizer = MasterAdamW([weight], lr=1e-3, eight_bit=eight_bit)
        step([weight], optimizer, 0)
        held = sum(value.nbytes for name, value in optimizer.state[weight].items() if name != "step")
        assert held == pytest.approx(expected * 6400)


@pytest.mark.parametrize("eight_bit", [False, True])
def test_a_loaded_optimizer_goes_on_as_the_saved_one_would_have(eight_bit, tmp_path):
    params = parameters(torch.bfloat16)
    optimizer = MasterAdamW(params, **SETTINGS, eight_bit=eight_bit)
    for seed in range(3):
        step(params, optimizer, seed)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    twin = copy.deepcopy(params)
    other = MasterAdamW(twin, **SETTINGS, eight_bit=eight_bit)
    other.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    for seed in (3, 4):
        step(params, optimizer, seed)
        step(twin, other, seed)
    assert distance(params, twin) == 0.0


def test_pieces_do_not_change_a_step(monkeypatch):
    whole, cut = parameters(), parameters()
    one, other = (MasterAdamW(params, **SETTINGS, eight_bit=True) for params in (whole, cut))
    step(whole, one, 0)
    monkeypatch.setattr("rfm.training.optimizers.adamw.PIECE", 64)
    step(cut, other, 0)
    assert distance(whole, cut) < 1e-7


def test_a_compiled_step_is_the_same_step():
    plain, compiled = parameters(torch.bfloat16), parameters(torch.bfloat16)
    one, other = (MasterAdamW(params, **SETTINGS, eight_bit=True) for params in (plain, compiled))
    other.compile(backend="aot_eager")
    for seed in range(2):
        step(plain, one, seed)
        step(compiled, other, seed)
    assert distance(plain, compiled) == 0.0


class Split(torch.Tensor):
    """Stands for a tensor of which this process holds a part."""


def test_weights_split_over_processes_are_refused():
    weight = torch.nn.Parameter(torch.zeros(4).as_subclass(Split))
    weight.grad = torch.ones(4)
    with pytest.raises(ConfigError, match=r"must be float32 and stepped by torch's AdamW.*--model_dtype float32"):
        MasterAdamW([weight], lr=1e-3).step()


def test_weights_of_other_types_are_refused():
    weight = torch.nn.Parameter(torch.zeros(4, dtype=torch.float16))
    weight.grad = torch.ones_like(weight)
    with pytest.raises(ConfigError, match=r"Trained weights must be float32 or bfloat16, but some are torch.float16"):
        MasterAdamW([weight], lr=1e-3).step()
