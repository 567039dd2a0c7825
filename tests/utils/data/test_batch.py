"""Batches of any make: their tensors are moved, split and put together again, the rest stays what it was."""

from collections import OrderedDict, UserDict, namedtuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils.data import cat_batches, map_tensors, n_samples, split_batch, to_channels_last, to_device

Pair = namedtuple("Pair", "image label")
META = torch.device("meta")


def test_a_container_keeps_its_class():
    batch = Pair(UserDict(ids=torch.ones(2, 3)), OrderedDict(names=["a", "b"], y=(torch.zeros(2), None)))
    moved = to_device(batch, META)
    assert isinstance(moved, Pair) and isinstance(moved.image, UserDict) and isinstance(moved.label, OrderedDict)
    assert moved.image["ids"].is_meta and moved.label["y"][0].is_meta and isinstance(moved.label["y"], tuple)
    assert moved.label["names"] == ["a", "b"] and moved.label["y"][1] is None
    assert not batch.image["ids"].is_meta
    assert to_device(batch.image["ids"], torch.device("cpu")) is batch.image["ids"]


def test_tensors_at_the_same_place_of_several_batches_go_together():
    first, second = {"x": [torch.ones(2)], "n": 3}, {"x": [torch.full((2,), 4.0)], "n": 5}
    added = map_tensors(torch.add, first, second)
    assert (added["x"][0].tolist(), added["n"]) == ([5.0, 5.0], 3)
    with pytest.raises(KeyError):
        map_tensors(torch.add, first, {"y": 0})


def test_only_images_get_their_channels_last():
    images, target = to_channels_last((torch.ones(2, 3, 4, 5), torch.ones(2, 3)))
    assert images.is_contiguous(memory_format=torch.channels_last) and target.is_contiguous()


def test_what_is_no_tensor_with_one_entry_per_sample_is_in_every_part():
    batch = Pair(UserDict(ids=torch.arange(5), scale=torch.tensor(2.0)), "a name")
    parts = list(split_batch(batch, 2))
    assert [share for _, share in parts] == [0.2, 0.4, 0.4]
    assert [part.image["ids"].tolist() for part, _ in parts] == [[0], [1, 2], [3, 4]]
    assert all(part.image["scale"] == 2 and part.label == "a name" for part, _ in parts)
    [(whole, share)] = split_batch(batch, None)
    assert torch.equal(whole.image["ids"], batch.image["ids"]) and share == 1.0


@given(n=st.integers(1, 40), part_size=st.integers(1, 50))
def test_the_named_a_batch_make_it_again(n, part_size):
    batch = {"heads": (torch.arange(n), torch.rand(n, 2)), "loss": torch.ones(())}
    parts, shares = zip(*split_batch(batch, part_size), strict=True)
    assert len(parts) == -(-n // part_size) and sum(shares) == pytest.approx(1)
    assert max(map(n_samples, parts)) <= part_size and max(map(n_samples, parts)) - min(map(n_samples, parts)) <= 1
    again = cat_batches(parts)
    assert all(torch.equal(a, b) for a, b in zip(again["heads"], batch["heads"], strict=True))
    assert again["loss"].numel() == len(parts)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_copy_to_a_gpu_waits_for_nothing():
    batch = (torch.rand(1000, 1000), torch.rand(3))
    torch.cuda.set_sync_debug_mode("error")
    try:
        moved = to_device(batch, torch.device("cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(a, b.cpu()) for a, b in zip(batch, moved, strict=True))
