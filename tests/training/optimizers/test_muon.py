import pytest
import torch

from rfm.training.optimizers.muon import Muon, orthogonalised

torch.set_num_threads(1)


def matrices(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 8, 20), (3, 20, 8), (1, 12, 12)])
def test_directions_stay_and_sizes_become_alike(shape):
    made = orthogonalised(matrices(*shape))
    u, s, vh = torch.linalg.svd(matrices(*shape), full_matrices=False)
    coefficients = u.mT @ made @ vh.mT
    sizes = torch.diagonal(coefficients, dim1=1, dim2=2)
    assert s.max() / s.min() > 3
    assert sizes.min() > 0.5
    assert sizes.max() < 1.3
    assert torch.allclose(coefficients, torch.diag_embed(sizes), atol=1e-4)


def test_a_matrix_is_orthogonalised_as_if_it_were_alone():
    several = matrices(4, 6, 9)
    alone = torch.cat([orthogonalised(one[None]) for one in several])
    assert torch.allclose(orthogonalised(several), alone, atol=1e-6)


def test_a_zero_gradient_moves_nothing():
    assert torch.equal(orthogonalised(torch.zeros(1, 4, 5)), torch.zeros(1, 4, 5))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon to compare with")
def test_steps_are_those_of_torch_but_for_its_bfloat16():
    start = [matrices(6, 10), matrices(10, 6, seed=1), matrices(6, 10, seed=2)]
    ours, theirs = ([torch.nn.Parameter(value.clone()) for value in start] for _ in range(2))
    settings = {"lr": 1e-2, "weight_decay": 0.1}
    optimizers = Muon(ours, **settings), torch.optim.Muon(theirs, **settings, adjust_lr_fn="match_rms_adamw")
    for number in range(4):
        for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
            for index, parameter in enumerate(parameters):
                parameter.grad = matrices(*parameter.shape, seed=10 * number + index)
            optimizer.step()
    for mine, other, before in zip(ours, theirs, start, strict=True):
        assert (mine - other).norm() < 0.02 * (other - before).norm()


def test_what_is_no_matrix_is_refused():
    with pytest.raises(ValueError, match=r"`params` must be matrices, but one is \(3,\)"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=1e-3)
