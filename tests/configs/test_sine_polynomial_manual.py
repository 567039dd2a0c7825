import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from utils.checkpoint import load_checkpoint

CONFIG = "configs/sine_polynomial_manual.json"
QUICK = ("trainer.verbosity=0", "trainer.tensorboard=false", "trainer.monitor=off")
EPOCHS, LR = 2000, 1e-6


@pytest.fixture
def double_precision() -> Iterator[None]:
    """NumPy computes in float64; the float32 losses drift away from those by up to 6e-6 of their size."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def with_torch(start: list[float], epochs: int) -> tuple[list[float], list[float]]:
    x = torch.linspace(-math.pi, math.pi, 2000)
    y = torch.sin(x)
    a, b, c, d = torch.tensor(start)
    losses = []
    for _ in range(epochs):
        y_pred = a + b * x + c * x**2 + d * x**3
        losses.append((y_pred - y).pow(2).sum().item())
        grad_y_pred = 2 * (y_pred - y)
        a = a - LR * grad_y_pred.sum()
        b = b - LR * (grad_y_pred * x).sum()
        c = c - LR * (grad_y_pred * x**2).sum()
        d = d - LR * (grad_y_pred * x**3).sum()
    return losses, [a.item(), b.item(), c.item(), d.item()]


def with_numpy(start: list[float], epochs: int) -> tuple[list[float], list[float]]:
    x = np.linspace(-math.pi, math.pi, 2000)
    y = np.sin(x)
    a, b, c, d = start
    losses = []
    for _ in range(epochs):
        y_pred = a + b * x + c * x**2 + d * x**3
        losses.append(np.square(y_pred - y).sum())
        grad_y_pred = 2 * (y_pred - y)
        a -= LR * grad_y_pred.sum()
        b -= LR * (grad_y_pred * x).sum()
        c -= LR * (grad_y_pred * x**2).sum()
        d -= LR * (grad_y_pred * x**3).sum()
    return losses, [a, b, c, d]


def with_autograd(start: list[float], epochs: int) -> list[float]:
    x = torch.linspace(-math.pi, math.pi, 2000)
    coefficients = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.SGD([coefficients], lr=LR)
    for _ in range(epochs):
        a, b, c, d = coefficients
        optimizer.zero_grad()
        (a + b * x + c * x**2 + d * x**3 - torch.sin(x)).pow(2).sum().backward()
        optimizer.step()
    return coefficients.tolist()


def test_the_plain_loop_has_the_same_losses_and_autograd_the_same_coefficients(train, read_metrics, evaluate):
    run_dir = train(CONFIG, *QUICK)
    log = read_metrics(run_dir)
    losses = [record["loss"] for record in log]
    trained = [value.item() for value in load_checkpoint(run_dir / "checkpoint-last.pth")["model"].values()]

    torch.manual_seed(123)
    start = [torch.randn(()).item() for _ in range(4)]
    expected_losses, expected_coefficients = with_torch(start, EPOCHS)
    assert losses == pytest.approx(expected_losses, rel=1e-6)
    assert trained == pytest.approx(expected_coefficients, rel=1e-6, abs=1e-8)

    assert trained == pytest.approx(with_autograd(start, EPOCHS), abs=1e-5)
    assert trained == pytest.approx([0, 0.857, 0, -0.0933], abs=0.02)
    assert [log[-1][name] for name in "abcd"] == trained
    assert evaluate(run_dir)["loss"] == pytest.approx(losses[-1], rel=0.01)


def test_numpy_has_the_same_losses_and_coefficients(train, read_metrics, double_precision):
    epochs = 200
    run_dir = train(CONFIG, f"trainer.epochs={epochs}", *QUICK)
    trained = [value.item() for value in load_checkpoint(run_dir / "checkpoint-last.pth")["model"].values()]

    torch.manual_seed(123)
    losses, coefficients = with_numpy([torch.randn(()).item() for _ in range(4)], epochs)
    assert [record["loss"] for record in read_metrics(run_dir)] == pytest.approx(losses, rel=1e-6)
    assert trained == pytest.approx(coefficients, rel=1e-6)
