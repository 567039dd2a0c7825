import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset, TensorDataset

import base.base_data_loader as module
from base import BaseDataLoader, BaseDataset, InMemoryDataset, split_indices


def in_memory(n: int) -> InMemoryDataset:
    return InMemoryDataset(torch.arange(n).float().unsqueeze(1), torch.arange(n) % 3)


def one_by_one(n: int) -> Dataset:
    return TensorDataset(torch.arange(n).float().unsqueeze(1), torch.arange(n) % 3)


def numbers(batches) -> list[int]:
    return [int(x) for data, _ in batches for x in data.flatten()]


both_ways = pytest.mark.parametrize("make", [in_memory, one_by_one])


@both_ways
def test_it_is_a_torch_data_loader(make):
    loader = BaseDataLoader(make(10), 4)
    assert isinstance(loader, DataLoader)
    assert (len(loader), loader.batch_size, loader.n_samples) == (3, 4, 10)
    assert [len(data) for data, _ in loader] == [4, 4, 2]
    assert [len(data) for data, _ in BaseDataLoader(make(10), 4, drop_last=True)] == [4, 4]
    assert len(BaseDataLoader(make(10), 4, drop_last=True)) == 2


@both_ways
def test_the_order_is_a_function_of_seed_and_epoch(make):
    torch.manual_seed(3)
    first, second = BaseDataLoader(make(50), 8), BaseDataLoader(make(50), 8)
    torch.manual_seed(4)
    other_seed = BaseDataLoader(make(50), 8)
    epochs = [numbers(first) for _ in range(3)]  # a pass counts the epoch up
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert all(a != b for a, b in pairwise(epochs))
    second.set_position(3)
    assert numbers(second) == epochs[2]
    second.set_position(1)
    assert numbers(second) == epochs[0]
    assert numbers(other_seed) != epochs[0]


def test_both_ways_give_the_same_batches():
    torch.manual_seed(0)
    a, b = BaseDataLoader(in_memory(20), 6), BaseDataLoader(one_by_one(20), 6)
    assert numbers(a) == numbers(b)


@both_ways
@pytest.mark.parametrize("batch", [0, 1, 5, 7])
def test_a_pass_can_start_at_any_batch(make, batch):
    loader = BaseDataLoader(make(50), 8)
    loader.set_position(2)
    whole = numbers(loader)
    loader.set_position(2, batch)
    assert numbers(loader) == whole[batch * 8 :]
    loader.set_position(2)
    assert numbers(loader) == whole


@both_ways
def test_without_shuffle_the_order_is_that_of_the_data(make):
    assert numbers(BaseDataLoader(make(9), 4, shuffle=False)) == list(range(9))


@both_ways
def test_iterating_draws_nothing_from_the_global_random_state(make):
    loader = BaseDataLoader(make(20), 4)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    numbers(loader)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()


class Augmented(BaseDataset):
    """A sample is its number, and random numbers of three generators."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        import random

        return torch.tensor(
            [float(index), random.random(), np.random.rand(), torch.rand(()).item()], dtype=torch.double
        )


@pytest.mark.parametrize("num_workers", [1, 2])
def test_augmentation_depends_on_seed_epoch_and_sample_alone(num_workers):
    torch.manual_seed(0)
    plain = BaseDataLoader(Augmented(), 4)
    with_workers = BaseDataLoader(Augmented(), 4, num_workers=num_workers)
    for _ in range(2):
        expected, found = torch.cat(list(plain)), torch.cat(list(with_workers))
        assert torch.equal(expected, found)
        assert len(expected[:, 1].unique()) == len(expected[:, 2].unique()) == len(expected[:, 3].unique()) == 12
    with_workers.close()
    another_batch_size = torch.cat(list(BaseDataLoader(Augmented(), 5)))
    plain.set_position(1)
    assert torch.equal(torch.cat(list(plain)), another_batch_size)


# ------------------------------------------------------------------------------------------------ validation split


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


def test_the_split_is_the_same_for_every_seed():
    splits = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        splits.append(sorted(numbers(BaseDataLoader(in_memory(40), 8, validation_split=0.25).split_validation())))
    assert splits[0] == splits[1] and len(splits[0]) == 10


@both_ways
def test_validation_is_apart_from_training_and_in_order(make):
    loader = BaseDataLoader(make(40), 8, validation_split=0.25)
    valid_loader = loader.split_validation()
    valid = numbers(valid_loader)
    assert valid == sorted(valid) == numbers(valid_loader)
    assert sorted(valid + numbers(loader)) == list(range(40))
    assert (loader.n_samples, valid_loader.n_samples) == (30, 10)
    assert BaseDataLoader(make(40), 8).split_validation() is None


def test_validation_gets_the_evaluation_transform():
    data, target = torch.zeros(10, 1), torch.zeros(10)
    loader = BaseDataLoader(
        InMemoryDataset(data, target, lambda x: x + 1),
        5,
        validation_split=4,
        eval_dataset=InMemoryDataset(data, target),
    )
    assert numbers(loader) == [1] * 6
    assert numbers(loader.split_validation()) == [0] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": in_memory(0)}, "the dataset is empty"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"validation_split": 1.0}, "leaves no training sample"),
        ({"validation_split": -0.1}, "leaves no training sample"),
        ({"validation_split": 10}, "leaves no training sample of 10"),
        ({"dataset": one_by_one(10), "stratify": True}, r"stratify needs TensorDataset\.target"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        BaseDataLoader(**{"dataset": in_memory(10), "batch_size": 2} | arguments)


# -------------------------------------------------------------------------------------------------------- sharding


@pytest.fixture
def as_rank(monkeypatch):
    def pretend(rank: int, world_size: int) -> None:
        monkeypatch.setattr(module, "rank", lambda: rank)
        monkeypatch.setattr(module, "world_size", lambda: world_size)

    return pretend


@both_ways
@pytest.mark.parametrize(("n", "world_size"), [(16, 2), (17, 2), (20, 3), (5, 4)])
def test_processes_share_the_samples(as_rank, make, n, world_size):
    training, evaluation = [], []
    for rank in range(world_size):
        as_rank(rank, world_size)
        loader = BaseDataLoader(make(n), 2)
        assert len(loader) == math.ceil(loader.n_samples / 2)
        training.append(numbers(loader))
        evaluation.append(numbers(BaseDataLoader(make(n), 2, shuffle=False)))
        assert len(evaluation[-1]) == BaseDataLoader(make(n), 2, shuffle=False).n_samples
    assert {len(share) for share in training} == {n // world_size}  # equally many steps everywhere
    assert len({x for share in training for x in share}) == n // world_size * world_size
    assert sorted(x for share in evaluation for x in share) == list(range(n))  # each sample once


@both_ways
def test_the_test_split_is_every_sample_once_whatever_the_options(make):
    loader = BaseDataLoader(make(10), 4, shuffle=True, validation_split=0.5, drop_last=True, training=False)
    assert numbers(loader) == list(range(10))
    assert loader.split_validation() is None
