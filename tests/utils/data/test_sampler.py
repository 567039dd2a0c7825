"""The order of samples on several processes; tests/base/test_base_data_loader.py has that of one."""

import pytest
import torch

import utils.data.sampler as module
from utils.data import EpochSampler


@pytest.mark.parametrize(("n", "world_size"), [(16, 2), (17, 2), (20, 3), (5, 4)])
def test_processes_share_the_samples(monkeypatch, n, world_size):
    monkeypatch.setattr(module, "world_size", lambda: world_size)
    training, evaluation = [], []
    for rank in range(world_size):
        monkeypatch.setattr(module, "rank", lambda rank=rank: rank)
        for shuffle, shares in ((True, training), (False, evaluation)):
            sampler = EpochSampler(torch.arange(n), shuffle, seed=0)
            shares.append([index for _, index in sampler])
            assert len(shares[-1]) == len(sampler) == sampler.n_samples
    assert {len(share) for share in training} == {n // world_size}  # equally many steps everywhere
    assert len({x for share in training for x in share}) == n // world_size * world_size
    assert sorted(x for share in evaluation for x in share) == list(range(n))  # each sample once


def test_an_epoch_can_touch_several_rounds():
    sampler = EpochSampler(torch.arange(4), shuffle=False, seed=0, length=6)
    assert list(sampler) == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1)]
    sampler.start = 3
    assert list(sampler) == [(3, 1), (3, 2), (3, 3)]
    assert sampler.epoch == 3
