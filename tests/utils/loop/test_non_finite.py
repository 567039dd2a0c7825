"""Steps with a NaN or infinite gradient are found and left out, and only those."""

import copy
import math

import pytest
import torch
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from trainer import Trainer
from utils.loop.non_finite import all_finite, gradients_are_finite, restore_unless, step_if
from utils.loop.optimizers import fit_state

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("place", [0, 500, 999])
def test_one_bad_number_is_found(bad, dtype, place):
    tensors = [torch.ones(3), torch.ones(1000, dtype=dtype), torch.ones(2, 2)]
    assert all_finite(tensors).item() is True
    tensors[1][place] = bad
    assert all_finite(tensors).item() is False


def test_large_numbers_are_finite():
    assert all_finite([torch.full((1000,), torch.finfo(torch.float32).max)])
    assert all_finite([torch.empty(0), torch.ones(())])
    assert all_finite([])


def test_a_parameter_without_gradient_has_none_that_is_bad():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    assert gradients_are_finite(model.parameters())
    model[1].bias.grad = torch.tensor([1.0])
    assert gradients_are_finite(model.parameters())
    model[1].bias.grad = torch.tensor([math.nan])
    assert not gradients_are_finite(model.parameters())


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, 0.1),
    "SGD, momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, 0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.1, momentum=0.5),
    "AdamW, fused": lambda p: torch.optim.AdamW(p, 0.1, fused=True),
    "Adagrad, fused": lambda p: torch.optim.Adagrad(p, 0.1, fused=True),
    "SGD, fused": lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.1, fused=True),
    "SGD, momentum, fused": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, fused=True),
}


@pytest.mark.parametrize("bad_steps", [{0}, {2}, {0, 1, 4}])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_left_out_is_as_if_it_had_never_been(name, bad_steps):
    def train(steps):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = OPTIMIZERS[name](model.parameters())
        fit_state(optimizer)
        for step in steps:
            for number, p in enumerate(model.parameters()):
                p.grad = torch.full_like(p, step + 1.0 + number)
            if step in bad_steps and steps == range(6):
                model.bias.grad[1] = math.nan
            step_if(gradients_are_finite(model.parameters()), optimizer)
        return [*model.parameters()], optimizer

    (weight, bias), optimizer = train(range(6))
    (expected_weight, expected_bias), expected = train([step for step in range(6) if step not in bad_steps])
    assert torch.equal(weight, expected_weight) and torch.equal(bias, expected_bias)
    assert optimizer.state.keys() == {p for p in (weight, bias) if optimizer.state}
    for p, q in ((weight, expected_weight), (bias, expected_bias)):
        for key, value in expected.state.get(q, {}).items():
            assert torch.equal(optimizer.state[p][key], value) if value is not None else True, key
    assert not hasattr(optimizer, "found_inf")


class SkippingTrainer(Trainer):
    """How a trainer leaves out updates: the weights, the optimizer and the model's averages stay as they were."""

    n_skipped = 0

    def train_step(self, batch):
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        self.optimizer.zero_grad()
        loss, output, target = self.compute_loss(batch)
        loss.backward()
        finite = gradients_are_finite(self.model.parameters())
        step_if(finite, self.optimizer)
        restore_unless(finite, self.model.buffers(), buffers)
        self.n_skipped += ~finite
        return loss, output, target


def make(kind, device="cpu", fused=False):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 0.01, fused=fused)
    loader = BaseDataLoader(InMemoryDataset(torch.zeros(8, 4), torch.zeros(8, 1)), 8)
    return kind(model, nn.functional.mse_loss, [], optimizer, loader)


def batches(n, device="cpu"):
    generator = torch.Generator().manual_seed(1)
    return [[torch.randn(8, 4, generator=generator).to(device), torch.ones(8, 1, device=device)] for _ in range(n)]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("fused", [False, True])
def test_a_trainer_that_leaves_out_bad_batches_is_one_that_never_saw_them(bad, fused):
    good, trainer, expected = batches(6), make(SkippingTrainer, fused=fused), make(Trainer, fused=fused)
    spoiled = copy.deepcopy(good[2])
    spoiled[0][3, 1] = bad
    for batch in [*good[:3], spoiled, *good[3:], spoiled]:
        trainer.train_step(batch)
    for batch in good:
        expected.train_step(batch)
    assert trainer.n_skipped == 2
    state = expected.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in trainer.model.state_dict().items())
    assert torch.isfinite(trainer.model.eval()(good[0][0])).all()


@needs_cuda
def test_a_fused_optimizer_leaves_out_a_step_without_a_synchronization():
    trainer, data = make(SkippingTrainer, "cuda", fused=True), batches(4, "cuda")
    data[2][0][0, 0] = math.nan
    trainer.n_skipped = torch.zeros((), device="cuda", dtype=torch.long)
    trainer.train_step(data[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in data[1:]:
            trainer.train_step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.n_skipped == 1
    assert all_finite(trainer.model.state_dict().values())
