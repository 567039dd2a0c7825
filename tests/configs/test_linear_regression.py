import pytest
import torch
from torch import nn

from data_loader.linear import LinearDataLoader
from utils.checkpoint import load_checkpoint


def test_the_plain_loop_has_the_same_losses_and_weights_and_finds_the_line(train, read_metrics, evaluate, capfd):
    run_dir = train("configs/linear_regression.json", "trainer.tensorboard=false")

    torch.manual_seed(123)
    model = nn.Linear(1, 1)
    x, y = next(iter(LinearDataLoader(batch_size=1000, shuffle=False)))
    criterion, optimizer = nn.L1Loss(), torch.optim.SGD(model.parameters(), lr=0.01)
    losses, weights, biases = [], [], []
    for _ in range(500):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        weights.append(model.weight.item())
        biases.append(model.bias.item())

    log = read_metrics(run_dir)
    assert [record["loss"] for record in log] == pytest.approx(losses, rel=1e-6)
    assert [record["weight"] for record in log] == pytest.approx(weights, rel=1e-6)
    assert [record["bias"] for record in log] == pytest.approx(biases, rel=1e-6)
    trained = load_checkpoint(run_dir / "checkpoint-last.pth")["model"]
    torch.testing.assert_close(trained, dict(model.state_dict()), rtol=1e-6, atol=0)

    assert log[-1]["weight"] == pytest.approx(2, abs=0.05)
    distances = [abs(3 - log[epoch]["bias"]) for epoch in (0, 99, 199, 299, 399, 499)]
    assert distances == sorted(distances, reverse=True) and distances[-1] < 1
    assert evaluate(run_dir)["loss"] == pytest.approx(log[-1]["loss"], rel=0.1)
    last_line = next(line for line in capfd.readouterr().out.splitlines() if line.startswith("epoch 500/500"))
    assert f"weight {weights[-1]:.4g}" in last_line and f"bias {biases[-1]:.4g}" in last_line
