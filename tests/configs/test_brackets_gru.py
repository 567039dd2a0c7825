"""Sequences of different lengths: a collate_fn that pads, and a model on which padding has no influence."""

import pytest
import torch

from data_loader.brackets import CLOSING, OPENING, BracketsDataLoader, pad
from model.sequence import SequenceClassifier
from utils.checkpoint import load_checkpoint

CONFIG = "configs/brackets_gru.json"


def is_in_order(tokens: list[int]) -> bool:
    stack = []
    for token in tokens:
        if token in OPENING:
            stack.append(OPENING.index(token))
        elif not stack or stack.pop() != CLOSING.index(token):
            return False
    return not stack


def test_the_target_says_whether_the_brackets_are_in_order():
    loader = BracketsDataLoader(batch_size=100, n_samples=500)
    (data, target), *_ = loader
    assert data["tokens"].shape == (100, data["lengths"].max()) and target.shape == (100,)
    for tokens, length, right in zip(data["tokens"].tolist(), data["lengths"].tolist(), target.tolist(), strict=True):
        assert is_in_order(tokens[:length]) == right and not any(tokens[length:])
    assert 0.4 < loader.samples.target.float().mean() < 0.6


def test_padding_has_no_influence():
    torch.manual_seed(0)
    model = SequenceClassifier(n_tokens=5, n_classes=2)
    loader = BracketsDataLoader(batch_size=1)
    samples = [loader.samples[index] for index in range(20)]
    data, _ = pad(samples)
    assert len(data["lengths"].unique()) > 3
    alone = torch.cat([model(pad([sample])[0]) for sample in samples])
    torch.testing.assert_close(model(data), alone)


def test_it_learns_with_all_that_a_trainer_can(train, read_metrics, evaluate):
    """In parts, with a metric per epoch; more than the share of the commoner class, after 2 of its 15 epochs."""
    run_dir = train(CONFIG, "trainer.epochs=2", "trainer.accumulate=2", "trainer.tensorboard=false")
    log = read_metrics(run_dir)
    assert log[-1]["val_accuracy"] > 0.65 and log[-1]["loss"] < 0.8 * log[0]["loss"]
    results = evaluate(run_dir)
    assert results["macro_f1"] == pytest.approx(results["accuracy"], abs=0.05)


def test_a_stopped_run_goes_on_bit_by_bit(train, resume):
    few = ("data_loader.args.n_samples=100", "trainer.tensorboard=false")
    whole = train(CONFIG, "trainer.epochs=2", *few, run_id="whole")
    parts = train(CONFIG, "trainer.epochs=1", *few, run_id="parts")
    resume(parts, "trainer.epochs=2")
    first, second = (load_checkpoint(run / "checkpoint-last.pth")["model"] for run in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)
