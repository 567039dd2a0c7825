import pytest
import torch

from model.metric import accuracy, top_k_acc
from model.sklearn_metric import r2_score
from utils.loop import MetricTracker


def test_the_right_answers_are_counted():
    output, target = torch.tensor([[0.1, 0.9, 0.0], [0.7, 0.1, 0.2], [0.2, 0.3, 0.5]]), torch.tensor([1, 1, 0])
    assert accuracy(output, target) == pytest.approx(1 / 3)
    assert [top_k_acc(output, target, k).item() for k in (1, 2, 3)] == pytest.approx([1 / 3, 1 / 3, 1])


@pytest.mark.parametrize("metric", [accuracy, top_k_acc])
def test_numbers_of_a_regression_are_no_classes(metric):
    with pytest.raises(ValueError, match=r"compares class numbers, \[5\]"):
        metric(torch.randn(5, 3), torch.randn(5, 1))
    with pytest.raises(ValueError, match=r"compares class numbers, \[5\]"):
        metric(torch.randn(5, 3), torch.randn(5))


def test_r2_is_the_share_of_the_variance_explained():
    target = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    assert r2_score(target, target) == 1
    assert r2_score(torch.full((4, 1), 2.5), target) == 0
    assert r2_score(torch.tensor([[1.0], [2.0], [3.0], [3.0]]), target) == pytest.approx(1 - 1 / 5)


def test_r2_is_that_of_the_whole_epoch_not_a_mean_over_batches():
    output, target = torch.randn(10, 1), torch.randn(10, 1)
    tracker = MetricTracker([r2_score])
    for part in (slice(0, 7), slice(7, 10)):
        tracker.update(torch.tensor(0.0), output[part], target[part])
    assert tracker.compute()["r2_score"] == pytest.approx(r2_score(output, target))
