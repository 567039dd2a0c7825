"""From the columns of a table to features, with what was learnt from the rows trained on."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_loader.table.columns import (
    are_numbers,
    encode,
    feature_names,
    is_learnt,
    learn,
    odd_rows,
    refuse_odd_values,
    why_left_out,
)
from data_loader.table.reading import Column, CsvFile, shorten

Table = dict[str, Column]  # by name
Learnt = dict[str, dict[str, Any]]  # of each column that becomes features

FAR = 20  # standard deviations

logger = logging.getLogger(__name__)


def choose_columns(file: CsvFile, features: Sequence[str] | None, not_features: Sequence[str]) -> list[str]:
    """The columns to use as features, by default all but some. Raises ValueError for names that cannot be."""
    others = [name for name in file.columns if name not in not_features]
    if features is None:
        return others
    if not_features[0] in features:
        raise ValueError(f"features: {not_features[0]!r} is the target; a model that sees it has nothing to predict")
    file.require("features", features)
    if not features or len(set(features)) < len(features):
        raise ValueError(f"features: {features} must name at least one column, and each once")
    return list(features)


def learn_columns(
    table: Table, rows: np.ndarray, asked_for: Sequence[str], codes: Sequence[str], decimal: str
) -> Learnt:
    """What each column's features need, from the rows trained on: numbers first. Says which columns are left out.

    asked_for: columns that are kept though they look like ids. codes: those that hold no numbers, though it looks so.
    Raises ValueError for texts that were meant as numbers, and if nothing can be learnt from any column.
    """
    learnt, left_out = {}, []
    for name, column in table.items():
        if column.is_text and name not in codes:
            refuse_odd_values(column, decimal)
            column = column.as_numbers(decimal) if are_numbers(column, decimal) else column
        found = "" if name in asked_for else why_left_out(column)
        found = found or learn(column, rows)
        if isinstance(found, str):
            left_out.append(f"{name} {found}")
        else:
            learnt[name] = found
    if not learnt:
        raise ValueError(f"features: nothing can be learnt from any column: {shorten(left_out)}")
    for name, of_column in learnt.items():
        _warn_of_far_values(table[name].as_numbers(decimal), of_column)
    if left_out:
        logger.info(
            "Left out: %s. To use one all the same, name all columns to be used in features.", shorten(left_out)
        )
    return dict(sorted(learnt.items(), key=lambda item: item[1]["kind"] != "number"))


def _warn_of_far_values(column: Column, learnt: dict[str, Any]) -> None:
    """One value such as 999999 makes all others look alike."""
    if learnt["kind"] == "number":
        value = column.values[np.nanargmax(np.abs(column.values - learnt["mean"]))]
        distance = abs(value - learnt["mean"]) / learnt["std"]
        if distance > FAR:
            logger.warning("%s holds %g, %.0f standard deviations from its mean: if that is an error or stands for a "
                           "gap, name it in na_values", column.name, value, distance)  # fmt: skip


def strongest_columns(
    table: Table, learnt: Learnt, rows: np.ndarray, targets: np.ndarray, most: int, decimal: str
) -> Learnt:
    """Of these columns, the so many that tell most about the targets, each for itself, in the rows trained on.

    targets: class numbers, int64 (rows,), or values, float64 (rows,).
    """
    from sklearn.feature_selection import f_classif, f_regression

    relation = f_classif if targets.dtype == np.int64 else f_regression
    of_features = np.nan_to_num(relation(encode_columns({**table}, learnt, rows, decimal), targets)[0])
    ends = np.cumsum([len(feature_names(name, of_column)) for name, of_column in learnt.items()])
    of_columns = [part.max() for part in np.split(of_features, ends[:-1])]
    kept = np.sort(np.argsort(of_columns, kind="stable")[-most:])
    names = [[*learnt][place] for place in kept]
    logger.info("Of %d columns, the %d that tell most about the target are used", len(learnt), len(names))
    return {name: learnt[name] for name in names}


def text_columns(learnt: Learnt) -> list[str]:
    """Those that are to be read as texts, though a file may hold only numbers there."""
    return [name for name, of_column in learnt.items() if of_column["kind"] != "number"]


def problems(
    table: Table, learnt: Learnt, decimal: str, kinds: Sequence[str] = ("number", "date", "category")
) -> list[str]:
    """In words, a line for each column of these kinds with values that are not like those of the training."""
    lines = []
    for name in [name for name, of_column in learnt.items() if of_column["kind"] in kinds]:
        rows, what = odd_rows(table[name], learnt[name], decimal)
        if len(rows):
            more = f", nor are those of {len(rows) - 1} other rows" if len(rows) > 1 else ""
            lines.append(f"{name!r}: {table[name].text(rows[0])!r} in row {rows[0] + 1} {what}{more}")
    return lines


def notes(table: Table, learnt: Learnt, decimal: str) -> dict[int, str]:
    """In words, by the number of a row from 0, which of its values are not like those of the training."""
    found: dict[int, list[str]] = {}
    for name, of_column in learnt.items():
        rows, what = odd_rows(table[name], of_column, decimal)
        for row in rows.tolist():
            found.setdefault(row, []).append(f"{name!r}: {table[name].text(row)!r} {what}")
    return {row: "; ".join(words) for row, words in found.items()}


def all_names(learnt: Learnt) -> list[str]:
    """The names of all features, in their order."""
    return [feature for name, of_column in learnt.items() for feature in feature_names(name, of_column)]


def encode_columns(table: Table, learnt: Learnt, rows: np.ndarray, decimal: str) -> np.ndarray:
    """The features of some rows, float32 (rows, features). Takes the columns out of the table, to free their memory."""
    features = np.zeros((len(rows), len(all_names(learnt))), np.float32)
    start = 0
    for name, of_column in learnt.items():
        column, end = table.pop(name), start + len(feature_names(name, of_column))
        column = column.as_numbers(decimal) if of_column["kind"] == "number" else column
        encode(column, of_column, rows, features[:, start:end])
        start = end
    return features


def are_learnt(learnt: Any) -> bool:
    """Whether this is what `learn_columns` gives."""
    return (
        isinstance(learnt, dict)
        and all(isinstance(k, str) and is_learnt(v) for k, v in learnt.items())
        and learnt != {}
    )
