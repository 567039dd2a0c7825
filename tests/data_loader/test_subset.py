import pytest
import torch

from data_loader.subset import choose_samples

LABELS = torch.tensor([3, 5, 5, 4, 3, 5, 4, 5, 3, 5, 5, 5] * 10)  # 60 % are class 5


def test_all_samples_by_default():
    indices, target = choose_samples(LABELS)
    assert torch.equal(indices, torch.arange(120))
    assert torch.equal(target, LABELS)


def test_classes_are_numbered_anew_in_the_order_given():
    indices, target = choose_samples(LABELS, classes=[5, 3])
    assert torch.equal(LABELS[indices], torch.where(target == 0, 5, 3))
    assert len(indices) == 100


def test_so_many_samples_always_the_same_with_the_same_share_of_each_class():
    indices, target = choose_samples(LABELS, [5, 3], n_samples=20)
    assert torch.bincount(target).tolist() == [14, 6]
    assert len(indices.unique()) == 20
    torch.manual_seed(99)
    assert torch.equal(choose_samples(LABELS, [5, 3], n_samples=20)[0], indices)
    assert len(choose_samples(LABELS, [5, 3], n_samples=100)[0]) == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": [3, 6]}, r"classes \[3, 6\] are not different ones of \[3, 4, 5\]"),
        ({"classes": [3, 3]}, "not different"),
        ({"classes": []}, "not different"),
        ({"n_samples": 121}, "n_samples is 121; there are 120"),
        ({"n_samples": 0}, "n_samples is 0"),
        ({"n_samples": 2}, "number of classes = 3"),
    ],
)
def test_what_is_not_there_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        choose_samples(LABELS, **arguments)
