"""Charts as inline SVG: whole without a script; with it, a pointer reads the numbers off."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tools.page.html import Html, element, join, number

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 28  # around the axes
N_COLORS = 6  # of the style sheet; a seventh curve is the first's colour again, dashed otherwise
MAX_POINTS = 600  # of a curve; a screen shows no more
DASHES = (None, "6 3", "2 3", "8 3 2 3")


class Series(NamedTuple):
    """A curve. points: (x, y) by ascending x; a y that is not finite is a gap."""

    name: str
    points: Sequence[tuple[float, float]]
    color: int = 0
    dashes: int = 0


def line_chart(title: str, series: Sequence[Series], mark: float | None = None, x_name: str = "epoch") -> Html | None:
    """Some curves over the same x, on a log scale where all is positive and spans three powers of ten.

    mark: an x to be marked, such as the best epoch. None without a single finite point.
    """
    shown = [one._replace(points=_thinned(one.points)) for one in series]
    known = [(x, y) for one in shown for x, y in one.points if math.isfinite(y)]
    if not known:
        return None
    is_log = min(y for _, y in known) > 0 and max(y for _, y in known) > 1000 * min(y for _, y in known)
    left, right = min(x for x, _ in known), max(x for x, _ in known)
    low, high, ticks = _log_axis(known) if is_log else _linear_axis(known)

    def x_of(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((x - left) / (right - left) if right > left else 0.5)

    def y_of(y: float) -> float:
        share = (math.log10(y) - low) / (high - low) if is_log else (y - low) / (high - low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    parts = [_tick_y(y_of(tick), _label(tick)) for tick in ticks]
    parts += [_tick_x(x_of(tick), _label(tick)) for tick in _nice_ticks(left, right, 6) if left <= tick <= right]
    parts.append(element("text", x_name, x=0, y=HEIGHT - 8))
    if mark is not None and left <= mark <= right:
        parts.append(element("line", x1=_f(x_of(mark)), x2=_f(x_of(mark)), y1=TOP, y2=HEIGHT - BOTTOM, class_="mark"))
    for one in shown:
        places = [(x_of(x), y_of(y)) if math.isfinite(y) else None for x, y in one.points]
        parts.append(_curve(places, one))
    parts.append(element("line", x1=0, x2=0, y1=TOP, y2=HEIGHT - BOTTOM, class_="cursor"))
    drawing = element(
        "svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=_in_words(title, shown, x_name)
    )
    legend = [_legend(one) for one in shown] if len(shown) > 1 else []
    data = [[one.name, [[x, y if math.isfinite(y) else None] for x, y in one.points]] for one in shown]
    scale = element("span", "log scale", class_="soft") if is_log else None
    caption = element("figcaption", element("b", title), scale, element("output", class_="soft"))
    frame = {"data_left": left, "data_right": right, "data_x": x_name, "data_curves": json.dumps(data)}
    return element("figure", caption, drawing, element("div", *legend, class_="legend"), class_="chart", **frame)


def bar_chart(title: str, bars: Sequence[tuple[str, float]], color: int = 0, total: float | None = None) -> Html:
    """Horizontal bars with their names and numbers. total: of which each is a share, said behind it."""
    longest = max((value for _, value in bars), default=0) or 1
    rows = []
    for name, value in bars:
        share = f"{value / total:.1%}" if total else ""
        bar = element("i", style=f"width:{max(0.0, value) / longest:.2%}", class_=f"c{color}")
        numbers = (element("td", number(value), class_="n"), element("td", share, class_="n soft"))
        rows.append(element("tr", element("th", name, scope="row"), element("td", bar, class_="bar"), *numbers))
    return element("figure", element("figcaption", element("b", title)), element("table", *rows), class_="bars")


def _curve(places: Sequence[tuple[float, float] | None], one: Series) -> Html:
    """The path of a curve, and a dot for each point that stands alone."""
    path, alone, before = [], [], None
    for i, place in enumerate(places):
        if place is not None:
            path.append(f"{'L' if before else 'M'}{_f(place[0])} {_f(place[1])}")
            after = places[i + 1] if i + 1 < len(places) else None
            if before is None and after is None:
                alone.append(
                    element("circle", cx=_f(place[0]), cy=_f(place[1]), r=3, class_=f"d{one.color % N_COLORS}")
                )
        before = place
    dashes = DASHES[(one.dashes + one.color // N_COLORS) % len(DASHES)]
    return join(element("path", d="".join(path), class_=f"s{one.color % N_COLORS}", stroke_dasharray=dashes), *alone)


def _legend(one: Series) -> Html:
    dashes = DASHES[(one.dashes + one.color // N_COLORS) % len(DASHES)]
    line = element("line", x1=0, x2=22, y1=5, y2=5, class_=f"s{one.color % N_COLORS}", stroke_dasharray=dashes)
    return element("button", element("svg", line, viewBox="0 0 22 10", aria_hidden="true"), one.name, type="button",
                   aria_pressed="true")  # fmt: skip


def _in_words(title: str, series: Sequence[Series], x_name: str) -> str:
    """The chart for those who do not see it."""
    said = []
    for one in series:
        known = [(x, y) for x, y in one.points if math.isfinite(y)]
        if known:
            (first, begin), (last, end) = known[0], known[-1]
            said.append(f"{one.name} from {number(begin)} at {x_name} {first:g} to {number(end)} at {x_name} {last:g}")
    return f"{title}: {'; '.join(said[:10])}."


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    step = -(-len(points) // MAX_POINTS)
    return [point for i, point in enumerate(points) if i % step == 0 or i == len(points) - 1]


def _tick_y(place: float, label: str) -> Html:
    line = element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=_f(place), y2=_f(place), class_="grid")
    return join(line, element("text", label, x=LEFT - 8, y=_f(place + 4), class_="end"))


def _tick_x(place: float, label: str) -> Html:
    return element("text", label, x=_f(place), y=HEIGHT - 8, class_="middle")


def _linear_axis(known: Sequence[tuple[float, float]]) -> tuple[float, float, list[float]]:
    low, high = min(y for _, y in known), max(y for _, y in known)
    room = (high - low) * 0.04 or abs(high) * 0.1 or 1
    low, high = low - room, high + room
    return low, high, [tick for tick in _nice_ticks(low, high, 5) if low <= tick <= high]


def _log_axis(known: Sequence[tuple[float, float]]) -> tuple[float, float, list[float]]:
    low, high = (math.log10(f(y for _, y in known)) for f in (min, max))
    room = (high - low) * 0.04
    powers = range(math.ceil(low - room), math.floor(high + room) + 1)
    return low - room, high + room, [10.0**power for power in powers][:: -(-len(powers) // 6)]


def _nice_ticks(low: float, high: float, n: int) -> list[float]:
    """About n round numbers from `low` to `high`."""
    if high <= low:
        return [low]
    step = round_step((high - low) / n)
    first = math.ceil(low / step)
    return [(first + i) * step for i in range(int((high - low) / step) + 2)]


def round_step(length: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is no shorter."""
    power = 10.0 ** math.floor(math.log10(length))
    return next((power * f for f in (1, 2, 5, 10) if power * f >= length), length)


def _label(value: float) -> str:
    if 0 < abs(value) < 1e-4 or abs(value) >= 1e7:
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.7g}"


def _f(value: float) -> str:
    return f"{value:.1f}"


def values_of(records: Sequence[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    """The points (epoch, value) of a number in a log's records; NaN where there is none."""
    return [(record["epoch"], math.nan if record.get(name) is None else record[name]) for record in records]
