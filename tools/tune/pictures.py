"""Pictures of a search, from its table, a pandas.DataFrame: the value against each key, and all keys side by side."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.trials.table import show
from tools.tune.space import Range, Space
from utils.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_COLUMNS = 3


def draw_values(table: Any, space: Space, monitor: str, path: Path) -> None:
    """One panel per key: each trial's value against that key's; the best trial is marked."""
    from matplotlib.figure import Figure

    mode, _, name = monitor.partition(" ")
    table = table.dropna(subset="value")
    best = table["value"].idxmin() if mode == "min" else table["value"].idxmax()
    n_columns = min(len(space), MAX_COLUMNS)
    n_rows = math.ceil(len(space) / n_columns)
    figure = Figure(figsize=(4 * n_columns, 3 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True).flatten()
    for panel, (key, values) in zip(panels, space.items(), strict=False):
        places = table[key].map(values.index) if isinstance(values, list) else table[key].astype(float)
        panel.scatter(places, table["value"], s=20)
        panel.scatter(places[best], table["value"][best], s=80, facecolors="none", edgecolors="tab:red", label="best")
        panel.set_xlabel(key)
        if isinstance(values, list):
            panel.set_xticks(range(len(values)), _labels(values))
            panel.set_xlim(-0.5, len(values) - 0.5)
        else:
            panel.set_xscale("log" if values.log else "linear")
            panel.set_xlim(values.low, values.high)
    for panel in panels[len(space) :]:
        panel.set_visible(False)
    for panel in panels[::n_columns]:
        panel.set_ylabel(name)
    panels[0].legend()
    _save(figure, path)


def draw_parallel(table: Any, space: Space, monitor: str, path: Path) -> None:
    """A line per trial through an axis per key to its value; better ones are darker, and lie on top."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    mode, _, name = monitor.partition(" ")
    table = table.dropna(subset="value").sort_values("value", ascending=mode == "max")  # the best is drawn last
    low, high = table["value"].min(), table["value"].max()
    figure = Figure(figsize=(2 + 2 * len(space), 4), layout="constrained")
    panel = figure.subplots()
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
        panel.axvline(place, color="gray", linewidth=0.8)
    panel.set_xticks(range(len(axes)), [*(key.replace(".args.", ".args.\n") for key in space), name])
    panel.set_yticks([])
    panel.set_ylim(-0.05, 1.05)
    panel.spines[:].set_visible(False)
    _save(figure, path)


def _heights(column: Iterable[Any], values: list[Any] | Range) -> list[float]:
    """Where on its axis each value lies: from 0, at its lower end, to 1."""
    if isinstance(values, list):
        return [values.index(value) / (len(values) - 1) for value in column]
    low, high = (math.log(end) if values.log else end for end in (values.low, values.high))
    return [((math.log(value) if values.log else value) - low) / ((high - low) or 1) for value in column]


def _labels(values: Iterable[Any]) -> list[str]:
    return [text if len(text) <= 20 else f"{text[:17]}..." for text in map(show, values)]


def _save(figure: "Figure", path: Path) -> None:
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=120))
