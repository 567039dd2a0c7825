"""A config for a table that nobody has seen: how the file is read, and whether a class or a number is predicted."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tools.new_project.settings import ROWS_PER_COLUMN, balance, config_for, network_for
from utils.errors import UserError

MAX_CLASSES = 10  # if they are whole numbers; of more different ones, the number itself is predicted
MIN_ROWS = 5  # of such a class, on average
MIN_COLUMNS = 10  # that are used however few rows there are
TEST_SIZE, VALIDATION_SPLIT = 0.2, 0.2
LIKE_A_CODE = re.compile(r"zip|post(al)?[_ ]?code|(^|[_ ])(plz|code)$", re.IGNORECASE)  # numbers that measure nothing
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


def config_for_table(path: Path, target: str | None, task: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """A config that predicts a column from the others, and lines that say what was decided.

    task: "classification" or "regression"; None: as the column looks.
    Raises UserError if there is no such file or column, or nothing can be learnt from it.
    """
    from data_loader.csv_file import CsvDataLoader

    try:
        options, column = read_table(path, target)
        found, why = task_of(column)
        task = task or found
        arguments = {"path": str(path.resolve()), "target": target, "task": task, "test_size": TEST_SIZE}
        arguments |= options | {"validation_split": VALIDATION_SPLIT}
        if task == "classification":
            arguments |= split_of(column)
        loader = CsvDataLoader(**arguments, batch_size=1)
        n_columns, most = len(loader.fitted["columns"]), max(MIN_COLUMNS, loader.n_samples // ROWS_PER_COLUMN)
        if n_columns > most:
            arguments["max_columns"] = most
            loader = CsvDataLoader(**arguments, batch_size=1)
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: {str(error).removeprefix('path: ')}") from error
    n_train = loader.n_samples
    config = config_for(path.stem, network_for(n_train, n_columns), ("CsvDataLoader", arguments), n_train, task)
    lines = [f"Task: {task}; {target!r} holds {why}"]
    if options:
        lines.append(f"Read with {', '.join(f'{name} {value!r}' for name, value in options.items())}")
    if "max_columns" in arguments:
        lines.append(f"{n_columns} columns are many for {n_train} rows to train on: the {most} that tell most are used")
    if task == "classification":
        lines += balance(config, np.unique(column.values[~column.gaps], return_counts=True)[1].tolist())
    return config, lines


def read_table(path: Path, target: str | None) -> tuple[dict[str, Any], Any]:
    """The arguments of CsvDataLoader that say how a file is to be read, and the column to predict.

    Raises ValueError if it is no table, or can be read in two ways; UserError, with the columns, without a target.
    """
    from data_loader.table.columns import are_numbers, odd_texts
    from data_loader.table.reading import CsvFile

    separator = find_separator(path)
    file = CsvFile(path, separator, ".", ())
    if target is None:
        raise UserError(f"which column is to be predicted? Add --target NAME; {path} has {', '.join(file.columns)}")
    file.require("--target", [target])
    columns = file.read(file.columns)
    decimal = find_decimal(columns.values())
    gaps, codes = [], []
    for name, column in columns.items():
        odd = odd_texts(column.texts, decimal) or []
        if not any(character.isdigit() for text in odd for character in text):  # such as "?"
            gaps += [text for text in odd if text not in gaps]
        elif name != target:  # such as "12a"
            codes.append(name)
        if name != target and column.is_integer and LIKE_A_CODE.search(name):
            codes.append(name)
    options = {"separator": separator, "decimal": decimal, "na_values": gaps, "categories": codes}
    usual = {"separator": ",", "decimal": ".", "na_values": [], "categories": []}
    options = {name: value for name, value in options.items() if value != usual[name]}
    column = CsvFile(path, separator, decimal, gaps).read([target])[target]
    return options, column.as_numbers(decimal) if are_numbers(column, decimal) else column


def find_separator(path: Path) -> str:
    """That with which a file is a table of the most columns."""
    from data_loader.table.reading import CsvFile

    n_columns, faults = {}, []
    for separator in ",;\t|":
        try:
            n_columns[separator] = len(CsvFile(path, separator, ".", ()).columns)
        except (ValueError, OSError) as fault:
            faults.append(fault)
    if not n_columns:
        raise faults[0]
    return max(n_columns, key=lambda separator: n_columns[separator])


def find_decimal(columns: Iterable[Any]) -> str:
    """A comma, if with it a column's texts are numbers. Raises ValueError if it may as well stand between thousands."""
    from data_loader.table.columns import odd_texts

    in_doubt = None
    for column in columns:
        with_point, with_comma = (odd_texts(column.texts, decimal) for decimal in ".,")
        if with_comma is not None and (with_point is None or len(with_comma) < len(with_point)):
            commas = [text for text in column.texts if "," in text and text not in with_comma]
            if not all(map(THOUSANDS.fullmatch, commas)):
                return ","
            in_doubt = in_doubt or (column.name, commas[0])
    if in_doubt:
        name, text = in_doubt
        one, other = text.replace(",", ""), text.replace(",", ".")
        raise ValueError(f"{name!r} holds {text!r}, which may be {one} or {other}; write it in one of these ways")
    return "."


def task_of(column: Any) -> tuple[str, str]:
    """Classification or regression, and why: what the column to predict holds."""
    if column.is_text:
        return "classification", f"{len(column.texts)} different texts"
    numbers, counts = np.unique(column.values[~column.gaps], return_counts=True)
    are_whole = bool((numbers == np.round(numbers)).all())
    n = len(numbers)
    are_classes = n == 2 or (are_whole and n <= MAX_CLASSES and counts.sum() >= n * MIN_ROWS)
    words = f"{n} different {'whole ' if are_whole else ''}numbers"
    return "classification" if are_classes else "regression", words


def split_of(column: Any) -> dict[str, Any]:
    """How rows of classes are split: so that there is one of each in every part, if they are enough."""
    counts = np.unique(column.values[~column.gaps], return_counts=True)[1]
    n_rows, n_classes = int(counts.sum()), int((counts > 1).sum())
    test_size = TEST_SIZE if int(n_rows * TEST_SIZE) >= n_classes else 0.5
    n_train = n_rows - int(n_rows * test_size)
    return {"test_size": test_size,
            "stratify": bool((counts >= 4).all() and int(n_train * VALIDATION_SPLIT) >= n_classes)}  # fmt: skip
