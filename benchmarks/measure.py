"""Measuring in turns, and showing what was measured."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

SUMMARIES = (min, statistics.median)
HEADER = f"{'min':>11}{'median':>11}{'difference':>22}{'ratio':>16}"


@dataclass(frozen=True)
class Row:
    """A comparison: what each contestant needed in every round. The first is the one that others are held against."""

    table: str
    name: str
    unit: str
    times: dict[str, list[float]]

    def __str__(self) -> str:
        """A line per contestant: minimum and median, then their differences and ratios to the first's."""
        lines = [f"{self.name}, {self.unit}"]
        references = [summarize(next(iter(self.times.values()))) for summarize in SUMMARIES]
        for number, (contestant, times) in enumerate(self.times.items()):
            values = [summarize(times) for summarize in SUMMARIES]
            line = f"    {contestant:24}" + "".join(f"{value:11.5g}" for value in values)
            if number > 0:
                pairs = list(zip(values, references, strict=True))
                line += "".join(f"{value - reference:+11.4g}" for value, reference in pairs)
                line += "".join(f"{value / reference:8.3f}" for value, reference in pairs)
            lines.append(line)
        return "\n".join(lines)


def in_turns(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """The times that the contestants return, in turns (A B A B ...), so that a slow minute of the machine hits all."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            times[name].append(run())
    return times
