"""Each metric against scikit-learn on random data; of several classes, of two, and where there is but one."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from model import sklearn_metric as ours
from model.metric import accuracy, top_k_acc
from utils.loop import MetricTracker

N = 200
RANDOM = torch.Generator().manual_seed(0)
OUTPUT, TARGET = torch.randn(N, 4, generator=RANDOM), torch.randint(0, 4, (N,), generator=RANDOM)
CHANCES, PREDICTED = OUTPUT.softmax(1).numpy(), OUTPUT.argmax(1)
OF_CLASSES = {
    accuracy: sk.accuracy_score(TARGET, PREDICTED),
    top_k_acc: sk.top_k_accuracy_score(TARGET, CHANCES, k=3),
    ours.balanced_accuracy: sk.balanced_accuracy_score(TARGET, PREDICTED),
    ours.precision: sk.precision_score(TARGET, PREDICTED, average="macro"),
    ours.recall: sk.recall_score(TARGET, PREDICTED, average="macro"),
    ours.f1: sk.f1_score(TARGET, PREDICTED, average="macro"),
    ours.macro_f1: sk.f1_score(TARGET, PREDICTED, average="macro"),
    ours.auroc: sk.roc_auc_score(TARGET, CHANCES, multi_class="ovr"),
    ours.average_precision: sk.average_precision_score(np.eye(4)[TARGET], CHANCES),
}


def value_of(metric, output, target):
    """As a training has it: in batches, or for the whole epoch."""
    tracker = MetricTracker([metric])
    for batch in zip(output.split(30), target.split(30), strict=True):
        tracker.update(torch.zeros(()), *batch)
    return tracker.compute()[metric.__name__]


@pytest.mark.parametrize("metric", OF_CLASSES, ids=lambda metric: metric.__name__)
def test_several_classes(metric):
    assert value_of(metric, OUTPUT, TARGET) == pytest.approx(OF_CLASSES[metric], rel=1e-5)


LOGIT, TRUTH = torch.randn(N, generator=RANDOM), torch.rand(N, generator=RANDOM).lt(0.3).long()
ANSWER = LOGIT > 0
OF_TWO = {
    accuracy: sk.accuracy_score(TRUTH, ANSWER),
    ours.balanced_accuracy: sk.balanced_accuracy_score(TRUTH, ANSWER),
    ours.precision: sk.precision_score(TRUTH, ANSWER),
    ours.recall: sk.recall_score(TRUTH, ANSWER),
    ours.f1: sk.f1_score(TRUTH, ANSWER),
    ours.macro_f1: sk.f1_score(TRUTH, ANSWER, average="macro"),
    ours.auroc: sk.roc_auc_score(TRUTH, LOGIT),
    ours.average_precision: sk.average_precision_score(TRUTH, LOGIT),
}


@pytest.mark.parametrize("metric", OF_TWO, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("form", ["logit", "(n, 1)", "floats", "two outputs"])
def test_two_classes(metric, form):
    output, target = {
        "logit": (LOGIT, TRUTH),
        "(n, 1)": (LOGIT.unsqueeze(1), TRUTH.float().unsqueeze(1)),
        "floats": (LOGIT, TRUTH.float()),
        "two outputs": (torch.stack([-LOGIT / 2, LOGIT / 2], dim=1), TRUTH),
    }[form]
    assert value_of(metric, output, target) == pytest.approx(OF_TWO[metric], rel=1e-5)


@pytest.mark.parametrize("shape", [(N,), (N, 1), (N, 3)])
def test_numbers(shape):
    output, target = torch.randn(shape), 100 * torch.randn(shape) + 5
    assert value_of(ours.mae, output, target) == pytest.approx(sk.mean_absolute_error(target, output), rel=1e-5)
    assert value_of(ours.rmse, output, target) == pytest.approx(sk.root_mean_squared_error(target, output), rel=1e-5)
    assert value_of(ours.r2_score, output, target) == pytest.approx(sk.r2_score(target, output), rel=1e-5)


@pytest.mark.parametrize("output", [OUTPUT, LOGIT], ids=["classes", "logit"])
@pytest.mark.filterwarnings("error")
def test_an_epoch_with_a_single_class(output):
    target = torch.zeros(N).long()
    for metric in (ours.auroc, ours.average_precision):
        assert math.isnan(value_of(metric, output, target))
    for metric in (ours.balanced_accuracy, ours.macro_f1):
        assert 0 <= value_of(metric, output, target) <= 1
    for metric in (ours.precision, ours.recall, ours.f1):
        value = value_of(metric, output, target)
        assert math.isnan(value) or 0 <= value <= 1


def test_a_class_that_no_sample_has_is_left_out_of_the_mean():
    target = TARGET.clamp(max=2)
    expected = [sk.roc_auc_score(target == number, CHANCES[:, number]) for number in range(3)]
    assert value_of(ours.auroc, OUTPUT, target) == pytest.approx(np.mean(expected), rel=1e-5)


def test_numbers_for_classes_are_refused():
    with pytest.raises(ValueError, match="class numbers"):
        ours.f1(torch.zeros(4, 2), torch.zeros(4, 2))
