"""Train a config several times, with other seeds or on other folds of its data: how much of its result is chance?

python -m tools.repeat -c config.json --seeds 5                  the same run with five seeds
python -m tools.repeat -c config.json --folds 5 --parallel 2     each fifth of the training data validates once

Each run is an ordinary one, in saved/<config's name>/<--name>/seed-123 or fold-1-of-5, and so on. After a kill, the
same command goes on; with more seeds, only the new ones are run. At its end the folder holds repeat.csv. Folds are
those of the data loader: stratified and grouped if it is, its scalers fitted on the training part alone. The test part
is never looked at.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parse_config import ConfigParser
from tools.trials.folder import open_folder, read_config
from tools.trials.processes import ListSearch, check_parallel, run_trials
from tools.trials.table import Progress, print_table, write_table
from tools.trials.trial import Trial, read_result
from utils.errors import UserError, printable, run_command

if TYPE_CHECKING:
    from pandas import DataFrame

CONFIDENCE = 0.95


def main(argv: list[str] | None = None) -> None:
    """Run them all, then say what they have in common."""
    args = parse_args(argv)
    config, monitor = read_config(args.config, args.set)
    runs = planned_runs(args, config)
    plan = {"trials": len(runs), "folds": args.folds, "config": config}
    folder = open_folder(config, args.name or ("seeds" if args.seeds else "folds"), plan, "repeat.json")

    print(printable(f"{folder}: {len(runs)} runs, {args.parallel} at a time"))
    progress = Progress(len(runs), monitor)
    try:
        run_trials(ListSearch(runs, progress), config, folder, args.parallel)
    except KeyboardInterrupt:
        print(f"Stopped with {progress.n_left} runs left; the same command goes on.")
        raise
    table = summarized(runs_table(runs, folder))
    write_table(table, folder / "repeat.csv")
    print_table(table)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line, with what can be said of it alone."""
    parser = argparse.ArgumentParser("python -m tools.repeat", description="Train a config several times.")
    add = parser.add_argument
    add("-c", "--config", type=Path, required=True, metavar="FILE")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--seeds", type=int, metavar="N", help="with so many seeds, from the config's own on")
    how.add_argument("--folds", type=int, metavar="K", help="so that each of so many folds validates once")
    add("--parallel", type=int, default=1, metavar="K", help="how many at a time, of one thread each (default: 1)")
    add("--name", metavar="NAME", help="the folder in saved/<config's name>/ (default: seeds or folds)")
    add("-s", "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change a config key")
    args = parser.parse_args(argv)
    if (args.folds if args.seeds is None else args.seeds) < 2:
        parser.error("of one run nothing can be said: --seeds and --folds are at least 2")
    check_parallel(args.parallel)
    return args


def planned_runs(args: argparse.Namespace, config: dict[str, Any]) -> list[Trial]:
    """Names and settings. Raises UserError, before anything is written, for more seeds or folds than there can be."""
    if args.seeds:
        runs = [Trial(f"seed-{seed}", {"seed": seed}) for seed in range(config["seed"], config["seed"] + args.seeds)]
    else:
        key, folds = "data_loader.args.validation_split", range(1, args.folds + 1)
        runs = [Trial(f"fold-{fold}-of-{args.folds}", {key: f"{fold}/{args.folds}"}) for fold in folds]
    settings = [f"{key}={value}" for key, value in runs[-1].settings.items()]
    last = ConfigParser(config, str(args.config), settings=settings)
    if args.folds:
        from data_loader.build import build_loaders  # imports torch

        build_loaders(last)
    return runs


def runs_table(runs: list[Trial], folder: Path) -> "DataFrame":
    """A row for each run: its numbers at the best epoch, or without a monitor at the last."""
    import pandas as pd

    rows = []
    for run in runs:
        result = read_result(folder / run.name)
        assert result is not None
        rows.append({"run": run.name, "epoch": result["epoch"]} | result["metrics"] | {"cause": result["cause"]})
    if all(row["cause"] for row in rows):
        raise UserError(f"every run failed, the first for this: {rows[0]['cause']}")
    table = pd.DataFrame(rows)
    numbers = table.columns.drop(["run", "epoch", "lr", "cause"])
    return table.reindex(columns=["run", "epoch", *numbers, "cause"])  # a first run that failed has no numbers


def summarized(table: "DataFrame") -> "DataFrame":
    """With rows below for mean, standard deviation, and the ends of the mean's 95 % interval (Student's t)."""
    import pandas as pd
    from scipy.stats import t

    numbers = table.drop(columns=["run", "epoch", "cause"]).astype(float)
    n, mean, deviation = numbers.count(), numbers.mean(), numbers.std()
    half = deviation / n**0.5 * t.ppf((1 + CONFIDENCE) / 2, n - 1)
    rows = {"mean": mean, "standard deviation": deviation, "95 % from": mean - half, "95 % to": mean + half}
    summary = pd.DataFrame([{"run": name} | dict(row) for name, row in rows.items()])
    return pd.DataFrame(pd.concat([table, summary])).astype({"epoch": "Int64"})


if __name__ == "__main__":
    sys.exit(run_command(main))
