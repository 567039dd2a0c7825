import math

import pytest
import torch

from data_loader.sine import SineDataLoader


def test_the_training_points_are_2000_evenly_spaced_ones_of_the_sine():
    x, y = next(iter(SineDataLoader(batch_size=2000, shuffle=False)))
    assert x.shape == y.shape == (2000, 1)
    assert (x[0].item(), x[-1].item()) == pytest.approx((-math.pi, math.pi))
    torch.testing.assert_close(x.diff(dim=0), torch.full((1999, 1), 2 * math.pi / 1999), rtol=0, atol=1e-6)
    assert y[:, 0].tolist() == pytest.approx([math.sin(value) for value in x[:, 0].tolist()], abs=1e-6)


def test_the_test_points_lie_between_the_training_points():
    x, _ = next(iter(SineDataLoader(batch_size=2000, shuffle=False)))
    between, _ = next(iter(SineDataLoader(batch_size=2000, shuffle=False, training=False)))
    assert len(between) == 1999
    assert ((x[:-1] < between) & (between < x[1:])).all()


def test_there_may_be_another_number_of_points():
    x, y = next(iter(SineDataLoader(batch_size=11, n_points=11, shuffle=False)))
    assert len(x) == 11 and abs(x[5].item()) < 1e-6
    torch.testing.assert_close(y, torch.sin(x))
    assert len(SineDataLoader(batch_size=11, n_points=11, training=False).dataset) == 10
