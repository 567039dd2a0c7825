import math

import pytest
import torch

from utils.checkpoint import load_checkpoint

QUICK = ("trainer.verbosity=0", "trainer.tensorboard=false", "trainer.monitor=off")


def test_the_plain_loop_has_the_same_losses_and_coefficients_near_the_best_ones(train, read_metrics, evaluate):
    run_dir = train("configs/sine_polynomial.json", *QUICK)

    torch.manual_seed(123)
    a, b, c, d = coefficients = [torch.randn((), requires_grad=True) for _ in range(4)]
    x = torch.linspace(-math.pi, math.pi, 2000)
    y = torch.sin(x)
    losses = []
    for _ in range(2000):
        loss = (a + b * x + c * x**2 + d * x**3 - y).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            for coefficient in coefficients:
                coefficient -= 1e-6 * coefficient.grad
                coefficient.grad = None
        losses.append(loss.item())

    log = read_metrics(run_dir)
    assert [record["loss"] for record in log] == pytest.approx(losses, rel=1e-6)
    trained = load_checkpoint(run_dir / "checkpoint-last.pth")["model"]
    torch.testing.assert_close(list(trained.values()), [p.detach() for p in coefficients], rtol=1e-6, atol=1e-8)

    assert [log[-1][name] for name in "abcd"] == pytest.approx([0, 0.857, 0, -0.0933], abs=0.02)
    assert evaluate(run_dir)["loss"] == pytest.approx(log[-1]["loss"], rel=0.01)
