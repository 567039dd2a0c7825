"""The default config's first losses: a change of the code that should change no number changes none of these.

That they are right is shown elsewhere (test_trainer.py compares with a loop by hand); here a refactoring is caught.
"""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("golden.json")
NAMES = ("loss", "accuracy", "val_loss", "val_accuracy", "lr")


def test_the_first_epochs_of_the_default_config(train, read_metrics):
    expected = json.loads(GOLDEN.read_text())
    run_dir = train("config.json", f"trainer.epochs={len(expected)}", "trainer.tensorboard=false")
    for record, golden in zip(read_metrics(run_dir), expected, strict=True):
        # other processors and versions round differently; a real change is larger than that
        assert {name: record[name] for name in NAMES} == pytest.approx(golden, rel=2e-3)
