import pytest
import torch
from torch import nn

from data_loader.quadratic import QuadraticDataLoader
from utils.checkpoint import load_checkpoint

EPOCHS = 1000  # of 10,000: in the first thousand the loss falls by no more than 2
QUICK = ("trainer.verbosity=0", "trainer.tensorboard=false", "trainer.monitor=off")


def test_the_plain_loop_has_the_same_losses_and_weights(train, read_metrics, evaluate):
    run_dir = train("configs/quadratic_regression.json", f"trainer.epochs={EPOCHS}", *QUICK)

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(1, 6), nn.ReLU(), nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 6), nn.ReLU(), nn.Linear(6, 1)
    )
    x, y = next(iter(QuadraticDataLoader(batch_size=1000, shuffle=False)))
    criterion, optimizer = nn.L1Loss(), torch.optim.SGD(model.parameters(), lr=0.0002)
    losses = []
    for _ in range(EPOCHS):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    logged = [record["loss"] for record in read_metrics(run_dir)]
    assert logged == pytest.approx(losses, rel=1e-6)
    trained = load_checkpoint(run_dir / "checkpoint-last.pth")["model"]
    torch.testing.assert_close(list(trained.values()), list(model.state_dict().values()), rtol=1e-6, atol=0)

    assert logged[-1] == pytest.approx(78, abs=2)  # "about 78 at epoch 1,000"
    assert evaluate(run_dir)["loss"] == pytest.approx(logged[-1], rel=0.1)
