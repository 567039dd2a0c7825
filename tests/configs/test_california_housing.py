import pytest
import torch
from torch import nn

from data_loader.california import CaliforniaHousingDataLoader
from utils.checkpoint import load_checkpoint

EPOCHS = 4  # of 200


@pytest.mark.parametrize("name, standardize", [("california_housing", True), ("california_housing_raw", False)])
def test_the_plain_loop_has_the_same_losses_and_weights(name, standardize, train, read_metrics, evaluate, shared_data):
    data_home = shared_data / "california"
    # torch.optim.Adam as the loop below has it: a fused one rounds differently
    settings = [f"trainer.epochs={EPOCHS}", "trainer.tensorboard=false", "optimizer.args.fused=false"]
    run_dir = train(f"configs/{name}.json", f"data_loader.args.data_home={data_home}", *settings)

    torch.manual_seed(123)
    data_loader = CaliforniaHousingDataLoader(data_home, batch_size=100, standardize=standardize, shuffle=True)
    model = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 1))
    criterion, optimizer = nn.MSELoss(), torch.optim.Adam(model.parameters(), lr=0.001)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for x, y in data_loader:
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        losses.append(total / 16512)

    assert [record["loss"] for record in read_metrics(run_dir)] == pytest.approx(losses, rel=1e-6)
    trained = load_checkpoint(run_dir / "checkpoint-last.pth")["model"]
    torch.testing.assert_close(list(trained.values()), list(model.state_dict().values()), rtol=1e-6, atol=0)

    results = evaluate(run_dir)
    assert results["n_samples"] == 4128
    if standardize:
        assert results["r2_score"] > 0.6
