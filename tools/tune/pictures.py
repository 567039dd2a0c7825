"""Pictures of a search, from its table, a pandas.DataFrame: the value against each key, and all keys side by side."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from logger.figures import BLUE, GREY, VERMILLION, in_style, new_figure, save_figure
from tools.trials.table import show
from tools.tune.space import Range, Space

MAX_COLUMNS = 3


@in_style()
def draw_values(table: Any, space: Space, monitor: str, path: Path) -> None:
    """One panel per key: each trial's value against that key's; the best trial is marked."""
    mode, _, name = monitor.partition(" ")
    table = table.dropna(subset="value")
    best = table["value"].idxmin() if mode == "min" else table["value"].idxmax()
    best_value = table["value"][best]
    n_columns = min(len(space), MAX_COLUMNS)
    n_rows = math.ceil(len(space) / n_columns)
    size = {"width": 4 * n_columns, "height": 3 * n_rows}
    figure, panels = new_figure(n_rows, n_columns, **size, squeeze=False, sharey=True)
    panels = panels.flatten()
    for panel, (key, values) in zip(panels, space.items(), strict=False):
        places = table[key].map(values.index) if isinstance(values, list) else table[key].astype(float)
        panel.scatter(places, table["value"], s=24, color=BLUE, alpha=0.7, linewidths=0)
        panel.scatter(places[best], table["value"][best], s=44, color=VERMILLION, label=f"best: {best_value:.4g}")
        panel.set_xlabel(key)
        if isinstance(values, list):
            panel.set_xticks(range(len(values)), _labels(values))
            panel.set_xlim(-0.5, len(values) - 0.5)
        else:
            panel.set_xscale("log" if values.log else "linear")
            panel.set_xlim(*_with_room(values))
            panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            panel.xaxis.minorticks_off()
    for panel in panels[len(space) :]:
        panel.set_visible(False)
    for panel in panels[::n_columns]:
        panel.set_ylabel(name)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right")
    save_figure(figure, path)


def _with_room(values: Range) -> tuple[float, float]:
    """The ends of an axis, a little beyond those of the range: a point may lie on them."""
    if values.log:
        room = (values.high / values.low) ** 0.03
        return values.low / room, values.high * room
    room = 0.03 * (values.high - values.low)
    return values.low - room, values.high + room


@in_style()
def draw_parallel(table: Any, space: Space, monitor: str, path: Path) -> None:
    """A line per trial through an axis per key to its value; better ones are darker, and lie on top."""
    from matplotlib import colormaps

    mode, _, name = monitor.partition(" ")
    table = table.dropna(subset="value").sort_values("value", ascending=mode == "max")  # the best is drawn last
    low, high = table["value"].min(), table["value"].max()
    figure, panel = new_figure(width=2 + 2 * len(space), height=4)
    axes = space | {"value": Range(low, high, log=False)}
    heights = [_heights(table[key], values) for key, values in axes.items()]
    for rank, line in enumerate(zip(*heights, strict=True), 1):
        goodness = rank / len(table)
        panel.plot(range(len(line)), line, color=colormaps["viridis_r"](goodness), alpha=0.3 + 0.7 * goodness)
    for place, values in enumerate(axes.values()):
        marks = values if isinstance(values, list) else sorted({values.low, values.high})
        for mark, height in zip(_labels(marks), _heights(marks, values), strict=True):
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
            panel.text(place + 0.03, height, mark, fontsize="small", verticalalignment="center", bbox=box)
        panel.axvline(place, color=GREY, linewidth=0.8)
    panel.set_xticks(range(len(axes)), [*(key.replace(".args.", ".args.\n") for key in space), name])
    panel.set_yticks([])
    panel.set_ylim(-0.05, 1.05)
    panel.spines[:].set_visible(False)
    panel.grid(visible=False)
    panel.set_title("The darker a trial, the better")
    save_figure(figure, path)


def _heights(column: Iterable[Any], values: list[Any] | Range) -> list[float]:
    """Where on its axis each value lies: from 0, at its lower end, to 1."""
    if isinstance(values, list):
        return [values.index(value) / (len(values) - 1) for value in column]
    low, high = (math.log(end) if values.log else end for end in (values.low, values.high))
    return [((math.log(value) if values.log else value) - low) / ((high - low) or 1) for value in column]


def _labels(values: Iterable[Any]) -> list[str]:
    return [text if len(text) <= 20 else f"{text[:17]}..." for text in map(show, values)]
