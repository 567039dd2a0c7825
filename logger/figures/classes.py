"""Pictures of a classification. Samples without a finite probability are left out; `Head` says what is what."""

from typing import Any

import numpy as np

from logger.figures.predictions import Head
from logger.figures.style import BLUE, GREY, INK, ORANGE, PALE, new_figure

MAX_CLASSES = 30  # of which a confusion matrix is drawn whole
MAX_NAMES = 20  # characters of a class's name
N_CURVES = 6  # classes that get a curve of their own: those that are found worst ...
N_CANDIDATES = 50  # ... of the most frequent ones
N_BINS = 10  # of a reliability diagram


def known(head: Head) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (samples, classes) and targets (samples,) of the samples that have both."""
    assert head.target is not None
    n_classes = head.prediction.shape[1]
    are_known = np.isfinite(head.prediction).all(axis=1) & (head.target >= 0) & (head.target < n_classes)
    return head.prediction[are_known], head.target[are_known]


def short_name(head: Head, number: int) -> str:
    name = str(head.class_name(number))
    return name if len(name) <= MAX_NAMES else f"{name[: MAX_NAMES - 1]}…"


def confusion_matrix(head: Head) -> Any:
    """A figure of how often each class was taken for each other; of more than 30 classes, the commonest confusions."""
    from sklearn import metrics

    probabilities, target = known(head)
    if len(target) == 0:
        return None
    predicted, n_classes = probabilities.argmax(axis=1), probabilities.shape[1]
    if n_classes > MAX_CLASSES:
        return _commonest_confusions(head, predicted, target)
    counts = metrics.confusion_matrix(target, predicted, labels=range(n_classes))
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    names = [short_name(head, number) for number in range(n_classes)]
    size = 2.2 + 0.42 * n_classes
    figure, axes = new_figure(width=max(4.0, size), height=max(3.6, size - 0.3))
    axes.imshow(shares, cmap=_blues(), vmin=0, vmax=1)
    axes.grid(False)
    axes.set_xticks([number + 0.5 for number in range(n_classes - 1)], minor=True)
    axes.set_yticks([number + 0.5 for number in range(n_classes - 1)], minor=True)
    axes.grid(which="minor", color=PALE)
    axes.tick_params(which="minor", length=0)
    turn = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 3 else {}
    axes.set_xticks(range(n_classes), names, **turn)
    axes.set_yticks(range(n_classes), names)
    axes.set(xlabel="prediction", ylabel="truth")
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "white" if shares[row, column] > 0.55 else INK
        fontsize = 9 if counts.max() < 1000 else 7
        axes.text(column, row, counts[row, column], ha="center", va="center", color=color, fontsize=fontsize)
    axes.set_title(f"{(predicted == target).mean():.1%} of {len(target):,} samples right")
    return figure


def _commonest_confusions(head: Head, predicted: np.ndarray, target: np.ndarray) -> Any:
    wrong = predicted != target
    pairs, counts = np.unique(np.stack([target[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True)
    order = counts.argsort(kind="stable")[::-1][:20]
    figure, axes = new_figure(width=6, height=0.8 + 0.24 * max(4, len(order)))
    labels = [f"{short_name(head, truth)}  →  {short_name(head, said)}" for truth, said in pairs[order]]
    axes.barh(range(len(order)), counts[order], color=BLUE, height=0.7)
    axes.set_yticks(range(len(order)), labels)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_title(f"{wrong.sum():,} of {len(target):,} wrong; most often: truth → prediction")
    return figure


def roc_and_pr(head: Head) -> Any:
    """A figure of each class against the rest: true against false positives, and precision against recall.

    Of more than 6 classes, those with the lowest average precision. None where all samples are of one class.
    """
    from sklearn import metrics

    probabilities, target = known(head)
    present, counts = np.unique(target, return_counts=True)
    if len(present) < 2:
        return None
    frequent = sorted(present[counts.argsort(kind="stable")[::-1][:N_CANDIDATES]])
    found = {number: metrics.average_precision_score(target == number, probabilities[:, number]) for number in frequent}
    chosen = sorted(sorted(found, key=found.__getitem__)[:N_CURVES])
    chosen = [1] if probabilities.shape[1] == 2 else chosen  # the other one mirrors it
    figure, (roc, pr) = new_figure(1, 2, width=9.6, height=4)
    for number in chosen:
        labels, scores, name = target == number, probabilities[:, number], short_name(head, number)
        false_positives, true_positives, _ = metrics.roc_curve(labels, scores)
        roc.plot(false_positives, true_positives, label=f"{name}  {metrics.roc_auc_score(labels, scores):.3f}")
        precision, recall, _ = metrics.precision_recall_curve(labels, scores)
        pr.step(recall, precision, where="post", label=f"{name}  {found[number]:.3f}")
    roc.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
    more = f" of the {len(chosen)} hardest classes" if 1 < len(chosen) < len(present) else ""
    roc.set(xlabel="share of the others that are taken for it", ylabel="share of the class that is found")
    roc.set_title(f"ROC curves{more}, area below")
    pr.set(xlabel="recall", ylabel="precision")
    pr.set_title("Precision and recall, average precision")
    for axes in (roc, pr):
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        axes.legend(fontsize=8, loc="lower right" if axes is roc else "lower left")
    return figure


def reliability(head: Head) -> Any:
    """A figure of how often a prediction with a certain probability is right, and of how many there are of each.

    The expected calibration error is the mean gap, weighted by the samples. Source: Guo et al. 2017, On Calibration of
    Modern Neural Networks.
    """
    probabilities, target = known(head)
    if len(target) == 0:
        return None
    confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == target
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    counts = np.bincount(bins, minlength=N_BINS)
    with np.errstate(invalid="ignore"):
        shares = np.bincount(bins, is_right, N_BINS) / counts
        means = np.bincount(bins, confidence, N_BINS) / counts
    error = np.nansum(counts * np.abs(shares - means)) / len(target)
    ratios = {"height_ratios": [3, 1]}
    figure, (upper, lower) = new_figure(2, 1, width=4.8, height=5, sharex=True, gridspec_kw=ratios)
    centers = (np.arange(N_BINS) + 0.5) / N_BINS
    upper.bar(centers, np.nan_to_num(shares), width=0.092, color=BLUE)
    upper.plot([0, 1], [0, 1], color=ORANGE, linewidth=1.2, linestyle=(0, (4, 2)), zorder=3)
    upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    upper.set_title(f"Expected calibration error {error:.3f}")
    lower.bar(centers, counts, width=0.092, color=GREY)
    lower.set(xlabel="probability of the prediction", ylabel="samples")
    lower.yaxis.get_major_locator().set_params(integer=True, nbins=3)
    return figure


def most_wrong(head: Head, n: int) -> np.ndarray:
    """The samples whose true class got the lowest probability, the worst first, of those that are wrong; at most n."""
    assert head.target is not None
    is_known = np.isfinite(head.prediction).all(axis=1) & (head.target >= 0) & (head.target < head.prediction.shape[1])
    of_truth = np.full(len(head.target), np.inf)
    of_truth[is_known] = head.prediction[is_known, head.target[is_known]]
    is_wrong = is_known & (head.prediction.argmax(axis=1) != head.target)
    order = np.where(is_wrong, of_truth, np.inf).argsort(kind="stable")
    return order[: min(n, int(is_wrong.sum()))]


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blues", ["#ffffff", "#cfe3f1", BLUE, "#003f66"])
