"""Runs side by side: the config keys in which they differ, and their results.

python -m tools.compare saved/<name>/<run_id> saved/<name>/<another> ...
python -m tools.compare saved/<name>/<seeds> saved/<name>/<other seeds>      two folders of tools.repeat

The numbers are those of a run's best epoch or, without a monitor, of its last; of a folder of tools.repeat, the mean of
its runs. For two such folders with seeds or folds in common it says whether the difference of the monitored number, or
of --metric, is more than chance.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.trials.table import print_table
from tools.trials.trial import Record, best_record, read_records, read_result
from utils.errors import UserError, printable, run_command

CHANCE = 0.05  # below this probability, a difference is called more than chance
NO_RESULTS = ("epoch", "step", "seconds", "lr")


@dataclass(frozen=True)
class Entry:
    """What stands in a row. runs: the numbers of each run by its name, of a single one by ""."""

    path: Path
    config: dict[str, Any]
    runs: dict[str, Record]

    @property
    def is_group(self) -> bool:
        return "" not in self.runs

    def mean(self, name: str) -> float | None:
        numbers = [record[name] for record in self.runs.values() if record.get(name) is not None]
        return sum(numbers) / len(numbers) if numbers else None


def main(argv: list[str] | None = None) -> None:
    """Print the table and, for two groups, what to think of it."""
    parser = argparse.ArgumentParser("python -m tools.compare", description="Show runs and their configs side by side.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder, or one of tools.repeat")
    parser.add_argument("--metric", metavar="NAME", help="such as val_accuracy (default: the first one's monitor)")
    args = parser.parse_args(argv)
    if len(args.runs) < 2:
        parser.error("name two runs or more")
    entries = [read_entry(path) for path in args.runs]

    import pandas as pd

    keys = differing_keys([entry.config for entry in entries])
    names = list(dict.fromkeys(name for entry in entries for run in entry.runs.values() for name in run))
    rows = []
    for entry in entries:
        row = {"run": str(entry.path)} | {key: value_at(entry.config, key) for key in keys}
        row |= {"runs": len(entry.runs)} if any(other.is_group for other in entries) else {}
        rows.append(row | {name: entry.mean(name) for name in names})
    print_table(pd.DataFrame(rows).astype(object))
    metric = args.metric or entries[0].config["trainer"]["monitor"].partition(" ")[2]
    if args.metric and args.metric not in names:
        raise UserError(f"--metric {args.metric}: these runs have {', '.join(names)}")
    if len(entries) == 2 and all(entry.is_group for entry in entries):
        print(printable(verdict(entries[0], entries[1], metric)))


def read_entry(path: Path) -> Entry:
    """A run, or the runs of tools.repeat. Raises UserError for another folder."""
    repeat = path / "repeat.json"
    try:
        config = json.loads((path / "config.json").read_bytes() if not repeat.exists() else repeat.read_bytes())
        config = config["config"] if repeat.exists() else config
        monitor = config["trainer"]["monitor"]
        if not repeat.exists():
            records = {"": best_record(read_records(path), monitor)}
        else:
            results = {folder.name: read_result(folder) for folder in sorted(path.iterdir()) if folder.is_dir()}
            records = {name: result["metrics"] for name, result in results.items() if result and result["metrics"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no folder of a run or of tools.repeat ({error})") from None
    if not records or None in records.values():
        raise UserError(f"{path} has no results yet")
    numbers = {run: {name: value for name, value in record.items() if name not in NO_RESULTS}
               for run, record in records.items() if record is not None}  # fmt: skip
    return Entry(path, config, numbers)


def differing_keys(configs: list[dict[str, Any]]) -> list[str]:
    """The dotted keys that have not the same value in all configs; where the runs are kept does not count."""
    from utils.checkpoint import differences

    found = dict.fromkeys(key for config in configs[1:] for key in differences(configs[0], config))
    return [key for key in found if key != "trainer.save_dir"]


def value_at(config: Any, key: str) -> Any:
    """The value of a dotted key; None if there is none."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def verdict(first: Entry, second: Entry, metric: str) -> str:
    """In plain words: is the difference of a number more than chance? A paired t-test."""
    from scipy.stats import ttest_rel

    unknown = "Whether the difference is more than chance cannot be said"
    if not metric:
        return f"{unknown} without a monitor; name a number with --metric."
    if metric in ("loss", "val_loss") and first.config["loss"] != second.config["loss"]:
        return f"{unknown}: {metric} is that of two different losses; name another number with --metric."
    both = [[entry.runs[run].get(metric) for entry in (first, second)] for run in first.runs if run in second.runs]
    pairs = [(a, b) for a, b in both if a is not None and b is not None]
    if len(pairs) < 2:
        return f"{unknown}: {metric} of two seeds or folds in common is needed, there are {len(pairs)}."
    if sum(b - a for a, b in pairs) < 0:  # so that the difference is a positive number
        first, second, pairs = second, first, [(b, a) for a, b in pairs]
    differences = [b - a for a, b in pairs]
    if max(differences) - min(differences) <= 1e-9 * max(differences):
        return f"{unknown}: {metric} differs by {differences[0]:.4g} in all {len(pairs)} pairs."

    lower, higher = zip(*pairs, strict=True)
    test: Any = ttest_rel(higher, lower)
    low, high = test.confidence_interval(1 - CHANCE)
    chance = "more than chance" if test.pvalue < CHANCE else "no more than chance may bring"
    mean = sum(differences) / len(pairs)
    text = (f"{metric} of {second.path} is higher by {mean:.4g} on average of {len(pairs)} pairs; 95 % interval "
            f"{low:.4g} to {high:.4g}.\nThat is {chance}: if there were no difference, one as large would come up with "
            f"probability {test.pvalue:.2g} (paired t-test).")  # fmt: skip
    if any(run.startswith("fold") for run in first.runs):
        text += "\nFolds share most of their training data, so the true probability is somewhat larger."
    return text


if __name__ == "__main__":
    sys.exit(run_command(main))
