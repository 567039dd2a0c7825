"""The example whose outputs and targets are dicts."""

import pytest
import torch

from trainer import Trainer
from utils.checkpoint import load_checkpoint


def test_both_answers_are_learned(train, evaluate, read_metrics):
    run_dir = train("configs/digits_two_heads.json", "trainer.tensorboard=false")
    results = evaluate(run_dir)
    assert results["n_samples"] == 360
    assert results["accuracy_of_all"] >= 0.95
    assert set(load_checkpoint(run_dir / "model_best.pth")["model"]) >= {"heads.digit.weight", "heads.parity.weight"}


@pytest.mark.parametrize("settings", [["trainer.accumulate=3", "data_loader.args.num_workers=1"], ["trainer.amp=bf16"]])
def test_options_work_on_batches_of_dicts(train, resume, read_metrics, settings):
    short = "data_loader.args.len_epoch=8"  # of 41 steps
    config = ("configs/digits_two_heads.json", "trainer.tensorboard=false", short, *settings)
    straight = train(*config, "trainer.epochs=2", run_id="straight")
    stopped = train(*config, "trainer.epochs=1", run_id="stopped")
    resume(stopped, "trainer.epochs=2")
    first, second = (load_checkpoint(run / "checkpoint-last.pth")["model"] for run in (straight, stopped))
    assert all(torch.equal(first[name], second[name]) for name in first)
    losses = [[record["val_loss"] for record in read_metrics(run)] for run in (straight, stopped)]
    assert losses[0] == losses[1]


def test_named_a_batch_of_dicts_are_put_together_again():
    batch = torch.rand(7, 2), {"a": torch.arange(7), "b": torch.rand(7, 3)}
    model = torch.nn.Linear(2, 1)

    class Echo(Trainer):
        def compute_loss(self, batch):
            data, target = batch
            return self.model(data).mean(), {"a": target["b"]}, target

    trainer = Echo(model, None, optimizer=torch.optim.SGD(model.parameters(), 0.0), accumulate=3)
    loss, output, target = trainer.train_step(batch)
    assert trainer.part_size == 3
    torch.testing.assert_close(output["a"], batch[1]["b"])
    torch.testing.assert_close(target, batch[1])
    torch.testing.assert_close(loss, model(batch[0]).mean())
