"""The order of samples; tests/base/test_base_data_loader.py has more of it."""

import torch

from utils.data import EpochSampler


def test_an_epoch_can_touch_several_rounds():
    sampler = EpochSampler(torch.arange(4), shuffle=False, seed=0, length=6)
    assert list(sampler) == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1)]
    sampler.start = 3
    assert list(sampler) == [(3, 1), (3, 2), (3, 3)]
    assert sampler.epoch == 3
