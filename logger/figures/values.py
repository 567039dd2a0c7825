"""Pictures of a regression. Samples without a finite prediction are left out."""

from typing import Any

import numpy as np

from logger.figures.predictions import Head
from logger.figures.style import BLUE, GREY, INK, ORANGE, VERMILLION, new_figure

MAX_PANELS = 6  # values of a prediction that are drawn
MAX_POINTS = 5000


def predicted_and_true(head: Head) -> Any:
    """A figure of the prediction against the truth, of each value; None without a known sample."""
    return _panels(head, _draw_predictions)


def residuals(head: Head) -> Any:
    """A figure of prediction minus truth against the prediction, with their distribution beside it."""
    return _panels(head, _draw_residuals)


def _panels(head: Head, draw: Any) -> Any:
    assert head.target is not None
    n_values = min(MAX_PANELS, head.prediction.shape[1])
    is_known = np.isfinite(head.prediction).all(axis=1) & np.isfinite(head.target).all(axis=1)
    if not is_known.any():
        return None
    n_columns = min(3, n_values)
    n_rows = -(-n_values // n_columns)
    size = 4.6 if n_values == 1 else 3.6
    figure, axes = new_figure(n_rows, n_columns, width=size * n_columns, height=size * 0.92 * n_rows, squeeze=False)
    for place in axes.flat[n_values:]:
        place.axis("off")
    for i, place in zip(range(n_values), axes.flat, strict=False):
        draw(place, head.prediction[is_known, i].astype(np.float64), head.target[is_known, i].astype(np.float64))
        if n_values > 1:
            place.set_title(f"{head.class_name(i)}: {place.get_title('left')}", color=INK)
    return figure


def _draw_predictions(axes: Any, prediction: np.ndarray, target: np.ndarray) -> None:
    shown = _some(len(target))
    low, high = min(prediction.min(), target.min()), max(prediction.max(), target.max())
    axes.plot([low, high], [low, high], color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.scatter(target[shown], prediction[shown], s=12, color=BLUE, alpha=_alpha(len(shown)), linewidths=0)
    axes.set(xlabel="truth", ylabel="prediction")
    axes.set_aspect("equal", adjustable="datalim")
    error = np.abs(prediction - target).mean()
    axes.set_title(f"Mean absolute error {error:.4g}{_r2(prediction, target)}")


def _draw_residuals(axes: Any, prediction: np.ndarray, target: np.ndarray) -> None:
    shown, errors = _some(len(target)), prediction - target
    axes.axhline(0, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.scatter(prediction[shown], errors[shown], s=12, color=BLUE, alpha=_alpha(len(shown)), linewidths=0)
    axes.set(xlabel="prediction", ylabel="prediction - truth")
    beside = axes.inset_axes((1.02, 0, 0.2, 1), sharey=axes)
    beside.hist(errors, bins=40, orientation="horizontal", color=BLUE)
    beside.axis("off")
    axes.set_title(f"Bias {errors.mean():.3g}, standard deviation {errors.std():.3g}")


def fitted_curve(x: np.ndarray, target: np.ndarray, first: np.ndarray | None, last: np.ndarray) -> Any:
    """A figure of one input and one output: the data, what the untrained model says, and what the trained one does.

    All: (samples,). None without a known sample.
    """
    is_known = np.isfinite(x) & np.isfinite(target) & np.isfinite(last)
    if not is_known.any():
        return None
    order = x.argsort(kind="stable")
    order = order[is_known[order]]
    figure, axes = new_figure(width=6, height=4)
    axes.scatter(x[order], target[order], s=9, color=GREY, alpha=_alpha(len(order)), linewidths=0, label="data")
    if first is not None:
        axes.plot(x[order], first[order], color=ORANGE, linestyle=(0, (4, 2)), label="before training")
    axes.plot(x[order], last[order], color=VERMILLION, label="trained", marker="o" if len(order) == 1 else None)
    axes.set(xlabel="input", ylabel="output")
    axes.set_title("The data and the fitted curve")
    axes.legend(fontsize=8)
    return figure


def _r2(prediction: np.ndarray, target: np.ndarray) -> str:
    spread = ((target - target.mean()) ** 2).sum()
    return f", R² {1 - ((prediction - target) ** 2).sum() / spread:.3f}" if spread > 0 else ""


def _some(n: int) -> np.ndarray:
    """The samples that are drawn: all, or 5,000, always the same ones."""
    return np.arange(n) if n <= MAX_POINTS else np.random.default_rng(0).choice(n, MAX_POINTS, replace=False)


def _alpha(n: int) -> float:
    return 0.8 if n < 100 else 0.45 if n < 2000 else 0.2
