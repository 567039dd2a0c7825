"""A fused optimizer, which torch's kernels update without a look at its state, does what any other does."""

import pytest
import torch
from torch import nn

from utils.loop.optimizers import fit_state


def gradient(step: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(step))


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_with_momentum_takes_a_parameter_whose_first_gradient_comes_late(nesterov):
    def train(fused):
        torch.manual_seed(0)
        early, late = nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(3))
        optimizer = torch.optim.SGD([early, late], 0.1, momentum=0.9, nesterov=nesterov, fused=fused)
        fit_state(optimizer)
        for step in range(5):
            early.grad = gradient(step, (3,))
            late.grad = gradient(step, (3,)) if step >= 2 else None
            optimizer.step()
        return torch.stack([early, late])

    torch.testing.assert_close(train(fused=True), train(fused=False), rtol=1e-6, atol=0)


@pytest.mark.parametrize("make", [
    lambda p, fused: torch.optim.Adam(p, 0.1, fused=fused),
    lambda p, fused: torch.optim.SGD(p, 0.1, momentum=0.9, fused=fused),
])  # fmt: skip
def test_the_state_follows_weights_that_got_their_channels_last(make):
    def train(fused):
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(4, 3, 2, 2))
        optimizer = make([weight], fused)
        for step in range(6):
            if step == 3:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
                fit_state(optimizer)
            weight.grad = torch.empty_like(weight).copy_(gradient(step, (4, 3, 2, 2)))
            optimizer.step()
        return weight.contiguous()

    torch.testing.assert_close(train(fused=True), train(fused=False), rtol=1e-5, atol=1e-6)


def test_a_fused_sgd_with_dampening_is_refused():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(2))], 0.1, momentum=0.9, dampening=0.3, fused=True)
    with pytest.raises(ValueError, match="set fused to false, or dampening to 0"):
        fit_state(optimizer)


def test_the_state_of_others_stays_as_it_is():
    weight = nn.Parameter(torch.ones(2))
    for optimizer in (torch.optim.SGD([weight], 0.1, momentum=0.9), torch.optim.Adam([weight], 0.1, fused=True)):
        fit_state(optimizer)
        assert not optimizer.state
