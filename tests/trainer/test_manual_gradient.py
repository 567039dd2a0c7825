import pytest
import torch

from data_loader.sine import SineDataLoader
from model.linear import LinearRegression
from model.loss import mse_loss, sse_loss
from model.polynomial import CubicPolynomial
from trainer.manual_gradient import ManualGradientTrainer
from utils.checkpoint import load_checkpoint


@pytest.mark.parametrize("seed", range(5))
def test_the_gradients_are_those_of_autograd(seed):
    torch.manual_seed(seed)
    model = CubicPolynomial()
    batch = next(iter(SineDataLoader(batch_size=100)))
    expected = torch.autograd.grad(sse_loss(model(batch[0]), batch[1]), list(model.parameters()))

    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    loss, output, _ = ManualGradientTrainer(model, sse_loss, optimizer=optimizer).train_step(batch)
    torch.testing.assert_close([p.grad for p in model.parameters()], list(expected), rtol=1e-5, atol=1e-3)
    assert not loss.requires_grad and not output.requires_grad


def test_any_optimizer_takes_the_step():
    model = CubicPolynomial()
    before = model.a.item()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    ManualGradientTrainer(model, sse_loss, optimizer=optimizer).train_step(next(iter(SineDataLoader(100))))
    assert abs(model.a.item() - before) == pytest.approx(0.5, rel=1e-4)  # Adam's first step has the size of lr


@pytest.mark.parametrize("model, loss", [(CubicPolynomial(), mse_loss), (LinearRegression(), sse_loss)])
def test_another_model_or_loss_is_refused(model, loss):
    with pytest.raises(ValueError, match="CubicPolynomial and sse_loss only"):
        ManualGradientTrainer(model, loss)


def test_a_resumed_run_is_the_uninterrupted_one(train, resume, read_metrics):
    config, settings = "configs/sine_polynomial_manual.json", ["optimizer.type=Adam", "optimizer.args.lr=0.01"]
    whole = train(config, "trainer.epochs=6", *settings, run_id="whole")
    parts = resume(train(config, "trainer.epochs=3", *settings, run_id="parts"), "trainer.epochs=6")

    logs = [[{**record, "seconds": 0} for record in read_metrics(run)] for run in (whole, parts)]
    assert logs[0] == logs[1] and len(logs[0]) == 6
    first, second = (load_checkpoint(run / "checkpoint-last.pth") for run in (whole, parts))
    assert first["model"] == second["model"] and first["optimizer"] == second["optimizer"]
