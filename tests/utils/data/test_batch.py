"""Batches of any make: their tensors are moved and split, the rest stays what it was."""

from collections import OrderedDict, UserDict, namedtuple

import torch

from utils.data.batch import map_tensors, split_batch, to_device

Pair = namedtuple("Pair", "image label")
META = torch.device("meta")


def test_a_container_keeps_its_class():
    batch = Pair(UserDict(ids=torch.ones(2, 3)), OrderedDict(names=["a", "b"], y=torch.zeros(2)))
    moved = to_device(batch, META)
    assert isinstance(moved, Pair) and isinstance(moved.image, UserDict) and isinstance(moved.label, OrderedDict)
    assert moved.image["ids"].is_meta and moved.label["y"].is_meta and moved.label["names"] == ["a", "b"]
    assert not batch.image["ids"].is_meta


def test_parts_have_the_samples_of_everything_that_has_one_entry_each():
    batch = Pair(UserDict(ids=torch.arange(5), scale=torch.tensor(2.0)), ["a", "b", "c", "d", "e"])
    parts = list(split_batch(batch, 2))
    assert [share for _, share in parts] == [0.2, 0.4, 0.4]
    assert [part.image["ids"].tolist() for part, _ in parts] == [[0], [1, 2], [3, 4]]
    assert [part.label for part, _ in parts] == [["a"], ["b", "c"], ["d", "e"]]
    assert all(part.image["scale"] == 2 for part, _ in parts)


def test_what_is_no_tensor_stays():
    assert map_tensors(torch.neg, {"name": "x", "n": 3, "x": torch.ones(1)}) == {"name": "x", "n": 3, "x": -1}
