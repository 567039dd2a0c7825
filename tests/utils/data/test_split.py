"""Which samples validate."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from base import BaseDataLoader, InMemoryDataset
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


def folds(indices: torch.Tensor, n_folds: int, **options) -> list[list[int]]:
    """The validation part of each fold; the training part is all the rest."""
    parts = []
    for number in range(1, n_folds + 1):
        training, validation = split_indices(indices, f"{number}/{n_folds}", **options)
        assert sorted([*training.tolist(), *validation.tolist()]) == sorted(indices.tolist())
        parts.append(validation.tolist())
    return parts


@settings(max_examples=30)
@given(n=st.integers(2, 200), n_folds=st.integers(2, 10), seed=st.integers(0, 2**32 - 1))
def test_each_sample_validates_in_one_fold_and_the_folds_are_equally_large(n, n_folds, seed):
    indices = torch.arange(1000, 1000 + 3 * n, 3)
    if n_folds > n:
        with pytest.raises(ValueError, match=f"2 to {n} folds"):
            split_indices(indices, f"1/{n_folds}", seed=seed)
        return
    parts = folds(indices, n_folds, seed=seed)
    assert sorted(index for part in parts for index in part) == indices.tolist()
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert parts == folds(indices, n_folds, seed=seed)


@settings(max_examples=30)
@given(counts=st.lists(st.integers(5, 40), min_size=2, max_size=4), n_folds=st.integers(2, 7))
def test_stratified_folds_keep_the_classes_shares(counts, n_folds):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    if n_folds > min(counts):
        with pytest.raises(ValueError, match="smallest class"):
            folds(torch.arange(len(labels)), n_folds, labels=labels)
        return
    for part in folds(torch.arange(len(labels)), n_folds, labels=labels):
        for label, count in enumerate(counts):
            assert abs((labels[part] == label).sum().item() - count / n_folds) <= 1


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(1, 12), min_size=2, max_size=25), data=st.data())
def test_a_group_is_never_parted(sizes, data):
    groups = [f"patient {number}" for number, size in enumerate(sizes) for _ in range(size)]
    groups = data.draw(st.permutations(groups))
    n_folds = data.draw(st.integers(2, len(sizes)))
    for part in folds(torch.arange(len(groups)), n_folds, groups=groups):
        members = {groups[index] for index in part}
        assert members and part == [index for index, group in enumerate(groups) if group in members]
    training, validation = split_indices(torch.arange(len(groups)), 1, groups=groups)
    assert len({groups[index] for index in validation}) == 1
    assert not {groups[index] for index in validation} & {groups[index] for index in training}


def test_grouped_folds_can_be_stratified_too():
    groups = torch.arange(60).repeat_interleave(5)
    labels = (groups % 3 == 0).long()
    for part in folds(torch.arange(300), 4, labels=labels, groups=groups.tolist()):
        assert len(part) == 75 and labels[part].sum() == 25
    with pytest.raises(ValueError, match="name a fold"):
        split_indices(torch.arange(300), 0.25, labels, groups.tolist())


@pytest.mark.parametrize("split", ["0/5", "6/5", "1/1", "1/0", "1/11"])
def test_a_fold_that_there_is_not(split):
    with pytest.raises(ValueError, match="2 to 10 folds are possible"):
        split_indices(torch.arange(10), split)


def test_a_loader_splits_by_fold_and_group_and_its_own_seed():
    dataset = InMemoryDataset(torch.arange(40).float().unsqueeze(1), torch.arange(40) % 2)
    groups = [index // 4 for index in range(40)]
    validated = []
    for number in range(1, 6):
        loader = BaseDataLoader(dataset, 8, validation_split=f"{number}/5", groups=groups, stratify=True)
        valid = torch.cat([data for data, _ in loader.split_validation()]).flatten().tolist()
        assert len(valid) == 8 == sum(groups[int(i)] == groups[int(j)] for i in valid for j in valid) / 4
        validated += valid
    assert sorted(validated) == list(range(40))

    def split(seed: int, split_seed: int) -> list[int]:
        torch.manual_seed(seed)
        return BaseDataLoader(dataset, 8, validation_split=0.25, split_seed=split_seed).valid_indices.tolist()

    assert split(1, 0) == split(2, 0) != split(1, 1)


def test_groups_are_one_per_sample_and_nothing_to_the_test_part():
    dataset = InMemoryDataset(torch.zeros(6, 1), torch.zeros(6, 1))
    with pytest.raises(ValueError, match="5 groups for 6 samples"):
        BaseDataLoader(dataset, 2, validation_split=0.5, groups=[1, 2, 3, 4, 5])
    assert len(BaseDataLoader(dataset, 2, groups=[1, 2], training=False).sampler) == 6
