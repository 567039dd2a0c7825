"""Measuring in turns, and showing what was measured."""

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import torch

Contestants = dict[str, Callable[[], float]]  # each returns the time it took, in the unit of the comparison

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


def in_turns(contestants: Contestants, rounds: int) -> dict[str, list[float]]:
    """The times of the contestants, in turns (A B A B ...), so that a slow minute of the machine hits all of them.

    A round before them is not counted: it imports, compiles and fills caches.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for round_number in range(rounds + 1):
        for name, run in contestants.items():
            time_needed = run()
            if round_number > 0:
                times[name].append(time_needed)
    return times


@contextmanager
def in_own_processes(contestants: Contestants) -> Iterator[Contestants]:
    """The same contestants, each in a process of its own: the import of some frameworks slows down all of torch."""
    with ExitStack() as stack:
        new = partial(ProcessPoolExecutor, 1, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,))
        pools = {name: stack.enter_context(new()) for name in contestants}
        yield {name: partial(_result, pools[name], run) for name, run in contestants.items()}


def _result(pool: ProcessPoolExecutor, run: Callable[[], float]) -> float:
    return pool.submit(run).result()


def microseconds(work: Callable[[], int]) -> float:
    """Microseconds per unit of some work, which returns how many units it did."""
    start = time.perf_counter()
    n_done = work()
    return (time.perf_counter() - start) / n_done * 1e6
