"""valid_data_loader, test_data_loader, and data that are not what they seem."""

import json

import torch

from base import BaseDataLoader, InMemoryDataset
from data_loader.sine import SineDataLoader

SINE = {"type": "SineDataLoader", "args": {"batch_size": 2000}}


def test_data_that_come_split_have_keys_of_their_own(train, evaluate, refused):
    part = "configs/sine_polynomial.json", "trainer.epochs=1", "trainer.tensorboard=false", "trainer.monitor=off"
    plain = evaluate(train(*part, run_id="plain"))
    run_dir = train(*part, f"valid_data_loader={json.dumps(SINE)}", f"test_data_loader={json.dumps(SINE)}")
    [record] = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert evaluate(run_dir) == plain
    assert record["val_loss"] == plain["loss"]
    both = "valid_data_loader=" + json.dumps(SINE), "data_loader.args.validation_split=0.1"
    message = refused("train", "-c", "configs/sine_polynomial.json", "-s", *both)
    assert "takes the place of data_loader.args.validation_split" in message


def test_a_loader_that_ignores_training_is_refused_by_the_test(train, refused, monkeypatch):
    def make(self, batch_size, training=True, **options):
        x = torch.linspace(0, 1, 50).unsqueeze(1)
        BaseDataLoader.__init__(self, InMemoryDataset(x, 2 * x), batch_size, training=training, **options)

    monkeypatch.setattr(SineDataLoader, "__init__", make)
    settings = "trainer.epochs=1", "trainer.tensorboard=false", "data_loader.args.validation_split=0.2"
    run_dir = train("configs/sine_polynomial.json", *settings)
    words = "with training=False it must hand out other samples than the training's"
    assert words in refused("test", "-r", run_dir)
    assert not (run_dir / "test_metrics.json").exists()
    assert words in refused("train", "-c", "configs/sine_polynomial.json", "--check", "-s", *settings)
