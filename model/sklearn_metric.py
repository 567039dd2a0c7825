"""Metrics of scikit-learn, each of a whole epoch. Yours stand in metric.py, and win over those of the same name here.

Of classes: output: (samples, classes), scores or their logarithms, or (samples,) or (samples, 1), the logit of class 1;
target: as many class numbers. Of numbers: both of one shape, (samples, values) or (samples,).
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from torch import Tensor

from utils.loop import per_epoch

Average = Literal["binary", "macro", "micro", "weighted"]


@per_epoch
def balanced_accuracy(output: Tensor, target: Tensor) -> float:
    """The mean, over the classes that occur, of the share of their samples that is found."""
    from sklearn.metrics import recall_score

    predicted, target = _classes(output, target)
    return recall_score(target, predicted, labels=target.unique(), average="macro")


@per_epoch
def precision(output: Tensor, target: Tensor, average: Average | None = None) -> float:
    """The share of right answers among those for a class; 0 without any.

    average: see sklearn.metrics.precision_score; None: of class 1 if there are two, else the mean of all classes.
    """
    from sklearn.metrics import precision_score

    return _of_answers(precision_score, output, target, average, zero_division=0)


@per_epoch
def recall(output: Tensor, target: Tensor, average: Average | None = None) -> float:
    """The share of a class's samples that is found; nan without any. average: as for `precision`."""
    from sklearn.metrics import recall_score

    return _of_answers(recall_score, output, target, average, zero_division=np.nan)


@per_epoch
def f1(output: Tensor, target: Tensor, average: Average | None = None) -> float:
    """The harmonic mean of precision and recall; nan without any sample. average: as for `precision`."""
    from sklearn.metrics import f1_score

    return _of_answers(f1_score, output, target, average, zero_division=np.nan)


@per_epoch
def macro_f1(output: Tensor, target: Tensor) -> float:
    """The mean of the classes' F1 scores."""
    from sklearn.metrics import f1_score

    return _of_answers(f1_score, output, target, "macro")


@per_epoch
def auroc(output: Tensor, target: Tensor) -> float:
    """The area under the ROC curve; nan if all samples are of one class.

    Of more than two classes the mean of each against the rest, without those that no sample has.
    """
    from sklearn.metrics import roc_auc_score

    return _one_against_the_rest(roc_auc_score, output, target)


@per_epoch
def average_precision(output: Tensor, target: Tensor) -> float:
    """The area under the curve of precision over recall. Of several classes, and of one: as for `auroc`."""
    from sklearn.metrics import average_precision_score

    return _one_against_the_rest(average_precision_score, output, target)


@per_epoch
def mae(output: Tensor, target: Tensor) -> float:
    """The mean absolute error; of several values, the mean of theirs."""
    from sklearn.metrics import mean_absolute_error

    return mean_absolute_error(target, output)


@per_epoch
def rmse(output: Tensor, target: Tensor) -> float:
    """The root of the mean squared error; of several values, the mean of their roots."""
    from sklearn.metrics import root_mean_squared_error

    return root_mean_squared_error(target, output)


@per_epoch
def r2_score(output: Tensor, target: Tensor) -> float:
    """The share of the target's variance that is explained: 1 is perfect, 0 as good as the mean."""
    from sklearn import metrics

    return metrics.r2_score(target, output)


def _classes(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The predicted and the true class of each sample."""
    if target.numel() != len(output):
        raise ValueError(f"it compares class numbers, [{len(output)}], with as many")
    is_logit = output.numel() == len(output)
    return output.flatten().gt(0).long() if is_logit else output.argmax(dim=1), target.flatten().long()


def _of_answers(score: Callable, output: Tensor, target: Tensor, average: Average | None, **options: Any) -> float:
    """A score of the predicted classes."""
    predicted, target = _classes(output, target)
    is_binary = output.numel() <= 2 * len(output)
    return score(target, predicted, average=average or ("binary" if is_binary else "macro"), **options)


def _one_against_the_rest(score: Callable, output: Tensor, target: Tensor) -> float:
    """The mean of a score of two classes' probabilities, for each class that some samples have, and some have not."""
    _, target = _classes(output, target)
    if output.numel() == len(output):
        chances = {1: output.flatten()}
    else:
        chances = dict(enumerate(output.softmax(dim=1).unbind(dim=1)))
        chances = {1: chances[1]} if len(chances) == 2 else chances
    truths = {number: target == number for number in chances}
    scores = [score(truth, chances[number]) for number, truth in truths.items() if 0 < truth.sum() < len(truth)]
    return sum(scores) / len(scores) if scores else math.nan
