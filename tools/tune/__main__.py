"""Search for the settings with the best monitored number.

python -m tools.tune -c config.json --space space.json --search random --trials 20
python -m tools.tune -c config.json --space space.json --search grid --parallel 4
python -m tools.tune -c config.json --space space.json --search optuna --trials 50 --name overnight

Each trial is an ordinary run, in saved/<config's name>/<--name>/trial-0001 and so on. However a search ends, the same
command goes on with it. At its end the folder holds trials.csv, values.png, parallel.png, and best.json, a config:

python train.py -c saved/<config's name>/<--name>/best.json
"""

import argparse
import importlib.util
import sys
from pathlib import Path

from tools.trials.folder import open_folder, read_config
from tools.trials.processes import ListSearch, check_parallel, run_trials
from tools.trials.table import Progress
from tools.tune.report import report
from tools.tune.space import check_space, grid, random
from utils.config import read_json
from utils.errors import UserError, printable, run_command

PACKAGES = {"optuna": "optuna", "ray": "ray[tune]"}


def main(argv: list[str] | None = None) -> None:
    """Check all, run the trials, say which is the best."""
    args = parse_args(argv)
    if args.search in PACKAGES and importlib.util.find_spec(args.search) is None:
        raise UserError(f"--search {args.search} needs a package: pip install '{PACKAGES[args.search]}', or all that "
                        "a search can use: pip install -r requirements-tune.txt")  # fmt: skip
    config, monitor = read_config(args.config, args.set)
    if monitor == "off":
        raise UserError("trainer.monitor is off, but a search must know what is best: -s 'trainer.monitor=min loss'")
    content = read_json(args.space)
    space = check_space(content, config, str(args.space))
    trials = []  # of optuna, which decides as it goes
    if args.search != "optuna":
        trials = grid(space) if args.search == "grid" else random(space, args.trials, config["seed"])
    n_trials = len(trials) or args.trials
    plan = {"search": args.search, "trials": n_trials, "space": content, "config": config}
    folder = open_folder(config, args.name or args.search, plan, "search.json")

    print(printable(f"{folder}: {n_trials} trials, {args.parallel} at a time"))
    progress = Progress(n_trials, monitor)
    try:
        if args.search == "ray":
            from tools.tune.ray_search import search_with_ray

            search_with_ray(trials, config, folder, args.parallel, progress, args.address)
        elif args.search == "optuna":
            from tools.tune.optuna_search import OptunaSearch

            run_trials(OptunaSearch(space, n_trials, config, folder, progress), config, folder, args.parallel)
        else:
            run_trials(ListSearch(trials, progress), config, folder, args.parallel)
    except KeyboardInterrupt:
        print(f"Stopped with {progress.n_left} trials left; the same command goes on.")
        raise
    report(space, config, folder, n_trials)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line, with what can be said of it alone."""
    parser = argparse.ArgumentParser("python -m tools.tune", description="Search for the best settings of a config.")
    add = parser.add_argument
    add("-c", "--config", type=Path, required=True, metavar="FILE", help="its trainer.monitor says what is best")
    add("--space", type=Path, required=True, metavar="FILE", help="a JSON file: keys to search, and where: "
        '{"optimizer.args.lr": {"log": [1e-4, 1e-1]}, "arch.args.dropout": {"range": [0.0, 0.5]}, '
        '"data_loader.args.batch_size": [16, 32]}')  # fmt: skip
    add("--search", choices=("grid", "random", "optuna", "ray"), default="random",
        help="every combination, random ones, Optuna's TPE, or Ray Tune's ASHA (default: random)")  # fmt: skip
    add("--trials", type=int, metavar="N", help="how many; grid: all combinations (default: 20)")
    add("--parallel", type=int, default=1, metavar="K", help="how many at a time, of one thread each (default: 1)")
    add("--name", metavar="NAME", help="the folder in saved/<config's name>/ (default: the kind of search)")
    add("--address", help="of a Ray cluster that runs already, such as auto; saved/ must be on a disk that it shares")
    add("-s", "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change a config key")
    args = parser.parse_args(argv)
    if args.search == "grid" and args.trials is not None:
        parser.error("--trials: a grid is all combinations; leave it out, or use --search random")
    if args.address and args.search != "ray":
        parser.error("--address is for --search ray")
    args.trials = 20 if args.trials is None else args.trials
    if args.trials < 1:
        parser.error(f"--trials {args.trials}: at least one")
    if args.address is None:
        check_parallel(args.parallel)
    return args


if __name__ == "__main__":
    sys.exit(run_command(main))
