"""config.json, the default run."""

import re

import pytest


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "arch.args.sizes=[64, 10, 5]",
            r"loss: cross_entropy .* output, \[32, 5\] float32, with the target, \[32\] int64: Target \d",
        ),
        ("arch.args.sizes=[64, 10, 1]", r"loss: cross_entropy .* \[32, 1\].*one class"),
        (
            "loss=mse_loss",
            r"loss: mse_loss .* \[32, 10\] float32, with the target, \[32\] int64: they must have the same shape",
        ),
        ('metrics=["r2_score"]', r"metrics: r2_score .* \[32, 10\] float32, with the target, \[32\] int64"),
        ("loss.args.label_smoothing=5", "loss: cross_entropy .*label_smoothing must be between"),
    ],
)
def test_a_loss_or_metric_that_does_not_fit_the_model_is_found_by_check(refused, setting, words):
    assert re.search(words, refused("train", "-c", "config.json", "--check", "-s", setting))
