import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from base import BaseDataLoader, BaseDataset, InMemoryDataset


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


def test_augmentation_depends_on_seed_epoch_and_sample_alone():
    torch.manual_seed(0)
    plain = BaseDataLoader(Augmented(), 4)
    with_workers = BaseDataLoader(Augmented(), 4, num_workers=2)
    for _ in range(2):
        expected, found = torch.cat(list(plain)), torch.cat(list(with_workers))
        assert torch.equal(expected, found)
        assert len(expected[:, 1].unique()) == len(expected[:, 2].unique()) == len(expected[:, 3].unique()) == 12
    with_workers.close()
    another_batch_size = torch.cat(list(BaseDataLoader(Augmented(), 5)))
    plain.set_position(1)
    assert torch.equal(torch.cat(list(plain)), another_batch_size)


# ----------------------------------------------------------------------------------------------- len_epoch, balanced


@both_ways
@pytest.mark.parametrize("len_epoch", [1, 3, 4, 11])  # a pass over 20 samples has 3 1/3 batches of 6
def test_an_epoch_of_len_epoch_batches_goes_on_where_the_one_before_ended(make, len_epoch):
    loader = BaseDataLoader(make(20), 6, len_epoch=len_epoch)
    assert len(loader) == len_epoch
    epochs = [list(loader) for _ in range(12)]
    assert all([len(data) for data, _ in epoch] == [6] * len_epoch for epoch in epochs)
    drawn = numbers(batch for epoch in epochs for batch in epoch)
    passes = [drawn[i : i + 20] for i in range(0, len(drawn) - 19, 20)]
    assert passes and all(sorted(order) == list(range(20)) for order in passes)  # each sample once before any twice
    assert all(a != b for a, b in pairwise(passes))
    assert passes[0] == numbers(BaseDataLoader(make(20), 6))  # the order of the pass is the one without len_epoch


@both_ways
def test_len_epoch_without_shuffle_and_for_validation_and_test(make):
    assert numbers(BaseDataLoader(make(5), 2, shuffle=False, len_epoch=4)) == [0, 1, 2, 3, 4, 0, 1, 2]
    loader = BaseDataLoader(make(10), 2, len_epoch=7, validation_split=3)
    valid = numbers(loader.split_validation())
    assert len(valid) == 3 and not set(valid) & set(numbers(loader)) and loader.n_samples == 7
    assert numbers(BaseDataLoader(make(10), 2, len_epoch=7, training=False)) == list(range(10))


def imbalanced(n: int = 1000) -> InMemoryDataset:
    """Class 0 has 90 % of the samples, class 1 9 %, class 2 1 %."""
    target = torch.zeros(n, dtype=torch.int64)
    target[n // 10 * 9 :], target[n // 100 * 99 :] = 1, 2
    return InMemoryDataset(torch.arange(n).float().unsqueeze(1), target)


def test_balanced_classes_are_equally_frequent_and_all_samples_of_a_class_alike():
    torch.manual_seed(0)
    loader = BaseDataLoader(imbalanced(), 50, balanced=True)
    assert (len(loader), loader.n_samples) == (20, 1000)
    drawn = torch.tensor([number for _ in range(30) for number in numbers(loader)])
    counts = imbalanced().target[drawn].bincount()
    assert (counts - 10_000).abs().max() < 5 * math.sqrt(30_000 * 1 / 3 * 2 / 3)  # five standard deviations
    of_class_2 = drawn[drawn >= 990].bincount()[990:]
    assert len(of_class_2) == 10 and (of_class_2 - 1000).abs().max() < 5 * math.sqrt(1000)
    assert len(drawn.unique()) > 950


def test_balancing_looks_at_the_training_part_alone_and_leaves_validation_as_it_is():
    loader = BaseDataLoader(imbalanced(), 50, balanced=True, validation_split=0.2, stratify=True)
    valid = numbers(loader.split_validation())
    assert len(valid) == len(set(valid)) == 200 and not set(valid) & set(numbers(loader))
    assert numbers(BaseDataLoader(imbalanced(), 50, balanced=True, training=False)) == list(range(1000))


class Labelled(BaseDataset):
    """Read one by one; a sample is its number and a random number."""

    target = imbalanced(100).target

    def __len__(self):
        return 100

    def __getitem__(self, index):
        return torch.tensor([float(index), torch.rand(()).item()]), self.target[index]


class AddNoise:
    """An augmentation by the batch: a sample's two random numbers stand beside it."""

    n_draws = 2

    def __call__(self, data, draws):
        return torch.cat([data, draws], dim=1)


def augmented(n: int = 100) -> InMemoryDataset:
    data, target = torch.arange(n).float().unsqueeze(1), imbalanced(n).target
    return InMemoryDataset(data, target, transform=lambda x: x * 2, augment=AddNoise())


def data_of(batches) -> torch.Tensor:
    return torch.cat([data for data, _ in batches])


OPTIONS = {
    "plain": {},
    "len_epoch": {"len_epoch": 20},
    "balanced": {"balanced": True},
    "no shuffle": {"shuffle": False},
}
ALL_OPTIONS = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


@ALL_OPTIONS
@pytest.mark.parametrize("make", [Labelled, augmented])
@pytest.mark.parametrize("batch", [1, 8, 12, 20])
def test_with_any_option_a_pass_can_start_at_any_batch(make, options, batch):
    loader = BaseDataLoader(make(), 8, **options)
    loader.set_position(3)
    whole = [*data_of(loader)]
    loader.set_position(3, batch)
    rest = [data for batch, _ in loader for data in batch]
    assert len(rest) == max(len(whole) - 8 * batch, 0)
    assert all(torch.equal(a, b) for a, b in zip(rest, whole[8 * batch :], strict=True))


@ALL_OPTIONS
def test_with_any_option_workers_change_nothing(options):
    torch.manual_seed(0)
    plain, with_workers = (BaseDataLoader(Labelled(), 8, num_workers=n, **options) for n in (0, 2))
    for _ in range(2):
        assert torch.equal(data_of(plain), data_of(with_workers))
    with_workers.close()


# ------------------------------------------------------------------------------------ augmentation of data in memory


def by_sample(batches) -> dict[int, tuple[float, ...]]:
    """The random numbers of each sample, times two by the transform, by the sample's number."""
    return {int(row[0]) // 2: tuple(row[1:].tolist()) for row in data_of(batches)}


def test_a_samples_random_numbers_depend_on_seed_epoch_and_sample_alone():
    torch.manual_seed(0)
    expected = by_sample(BaseDataLoader(augmented(), 8))
    assert len(expected) == 100 and len({number for row in expected.values() for number in row}) == 200
    assert 0.7 < sum(sum(row) for row in expected.values()) / 200 < 1.3
    for options in (
        {"batch_size": 33},
        {"batch_size": 8, "shuffle": False},
        {"batch_size": 8, "validation_split": 0.3},
    ):
        assert expected.items() >= by_sample(BaseDataLoader(augmented(), **options)).items()
    loader = BaseDataLoader(augmented(), 8)
    loader.set_position(2)
    second = by_sample(loader)
    assert all(second[i] != expected[i] for i in range(100))
    torch.manual_seed(1)
    assert all(row != expected[i] for i, row in by_sample(BaseDataLoader(augmented(), 8)).items())


def test_a_sample_that_comes_twice_in_an_epoch_is_augmented_anew():
    rows = data_of(BaseDataLoader(augmented(10), 10, len_epoch=3))
    assert len(rows[:, 1].unique()) == 30


def test_validation_and_test_are_not_augmented():
    loader = BaseDataLoader(augmented(), 8, validation_split=0.5)
    assert data_of(loader).shape == (50, 3)
    assert data_of(loader.split_validation()).shape == (50, 1)
    assert data_of(BaseDataLoader(augmented(), 8, training=False)).shape == (100, 1)


# ------------------------------------------------------------------------------------------------------------ memory


def test_the_data_are_held_once_and_in_their_own_type():
    data, target = torch.arange(60, dtype=torch.uint8).view(20, 3), torch.zeros(20, dtype=torch.int64)
    loader = BaseDataLoader(InMemoryDataset(data, target, lambda x: x / 255), 4, validation_split=0.3)
    valid_loader = loader.split_validation()
    assert {part.dtype for batches in (loader, valid_loader) for part, _ in batches} == {torch.float32}
    for samples in (loader.samples, valid_loader.samples):
        assert samples.data.data_ptr() == data.data_ptr() and samples.target.data_ptr() == target.data_ptr()
        assert samples.data.dtype == torch.uint8


@pytest.mark.parametrize("transform", [None, lambda x: x.add_(1)])
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"indices": torch.tensor([0, 2, 5])}])
@pytest.mark.parametrize("batch_size", [3, 9, 20])
def test_a_batch_can_be_changed_in_place_and_the_data_stay(batch_size, options, transform):
    dataset = in_memory(9)
    dataset.transform = transform
    loader = BaseDataLoader(dataset, batch_size, **options)
    first = numbers(loader)
    loader.set_position(1)
    for data, target in loader:
        data.zero_(), target.zero_()
    loader.set_position(1)
    assert numbers(loader) == first
    assert torch.equal(dataset.data, in_memory(9).data) and torch.equal(dataset.target, in_memory(9).target)


# ------------------------------------------------------------------------------------------ batches that are no pair


class Named(BaseDataset):
    """Several inputs, several targets."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        x = torch.full((2,), float(index))
        return {"x": x, "name": f"{index}.png"}, {"class": index % 2, "size": x.sum()}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_data_and_targets_can_be_dicts(num_workers):
    loader = BaseDataLoader(Named(), 4, shuffle=False, validation_split=4, num_workers=num_workers)
    valid_loader = loader.split_validation()
    inputs, targets = zip(*loader, *valid_loader, strict=True)
    assert sorted(name for batch in inputs for name in batch["name"]) == sorted(f"{i}.png" for i in range(10))
    for data, target in zip(inputs, targets, strict=True):
        assert torch.equal(data["x"].sum(dim=1), target["size"])
        assert target["class"].tolist() == [int(name[0]) % 2 for name in data["name"]]
    loader.close(), valid_loader.close()


# -------------------------------------------------------------------------------------------------------------- GPU


on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@on_a_gpu
@pytest.mark.parametrize("fits", [True, False])
@ALL_OPTIONS
def test_on_a_gpu_the_batches_are_the_same(monkeypatch, options, fits):
    free = 10**9 if fits else 0
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    torch.manual_seed(0)
    for make in (augmented, imbalanced, Labelled):
        for batch in (0, 5):
            loaders = BaseDataLoader(make(), 8, **options), BaseDataLoader(make(), 8, **options).to("cuda")
            for loader in loaders:
                loader.set_position(2, batch)
            for expected, found in zip(*loaders, strict=True):
                for a, b in zip(expected, found, strict=True):
                    assert b.is_cuda and torch.equal(a, b.cpu())
        if loaders[1].in_memory:
            assert loaders[1].samples.data.is_cuda == fits


@on_a_gpu
def test_batches_on_a_gpu_wait_for_nothing():
    for loader in (BaseDataLoader(augmented(), 8).to("cuda"), BaseDataLoader(Labelled(), 8).to("cuda")):
        list(loader)
        torch.cuda.set_sync_debug_mode("error")
        try:
            list(loader)
        finally:
            torch.cuda.set_sync_debug_mode("default")


# ------------------------------------------------------------------------------------------------ validation split


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
        ({"dataset": in_memory(0)}, "leaves no training sample of 0"),
        ({"batch_size": 0}, "batch_size should be a positive integer"),
        ({"dataset": one_by_one(10), "num_workers": -1}, "num_workers"),
        ({"validation_split": 1.0}, "leaves no training sample"),
        ({"validation_split": -0.1}, "leaves no training sample"),
        ({"validation_split": 10}, "leaves no training sample of 10"),
        ({"dataset": one_by_one(10), "stratify": True}, r"stratify needs TensorDataset\.target"),
        ({"dataset": one_by_one(10), "balanced": True}, r"balanced needs TensorDataset\.target, one class number"),
        (
            {"dataset": InMemoryDataset(torch.rand(9, 1), torch.rand(9)), "balanced": True},
            "one class number per sample",
        ),
        ({"dataset": InMemoryDataset(torch.rand(9, 1), torch.ones(9, 2)), "balanced": True}, "one class number"),
        ({"balanced": True, "shuffle": False}, "it needs shuffle"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        BaseDataLoader(**{"dataset": in_memory(10), "batch_size": 2} | arguments)


@both_ways
def test_the_test_split_is_every_sample_once_whatever_the_options(make):
    loader = BaseDataLoader(make(10), 4, shuffle=True, validation_split=0.5, drop_last=True, training=False)
    assert numbers(loader) == list(range(10))
    assert loader.split_validation() is None


def mix_up(samples: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Draws a number a batch, as CutMix and MixUp do in a collate_fn."""
    return torch.stack([data for data, _ in samples]) * 0 + torch.rand(1)


def test_the_random_numbers_of_a_collate_fn_depend_neither_on_workers_nor_on_the_start():
    def batches(num_workers, start=0):
        torch.manual_seed(3)
        loader = BaseDataLoader(one_by_one(20), 4, num_workers=num_workers, collate_fn=mix_up)
        loader.set_position(2, start)
        torch.rand(7 * num_workers)  # what else is drawn has no say
        result = list(loader)
        loader.close()
        return torch.stack(result)

    expected = batches(0)
    assert len(expected.unique()) == 5
    assert torch.equal(batches(2), expected)
    assert torch.equal(batches(0, start=3), expected[3:])
