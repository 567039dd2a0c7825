import itertools

import pytest
import torch
from torch import nn

from data_loader.linear import LinearDataLoader
from utils.checkpoint import load_checkpoint


def test_the_plain_loop_has_the_same_losses_and_weights_and_the_loss_falls_steadily(train, read_metrics, evaluate):
    run_dir = train("configs/linear_regression_mse.json", "trainer.tensorboard=false")

    torch.manual_seed(123)
    model = nn.Linear(1, 1)
    x, y = next(iter(LinearDataLoader(batch_size=1000, shuffle=False, noise=0.0)))
    criterion, optimizer = nn.MSELoss(), torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(100):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    logged = [record["loss"] for record in read_metrics(run_dir)]
    assert logged == pytest.approx(losses, rel=1e-6)
    trained = load_checkpoint(run_dir / "checkpoint-last.pth")["model"]
    torch.testing.assert_close(trained, dict(model.state_dict()), rtol=1e-6, atol=0)

    assert all(later < earlier for earlier, later in itertools.pairwise(logged))
    assert evaluate(run_dir)["loss"] < logged[0] / 100
