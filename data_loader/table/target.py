"""From the column to predict to class numbers or values."""

import numpy as np

from data_loader.table.reading import Column, numbers_of, shorten


def class_names(column: Column) -> list[str]:
    """The classes, in the order of their numbers. Raises ValueError if there is only one, or nearly one per row."""
    if not column.is_text:
        values = np.unique(column.values).tolist()
        are_whole = all(value.is_integer() for value in values)
        names = [str(int(value) if are_whole else value) for value in values]
    else:
        names = sorted(column.texts)
    if len(names) == 1:
        raise ValueError(f"target: {column.name!r} has one class only, {names[0]!r}; there is nothing to tell apart")
    if len(names) > max(2, len(column.values) // 2):
        raise ValueError(f"target: {column.name!r} holds {len(names)} classes in {len(column.values)} rows, too few to "
                         'learn from; to predict a number, say "task": "regression"')  # fmt: skip
    return names


def class_numbers(column: Column, classes: list[str]) -> np.ndarray:
    """The class number of each row, int64 (rows,). Raises ValueError for a class that is none of these."""
    if not column.is_text:
        found, places = np.unique(column.values, return_inverse=True)
        known = dict(zip(numbers_of(classes, ".").tolist(), range(len(classes)), strict=True))
    else:
        found, places = np.array(column.texts, object), column.values
        known = dict(zip(classes, range(len(classes)), strict=True))
    numbers = np.array([known.get(value, -1) for value in found.tolist()])[places]
    unknown = np.flatnonzero(numbers < 0)
    if len(unknown):
        raise ValueError(f"target: {column.name!r} is {column.text(unknown[0])!r} in row {unknown[0] + 1}, which is no "
                         f"class of the training; those are {shorten(classes)}")  # fmt: skip
    return numbers


def values_to_predict(column: Column, decimal: str) -> np.ndarray:
    """The numbers to predict, float64 (rows,). Raises ValueError for a row without a finite one."""
    values = column.as_numbers(decimal).values
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise ValueError(f"target: a regression needs finite numbers, but {column.name!r} is '{column.text(wrong[0])}' "
                         f"in row {wrong[0] + 1}; for a decimal comma say \"decimal\": \",\", for classes \"task\": "
                         '"classification"')  # fmt: skip
    return values
