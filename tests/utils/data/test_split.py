"""Which samples validate, and how often each is drawn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.data import split_indices


@given(n=st.integers(2, 300), split=st.floats(0, 0.99) | st.integers(0, 299))
def test_a_split_loses_and_doubles_nothing(n, split):
    n_valid = split if isinstance(split, int) else int(n * split)
    if n_valid >= n:
        with pytest.raises(ValueError, match="leaves no training sample"):
            split_indices(torch.arange(n), split)
        return
    training, validation = split_indices(torch.arange(n), split)
    assert len(validation) == n_valid
    assert sorted([*training.tolist(), *validation.tolist()]) == list(range(n))


@settings(max_examples=30)
@given(counts=st.lists(st.integers(10, 60), min_size=2, max_size=5), split=st.floats(0.2, 0.6))
def test_a_stratified_split_keeps_the_classes_shares(counts, split):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    training, validation = split_indices(torch.arange(len(labels)), split, labels)
    for label, count in enumerate(counts):
        expected = count * len(validation) / len(labels)
        assert abs((labels[validation] == label).sum().item() - expected) <= 1
    assert len(training) + len(validation) == len(labels)
