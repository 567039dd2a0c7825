import numpy as np
import torch

from model.polynomial import CubicPolynomial


def test_it_is_the_polynomial_of_its_coefficients():
    model = CubicPolynomial()
    x = torch.linspace(-3, 3, 20).unsqueeze(1)
    coefficients = [model.a.item(), model.b.item(), model.c.item(), model.d.item()]
    expected = np.polynomial.polynomial.polyval(x.numpy(), coefficients)
    np.testing.assert_allclose(model(x).detach().numpy(), expected, rtol=1e-5, atol=1e-5)


def test_the_seed_decides_the_coefficients():
    torch.manual_seed(1)
    first = CubicPolynomial()
    torch.manual_seed(1)
    assert first.state_dict() == CubicPolynomial().state_dict()
    assert first.state_dict() != CubicPolynomial().state_dict()
