import functools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.metric import accuracy, macro_f1, top_k_acc
from utils.checkpoint import snapshot
from utils.loop.metric_tracker import MAX_BATCHES, MetricTracker, per_epoch

METRICS = [accuracy, top_k_acc, macro_f1]


def batches(sizes: list[int], n_classes: int = 5) -> list[tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(1)
    made = []
    for size in sizes:
        output = torch.randn(size, n_classes, generator=generator)
        target = torch.randint(n_classes, (size,), generator=generator)
        made.append((torch.nn.functional.cross_entropy(output, target), output, target))
    return made


def tracked(made, tracker=None) -> MetricTracker:
    tracker = tracker or MetricTracker(METRICS)
    for batch in made:
        tracker.update(*batch)
    return tracker


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_means_are_weighted_by_the_number_of_samples(sizes):
    made = batches(sizes)
    output, target = torch.cat([b[1] for b in made]), torch.cat([b[2] for b in made])
    values = tracked(made).compute()
    assert list(values) == ["loss", "accuracy", "top_k_acc", "macro_f1"]
    assert values["loss"] == pytest.approx(torch.nn.functional.cross_entropy(output, target).item(), rel=1e-5)
    assert values["accuracy"] == pytest.approx((output.argmax(1) == target).double().mean().item())
    assert values["macro_f1"] == pytest.approx(macro_f1(output, target))


def test_more_batches_than_are_kept_at_once():
    made = batches([4] * (2 * MAX_BATCHES + 3))
    output, target = torch.cat([b[1] for b in made]), torch.cat([b[2] for b in made])
    assert tracked(made).compute()["accuracy"] == pytest.approx(accuracy(output, target).item())


@pytest.mark.parametrize("split", [0, 1, 10, 70, 100])
def test_an_interrupted_epoch_ends_with_the_same_bits(split):
    made = batches([3] * 99 + [2])
    straight = tracked(made).compute()
    resumed = MetricTracker(METRICS)
    resumed.load_state_dict(snapshot(tracked(made[:split]).state_dict()))
    assert tracked(made[split:], resumed).compute() == straight


def test_reset_forgets():
    tracker = tracked(batches([5, 5]))
    tracker.compute()
    tracker.reset()
    made = batches([7])
    assert tracked(made, tracker).compute()["loss"] == pytest.approx(made[0][0].item())


def test_a_per_epoch_metric_sees_the_whole_epoch_once():
    calls = []

    @per_epoch
    def spread(output, target):
        calls.append(len(target))
        return (output.max() - output.min()).item()

    made = batches([4, 4, 2])
    value = tracked(made, MetricTracker([spread])).compute()["spread"]
    assert calls == [10]
    everything = torch.cat([output for _, output, _ in made])
    assert value == pytest.approx((everything.max() - everything.min()).item())


def test_a_metric_may_return_a_plain_number():
    def always_two(output, target):
        return 2.0

    assert tracked(batches([3, 1]), MetricTracker([always_two])).compute()["always_two"] == 2.0


def test_a_loss_that_is_not_finite_is_reported_and_not_hidden_by_a_metric_that_refuses_nan():
    @per_epoch
    def strict(output, target):
        raise ValueError("Input contains NaN")

    made = batches([4, 4, 4])
    made[1] = (torch.tensor(float("nan")), *made[1][1:])
    tracker = tracked(made, MetricTracker([accuracy, strict]))
    values = tracker.compute()
    assert list(values) == ["loss", "accuracy", "strict"]
    assert values["loss"] != values["loss"] and values["strict"] != values["strict"] and values["accuracy"] <= 1
    assert tracker.first_bad_batch() == 1


def test_numbers_from_anywhere_come_together_on_the_device():
    """The device "meta" computes nothing, but refuses other devices' tensors as a GPU does."""

    def on_the_device(output, target):
        return output.mean()

    def on_the_cpu(output, target):
        return 0.5

    tracker = MetricTracker([on_the_device, on_the_cpu], "meta")
    output, target = torch.zeros(4, 1, device="meta"), torch.zeros(4, 1, device="meta")
    for _ in range(MAX_BATCHES):
        tracker.update(torch.zeros(1, device="meta"), output, target)
    ((size, losses, means),) = tracker.state_dict()["groups"]
    assert size == 4 and losses.shape == (MAX_BATCHES,) and means.shape == (2,)
    assert losses.device == means.device == torch.device("meta")


def test_graphs_are_not_kept():
    weight = torch.ones(1, requires_grad=True)
    tracker = MetricTracker([])
    tracker.update((weight * 2).sum(), weight * torch.ones(3), torch.ones(3))
    loss, *tensors = tracker.state_dict()["pending"][0]
    assert isinstance(loss, float) and not any(tensor.requires_grad for tensor in tensors)


def test_nothing_seen_is_not_a_number():
    assert all(value != value for value in MetricTracker([accuracy]).compute().values())


def test_a_tracker_that_goes_on_gathers_as_many_batches_as_before():
    """As many as fit in memory: fewer than usual of large outputs."""
    generator = torch.Generator().manual_seed(0)
    batches = [(torch.rand((), generator=generator), torch.rand(64, 3000, generator=generator)) for _ in range(40)]
    straight, stopped = MetricTracker([]), MetricTracker([])
    for i, (loss, output) in enumerate(batches):
        straight.update(loss, output, torch.zeros(64))
        stopped.update(loss, output, torch.zeros(64))
        if i == 4:
            state, stopped = stopped.state_dict(), MetricTracker([])
            stopped.load_state_dict(state)
    assert len(straight.state_dict()["groups"]) == len(stopped.state_dict()["groups"]) > 0
    assert straight.compute() == stopped.compute()


def test_a_module_has_the_name_of_its_class():
    tracker = MetricTracker([torch.nn.MSELoss(), torch.nn.L1Loss()])
    tracker.update(torch.tensor(0.5), torch.tensor([1.0]), torch.tensor([3.0]))
    assert tracker.compute() == {"loss": 0.5, "MSELoss": 4, "L1Loss": 2}


def test_a_partial_function_may_have_a_name_of_its_own():
    metrics = [functools.partial(top_k_acc, k=k) for k in (1, 2)]
    for metric, name in zip(metrics, ("top1", "top2"), strict=True):
        metric.__name__ = name
    assert MetricTracker(metrics).names == ["loss", "top1", "top2"]


def test_two_metrics_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two columns of the log have one name: loss, <lambda>, <lambda>"):
        MetricTracker([lambda output, target: output.mean(), lambda output, target: target.mean()])
