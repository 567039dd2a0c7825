"""A run's numbers by epoch."""

import math
from collections.abc import Sequence
from typing import Any

from logger.figures.style import BLUE, GREY, INK, ORANGE, new_figure

MAX_PANELS = 12


def curves(records: Sequence[dict[str, Any]], monitor: str = "") -> Any:
    """A figure of the loss, each metric and the learning rate: training and validation, with the best epoch marked.

    records: of metrics.jsonl. monitor: "min NAME" or "max NAME", as in the config. Returns None without a number.
    """
    names = [name for name in _numbers(records) if name not in ("epoch", "step", "seconds")]
    panels = list(dict.fromkeys(name.removeprefix("val_") for name in names))[:MAX_PANELS]
    if not panels:
        return None
    n_columns = min(3, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure, axes = new_figure(n_rows, n_columns, width=3.4 * n_columns, height=2.5 * n_rows, squeeze=False)
    best = best_epoch(records, monitor)
    for place in axes.flat[len(panels) :]:
        place.axis("off")
    for place, panel in zip(axes.flat, panels, strict=False):
        for name, color, label in ((panel, BLUE, "training"), (f"val_{panel}", ORANGE, "validation")):
            if name in names:
                points = [(record["epoch"], _number(record.get(name))) for record in records]
                place.plot(
                    *zip(*points, strict=True), color=color, label=label, marker="o" if len(points) == 1 else None
                )
        if best is not None:
            place.axvline(best, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), label=f"best: epoch {best}")
        values = [value for line in place.lines for value in line.get_ydata() if math.isfinite(value)]
        if panel != "lr" and min(values) > 0 and max(values) > 1000 * min(values):
            place.set_yscale("log")
        place.set_title(panel, color=INK)
        place.set_xlabel("epoch")
        place.xaxis.get_major_locator().set_params(integer=True)
        place.margins(x=0.02)
    axes.flat[0].legend(fontsize=8)
    return figure


def best_epoch(records: Sequence[dict[str, Any]], monitor: str) -> int | None:
    """The epoch whose monitored number is best, as the trainer judges it; None if nothing is monitored."""
    mode, _, name = monitor.partition(" ")
    known = [record for record in records if math.isfinite(_number(record.get(name)))]
    if mode not in ("min", "max") or not known:
        return None
    return (min if mode == "min" else max)(known, key=lambda record: record[name])["epoch"]  # the first of equals


def _numbers(records: Sequence[dict[str, Any]]) -> list[str]:
    """The names of all numbers, in the order in which they came up."""
    names = dict.fromkeys(name for record in records for name in record)
    return [name for name in names if any(math.isfinite(_number(record.get(name))) for record in records)]


def _number(value: Any) -> float:
    """NaN for what is none, such as the null of a metric that was not finite."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
