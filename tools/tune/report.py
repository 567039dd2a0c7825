"""What a search has come to: a table, trials.csv, best.json, two pictures."""

from pathlib import Path
from typing import Any

from tools.trials.table import print_table, write_table
from tools.trials.trial import read_result
from tools.tune.space import Space, trial_name, with_settings
from utils.errors import UserError, printable
from utils.files import write_json


def report(space: Space, config: dict[str, Any], folder: Path, n_trials: int) -> None:
    """Write and print it. Raises UserError if every trial failed."""
    from tools.tune.pictures import draw_parallel, draw_values

    names = [trial_name(number) for number in range(1, n_trials + 1)]
    results = {name: result for name in names if (result := read_result(folder / name)) is not None}
    table = trials_table(results, space)
    write_table(table, folder / "trials.csv")
    mode, _, monitored = config["trainer"]["monitor"].partition(" ")
    ranked = table.sort_values("value", ascending=mode == "min", kind="stable")
    print_table(ranked.rename(columns={"value": monitored}))
    if table["value"].count() == 0:
        raise UserError(f"every trial failed, the first for this: {table['cause'].iloc[0]}")

    best = ranked.iloc[0]["trial"]
    write_json(with_settings(config, results[best]["settings"]), folder / "best.json")
    draw_values(table, space, config["trainer"]["monitor"], folder / "values.png")
    draw_parallel(table, space, config["trainer"]["monitor"], folder / "parallel.png")
    print(printable(f"Best: {monitored} {ranked.iloc[0]['value']:.6g} in {folder / best}, with these settings:\n"
                    f"    python train.py -c {folder / 'best.json'}"))  # fmt: skip


def trials_table(results: dict[str, dict[str, Any]], space: Space) -> Any:
    """A pandas.DataFrame with a row for each trial; `value` is its best one."""
    import pandas as pd

    rows = []
    for name, result in results.items():
        outcome = {key: result[key] for key in ("value", "epoch", "seconds")}
        rows.append({"trial": name} | outcome | result["settings"] | {"cause": result["cause"]})
    columns = ["trial", "value", "epoch", "seconds", *space, "cause"]
    return pd.DataFrame(rows, columns=columns).astype({"value": float, "epoch": "Int64"})
