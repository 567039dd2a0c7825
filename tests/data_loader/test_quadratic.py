import torch

from data_loader.quadratic import QuadraticDataLoader


def all_points(**arguments):
    return next(iter(QuadraticDataLoader(batch_size=1000, shuffle=False, **arguments)))


def test_a_batch_is_columns_of_x_in_minus_15_to_15_and_a_parabola_with_noise_1():
    x, y = all_points()
    assert x.shape == y.shape == (1000, 1)
    assert x.dtype == y.dtype == torch.float32
    assert -15 <= x.min() < -14.7 and 14.7 < x.max() <= 15
    residual = y - (x**2 + 3)
    assert abs(residual.mean()) < 0.15  # its standard error is 0.03
    assert abs(residual.std() - 1) < 0.1


def test_the_points_depend_on_the_data_seed_alone():
    torch.manual_seed(1)
    first = all_points()
    torch.manual_seed(2)
    assert torch.equal(first[1], all_points()[1])
    assert not torch.equal(first[1], all_points(data_seed=1)[1])


def test_the_test_points_are_others():
    assert not set(all_points()[0].flatten().tolist()) & set(all_points(training=False)[0].flatten().tolist())
