import math
import re

import pytest
import torch
from torch.utils.data import TensorDataset

from base import BaseDataLoader, InMemoryDataset
from data_loader.report import report_data


def look_at(caplog, data, target, kind=InMemoryDataset) -> tuple[str, list[str]]:
    """What is logged of some data: the description, and the warnings."""
    caplog.clear()
    caplog.set_level("INFO")
    report_data(BaseDataLoader(kind(data, target), 4))
    [description] = [record.message for record in caplog.records if record.levelname == "INFO"]
    return description, [record.message for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("kind", [InMemoryDataset, TensorDataset])
def test_good_data_are_described_and_not_warned_of(caplog, kind):
    data = torch.tensor([[-1.0, 3.0], [1.0, -3.0]]).repeat(10, 1)
    description, warnings = look_at(caplog, data, torch.arange(20) % 2, kind)
    assert description == (
        "Data: 20 training samples, 0 for validation; data float32 (2,) from -3 to 3; "
        "target int64 () from 0 to 1, 2 different values"
    )
    assert warnings == []


good = torch.tensor([[-1.0, 3.0], [1.0, -3.0]]).repeat(30, 1)
classes = torch.arange(60) % 2


@pytest.mark.parametrize(
    ("data", "target", "words"),
    [
        (good.where(torch.arange(60).unsqueeze(1) > 2, math.nan), classes, "hold NaN or infinity"),
        (good, torch.tensor([1.0] * 59 + [math.inf]), "hold NaN or infinity"),
        (good.byte(), classes, "refuse torch.uint8"),
        (good.double(), classes, "refuse torch.float64"),
        (good, torch.zeros(60).long(), "every target looked at is 0"),
        (good, (torch.arange(60) > 57).long(), "one class is 29 times as frequent as another"),
    ],
)
def test_what_is_off_is_named(caplog, data, target, words):
    [warning] = look_at(caplog, data, target)[1]
    assert re.search(words, warning)


@pytest.mark.parametrize("kind", [InMemoryDataset, TensorDataset])
def test_data_that_are_sorted_by_class_are_looked_at_evenly(caplog, kind):
    target = torch.arange(2).repeat_interleave(5000)
    assert look_at(caplog, good.repeat(167, 1)[:10000], target, kind)[1] == []


def test_looking_draws_nothing(caplog):
    before = torch.get_rng_state()
    look_at(caplog, good, classes, TensorDataset)
    look_at(caplog, good, classes, lambda data, target: InMemoryDataset(data, target, lambda x: x + torch.rand(1)))
    assert torch.equal(before, torch.get_rng_state())


def test_batches_that_are_no_pair_are_left_alone(caplog):
    caplog.set_level("INFO")
    report_data(BaseDataLoader(TensorDataset(good), 4))
    assert caplog.messages == []
