"""Trials as a table: on the terminal, and as a CSV file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.trials.trial import Record, Trial
from utils.errors import printable

if TYPE_CHECKING:
    from pandas import DataFrame


class Progress:
    """One line per trial that has ended, and how many are left."""

    def __init__(self, n_trials: int, monitor: str):
        self.n_left = n_trials
        self.monitor = monitor.partition(" ")[2]

    def show(self, trial: Trial, result: Record) -> None:
        self.n_left -= 1
        parts = [trial.name, *(f"{key}={show(value)}" for key, value in trial.settings.items())]
        if result["value"] is not None:
            parts.append(f"{self.monitor} {show(result['value'])} at epoch {result['epoch']}")
        if result["state"] != "done":
            parts.append(f"{result['state']}: {result['cause']}" if result["state"] == "failed" else result["cause"])
        parts.append(f"{result['seconds']:.1f} s ({self.n_left} left)")
        print(printable("  ".join(parts)), flush=True)


def write_table(table: "DataFrame", path: Path) -> None:
    """Write a CSV file, whole or not at all."""
    from utils.files import write_atomically

    write_atomically(path, lambda file: file.write(table.to_csv(index=False).encode()))


def print_table(table: "DataFrame") -> None:
    """Aligned columns; numbers in four significant digits, a dash where there is none."""
    text = table.astype(object).where(table.notna(), None).map(show).to_string(index=False)
    print(printable(f"\n{text}\n"))


def show(value: Any) -> str:
    """A value in a table: short."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
