"""Times that can be compared although the machine has other work."""

import statistics
import time
from collections.abc import Callable


def time_in_turns(functions: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Microseconds per unit of work, of each round; a function returns how many units it did. One round warms up."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for round_number in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            n_done = function()
            if round_number > 0:
                times[name].append((time.perf_counter() - start) / n_done * 1e6)
    return times


def print_times(title: str, times: dict[str, list[float]]) -> None:
    """Minimum and median, and how many times the first row's they are."""
    print(title)
    first = next(iter(times.values()))
    for name, values in times.items():
        minimum, median = min(values), statistics.median(values)
        ratios = f"{minimum / min(first):6.3f} {median / statistics.median(first):6.3f}"
        print(f"    {name:<36} min {minimum:8.2f}   median {median:8.2f}   times the first {ratios}")
