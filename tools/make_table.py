"""Write configs/passengers.csv, the table of the CSV examples: python -m tools.make_table FILE

Nothing in it is real. It has what real tables have: numbers and categories, both with gaps, booleans, and a column
of text that tells nothing. Two columns can be predicted: `survived`, up to chance, and `fare`, up to noise.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.errors import UserError, run_command

if TYPE_CHECKING:
    from pandas import DataFrame

FARE_NOISE = 4.0  # standard deviation


def make_table(n_rows: int = 1000, seed: int = 0) -> "DataFrame":
    """A table of made-up passengers; the same arguments give the same table."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    sex = rng.choice(["female", "male"], n_rows, p=[0.4, 0.6])
    cabin = rng.choice(["first", "second", "third"], n_rows, p=[0.2, 0.3, 0.5])
    port = rng.choice(["Busan", "Incheon", "Jeju"], n_rows, p=[0.5, 0.3, 0.2])
    age = rng.normal(35, 14, n_rows).clip(1, 80).round()
    relatives = rng.poisson(0.8, n_rows)

    price = pd.Series(cabin).map({"first": 60.0, "second": 30.0, "third": 15.0}).to_numpy()
    distance = pd.Series(port).map({"Busan": 0.0, "Incheon": 5.0, "Jeju": 15.0}).to_numpy()
    fare = (price + distance - 0.5 * (age < 12) * price + rng.normal(0, FARE_NOISE, n_rows)).clip(1).round(2)

    score = 3.0 * (sex == "female") + 1.5 * (cabin == "first") - 1.5 * (cabin == "third") + 2.0 * (age < 12) - 1.5
    survived = rng.random(n_rows) < 1 / (1 + np.exp(-1.5 * score))

    table = pd.DataFrame(
        {
            "ticket": [f"T{number}" for number in rng.permutation(n_rows)],
            "age": age,
            "sex": sex,
            "cabin": cabin,
            "port": port,
            "relatives": relatives,
            "alone": relatives == 0,
            "fare": fare,
            "survived": np.where(survived, "yes", "no"),
        }
    )
    table.loc[rng.random(n_rows) < 0.15, "age"] = np.nan
    table.loc[rng.random(n_rows) < 0.05, "port"] = np.nan
    return table


def main(argv: list[str] | None = None) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser("python -m tools.make_table", description="Make the table of the CSV examples.")
    parser.add_argument("file", type=Path)
    args = parser.parse_args(argv)
    try:
        make_table().to_csv(args.file, index=False)
    except OSError as error:
        raise UserError(f"{args.file}: cannot be written: {error.strerror or error}") from None


if __name__ == "__main__":
    sys.exit(run_command(main))
