import logging

import pytest
import torch
from torch.utils.data import TensorDataset

from base import BaseDataLoader, InMemoryDataset
from data_loader.fingerprint import DataState, fingerprint


def loader(data, **options):
    return BaseDataLoader(InMemoryDataset(data, torch.zeros(len(data))), 4, **options)


def test_it_is_that_of_the_samples_whatever_the_seed_the_split_and_the_way_they_are_read():
    data = torch.rand(100, 3)
    torch.manual_seed(1)
    first = fingerprint(loader(data))
    torch.manual_seed(2)
    assert fingerprint(loader(data, validation_split=0.3)) == first
    assert fingerprint(BaseDataLoader(TensorDataset(data, torch.zeros(100)), 8, shuffle=False)) == first
    assert first["n_samples"] == 100


def test_other_samples_another_order_or_number_are_another_one():
    data = torch.rand(100, 3)
    several = [data, data.flip(0), data[:99], data.double(), data.view(100, 1, 3), data + 1]
    assert len({str(fingerprint(loader(each))) for each in several}) == len(several)


def test_a_transform_that_draws_is_looked_at_without_a_trace():
    dataset = InMemoryDataset(torch.rand(9, 2), torch.zeros(9), lambda data: data + torch.rand_like(data))
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    noisy = BaseDataLoader(dataset, 3)
    assert fingerprint(noisy) == fingerprint(noisy)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("change", "words"), [(lambda data: data[1:], "20 samples then, 19 now"), (lambda data: data.flip(0), "order")]
)
def test_changed_data_are_warned_of_and_the_same_are_not(caplog, change, words):
    data = torch.rand(20, 2)
    state = DataState(loader(data)).state_dict()
    with caplog.at_level(logging.WARNING):
        DataState(loader(data)).load_state_dict(state)
        assert caplog.text == ""
        DataState(loader(change(data))).load_state_dict(state)
    assert "no longer those of the checkpoint" in caplog.text and words in caplog.text
