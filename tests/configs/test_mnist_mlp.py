"""The template trains the same network as the tutorial's plain loop."""

import pytest
import torch
from torch import nn
from torchvision.datasets import MNIST

from data_loader.mnist import MEAN, STD, MnistDataLoader
from utils.checkpoint import load_checkpoint

CONFIG = "configs/mnist_mlp.json"
EPOCHS = 2


@pytest.fixture(params=["real", "made up"])
def data_dir(request):
    return request.getfixturevalue("shared_data" if request.param == "real" else "fake_mnist")


def test_the_plain_loop_gives_the_same_losses_and_weights(train, read_metrics, data_dir):
    settings = (f"data_loader.args.data_dir={data_dir}", f"trainer.epochs={EPOCHS}", "trainer.tensorboard=false")
    run_dir = train(CONFIG, *settings)

    mnist = MNIST(data_dir, train=True)
    images, labels = (mnist.data / 255 - MEAN) / STD, mnist.targets
    torch.manual_seed(123)
    sampler = MnistDataLoader(data_dir, batch_size=32).sampler
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for batch in torch.tensor([index for _, index in sampler]).split(32):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / len(images))

    # fused or not, each step rounds otherwise: by at most half a unit in the last place of weights below 0.5
    rounding = EPOCHS * len(sampler) / 32 * torch.finfo(torch.float32).eps / 4
    assert [record["loss"] for record in read_metrics(run_dir)] == pytest.approx(losses, rel=rounding)
    trained = load_checkpoint(run_dir / "checkpoint-last.pth")["model"].values()
    for own, theirs in zip(trained, model.state_dict().values(), strict=True):
        torch.testing.assert_close(own, theirs, rtol=0, atol=rounding)


def test_it_learns(train, evaluate, fake_mnist):
    run_dir = train(CONFIG, f"data_loader.args.data_dir={fake_mnist}", "trainer.epochs=5", "trainer.tensorboard=false")
    results = evaluate(run_dir)
    assert results["n_samples"] == 300
    assert results["accuracy"] > 0.9
