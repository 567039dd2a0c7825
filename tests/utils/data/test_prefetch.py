import pytest
import torch

from utils.data.prefetch import prefetch, read_ahead, to_device

CPU = torch.device("cpu")


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_reading_ahead_changes_neither_items_nor_order(n):
    assert list(read_ahead(range(n))) == list(range(n))


def test_exactly_one_item_is_read_ahead():
    read = []

    def items():
        for i in range(4):
            read.append(i)
            yield i

    for item in read_ahead(items()):
        assert len(read) == min(item + 2, 4)


def test_a_batch_is_moved_with_all_that_is_in_it():
    batch = ({"image": torch.ones(2), "name": "a.png"}, [torch.zeros(1), None])
    moved = to_device(batch, torch.device("meta"))
    assert moved[0]["image"].is_meta and moved[1][0].is_meta
    assert (moved[0]["name"], moved[1][1]) == ("a.png", None)
    assert to_device(batch[1][0], CPU) is batch[1][0]


def test_on_the_cpu_there_is_nothing_to_copy():
    batches = [torch.ones(2)]
    assert prefetch(batches, CPU) is batches


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_batches_are_the_same():
    batches = [(torch.full((1000, 1000), float(i)), i) for i in range(20)]
    total = torch.zeros((), device="cuda")
    for (data, number), (expected, _) in zip(prefetch(batches, torch.device("cuda")), batches, strict=True):
        assert data.is_cuda and number == expected[0, 0]
        for _ in range(20):  # work that is still waiting when the memory of the batch is given back
            total += (data @ data).mean() / 1000
    assert total.item() == pytest.approx(sum(20 * i * i for i in range(20)), rel=1e-3)
