import torch

from data_loader.linear import LinearDataLoader


def all_points(**arguments):
    return next(iter(LinearDataLoader(batch_size=1000, shuffle=False, **arguments)))


def test_a_batch_is_1000_columns_of_x_in_minus_10_to_10_and_y():
    x, y = all_points()
    assert x.shape == y.shape == (1000, 1)
    assert x.dtype == y.dtype == torch.float32
    assert -10 <= x.min() < -9.8 and 9.8 < x.max() <= 10


def test_x_may_be_another_range():
    x, y = all_points(x_min=0, x_max=10, noise=0.0)
    assert 0 <= x.min() < 0.1 and 9.9 < x.max() <= 10
    torch.testing.assert_close(y, 2 * x + 3)


def test_without_noise_the_points_lie_on_the_line_and_with_noise_around_it():
    x, y = all_points(noise=0.0)
    torch.testing.assert_close(y, 2 * x + 3)
    x, y = all_points(noise=1.0)
    residual = y - (2 * x + 3)
    assert abs(residual.mean()) < 0.3  # its standard error is 0.06
    assert abs(residual.std() - 2) < 0.2  # noise of 1 on x is 2 on y


def test_the_points_depend_on_the_data_seed_alone():
    torch.manual_seed(1)
    first = all_points()
    torch.manual_seed(2)
    assert torch.equal(first[1], all_points()[1])
    assert not torch.equal(first[1], all_points(data_seed=1)[1])


def test_the_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    LinearDataLoader(batch_size=1000)
    assert torch.equal(before, torch.get_rng_state())


def test_the_test_points_are_others():
    assert not set(all_points()[0].flatten().tolist()) & set(all_points(training=False)[0].flatten().tolist())
