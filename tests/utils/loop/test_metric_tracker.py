import functools
import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from utils.checkpoint import snapshot
from utils.errors import UserError
from utils.loop.metric_tracker import MAX_BATCHES, MetricTracker, per_epoch


def accuracy(output, target):  # metrics of the tests' own: a project may have others
    return (output.argmax(1) == target).float().mean()


def top_k_acc(output, target, k=3):
    return (output.topk(k, dim=1).indices == target.unsqueeze(1)).any(dim=1).float().mean()


@per_epoch
def macro_f1(output, target):
    return f1_score(target, output.argmax(1), average="macro")


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
@example([4] * (2 * MAX_BATCHES + 3))
def test_means_are_weighted_by_the_number_of_samples(sizes):
    made = batches(sizes)
    output, target = torch.cat([b[1] for b in made]), torch.cat([b[2] for b in made])
    values = tracked(made).compute()
    assert list(values) == ["loss", "accuracy", "top_k_acc", "macro_f1"]
    assert values["loss"] == pytest.approx(torch.nn.functional.cross_entropy(output, target).item(), rel=1e-5)
    assert values["accuracy"] == pytest.approx((output.argmax(1) == target).double().mean().item())
    assert values["macro_f1"] == pytest.approx(macro_f1(output, target))


@pytest.mark.parametrize("split", [0, 1, 10, 70, 100])
def test_an_interrupted_epoch_ends_with_the_same_bits(split):
    made = batches([3] * 99 + [2])
    straight = tracked(made)
    resumed = MetricTracker(METRICS)
    resumed.load_state_dict(snapshot(tracked(made[:split]).state_dict()))
    assert tracked(made[split:], resumed).compute() == straight.compute()
    straight.reset()  # forgets it all
    assert tracked(made[:1], straight).compute()["loss"] == pytest.approx(made[0][0].item())


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


def test_a_loss_that_is_not_finite_is_reported_and_not_hidden_by_a_metric_that_refuses_nan():
    @per_epoch
    def strict(output, target):
        raise ValueError("Input contains NaN")

    made = batches([4, 4, 4])
    made[1] = (torch.tensor(float("nan")), *made[1][1:])
    tracker = tracked(made, MetricTracker([accuracy, strict]))
    values = tracker.compute()
    assert list(values) == ["loss", "accuracy", "strict"] and all(map(math.isnan, values.values()))
    assert list(map(math.isfinite, tracker.losses())) == [True, False, True]


def test_batches_stay_on_their_device_and_the_cpu_may_answer():
    """The device "meta" computes nothing, but refuses other devices' tensors as a GPU does."""

    def on_the_device(output, target):
        return output.mean()

    def on_the_cpu(output, target):
        return 0.5

    tracker = MetricTracker([on_the_device, on_the_cpu], "meta")
    output, target = torch.zeros(4, 1, device="meta"), torch.zeros(4, 1, device="meta")
    for _ in range(MAX_BATCHES):
        tracker.update(torch.zeros((), device="meta"), output, target)
    means = tracker.state_dict()["means"]
    [(size, mean)] = means["on_the_device"]
    assert size == 4 * MAX_BATCHES and mean.device == torch.device("meta")
    assert means["on_the_cpu"] == [(size, 0.5)]


def test_graphs_are_not_kept():
    weight = torch.ones(1, requires_grad=True)
    tracker = MetricTracker([accuracy])
    tracker.update((weight * 2).sum(), {"a": (weight * torch.ones(3),)}, torch.ones(3))
    state = tracker.state_dict()
    [(_, loss)], [(output, _)] = state["means"]["loss"], state["pending"]
    assert not loss.requires_grad and not output["a"][0].requires_grad


def test_outputs_and_targets_may_be_tuples_and_dicts():
    def first_head(output, target):
        return (output["heads"][0] - target[0]).abs().mean()

    output = {"heads": (torch.tensor([1.0, 2.0]), torch.zeros(2, 3))}
    tracker = MetricTracker([first_head])
    for _ in range(3):
        tracker.update(torch.tensor(0.5), output, (torch.tensor([2.0, 4.0]), torch.zeros(2)))
    assert tracker.compute() == {"loss": 0.5, "first_head": 1.5}


def test_batches_that_cannot_be_joined_are_measured_one_by_one():
    def longest(output, target):
        return float(output.shape[1])

    tracker = MetricTracker([longest])
    for length in (3, 5):
        tracker.update(torch.tensor(0.0), torch.zeros(2, length), torch.zeros(2))
    assert tracker.compute()["longest"] == 4


def test_a_per_epoch_metric_gets_lists_of_batches_padded_to_different_lengths():
    @per_epoch
    def found(output, target):
        """The share of 1s that are found; 0 is padding."""
        pairs = [(answer[truth > 0], truth[truth > 0]) for answer, truth in zip(output["tags"], target, strict=True)]
        answers, truths = map(torch.cat, zip(*pairs, strict=True))
        return float(((answers == truths) & (truths == 1)).sum() / (truths == 1).sum())

    batches = [
        (torch.tensor([[1, 2, 1], [1, 1, 1]]), torch.tensor([[1, 2, 0], [2, 1, 2]])),
        (torch.tensor([[1, 2, 2, 1, 2]]), torch.tensor([[1, 1, 1, 1, 0]])),
    ]
    tracker = MetricTracker([found])
    for tags, truth in [*batches, batches[0]]:
        tracker.update(torch.tensor(0.0), {"tags": tags, "lengths": (truth > 0).sum(1)}, truth)
    assert tracker.compute()["found"] == pytest.approx(6 / 8)
    tracker.reset()
    for tags, truth in [batches[0]] * 2:  # of one length: joined to one tensor
        tracker.update(torch.tensor(0.0), {"tags": tags, "lengths": (truth > 0).sum(1)}, truth)
    assert tracker.compute()["found"] == 1.0


def test_nothing_seen_is_not_a_number():
    assert all(value != value for value in MetricTracker([accuracy]).compute().values())


def test_a_tracker_that_goes_on_gathers_as_many_batches_as_before():
    """As many as fit in memory: fewer than usual of large outputs."""

    def mean(output, target):
        return output.mean()

    generator = torch.Generator().manual_seed(0)
    batches = [(torch.rand((), generator=generator), torch.rand(64, 3000, generator=generator)) for _ in range(40)]
    straight, stopped = MetricTracker([mean]), MetricTracker([mean])
    for i, (loss, output) in enumerate(batches):
        straight.update(loss, output, torch.zeros(64))
        stopped.update(loss, output, torch.zeros(64))
        if i == 4:
            state, stopped = stopped.state_dict(), MetricTracker([mean])
            stopped.load_state_dict(state)
    means = [tracker.state_dict()["means"]["mean"] for tracker in (straight, stopped)]
    assert len(means[0]) == len(means[1]) > 0
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


@pytest.mark.parametrize(("metric", "kind", "words"), [
    (accuracy, UserError, r"metrics: accuracy cannot compare the model's output, \[4, 2\] float32, with the target, "
                          r"\{'a': '\[4\] float32'\}: "),
    (lambda output, target: output, UserError, "gave a tensor of shape \\[4, 2\\], not one number"),
])  # fmt: skip
def test_a_metric_that_does_not_fit_is_named_with_the_shapes(metric, kind, words):
    tracker = MetricTracker([metric])
    tracker.update(torch.tensor(0.0), torch.zeros(4, 2), {"a": torch.zeros(4)})
    with pytest.raises(kind, match=words):
        tracker.compute()
