"""Any CSV file with a header line: numbers, categories, booleans and gaps become numbers that a network can read."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from base import BaseDataLoader, InMemoryDataset
from utils.data import split_indices
from utils.errors import did_you_mean

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from sklearn.compose import ColumnTransformer

logger = logging.getLogger(__name__)


class CsvDataLoader(BaseDataLoader):
    """Batches of (data, target): float32 (batch, n_features), and class numbers, int64 (batch,), or, for a regression,
    values, float32 (batch, 1).

    path: a CSV file whose first line names the columns.
    target: the column to predict. Classes may be words, numbers or booleans; sorted, they become 0, 1, ...
    features: the columns to predict it from; None: all others.
    test_size: the share of the rows that is the test part, always the same ones; for a classification with the same
        share of each class.
    separator: what stands between two values.
    training: the rows that are no test part; False: the test part.
    validation_split, split_seed, stratify, options: those of BaseDataLoader.

    Gaps in a number are filled with its median, then it is scaled to mean 0 and standard deviation 1. Gaps in anything
    else are filled with its most frequent value, then each value becomes a column of 0 and 1; values seen once share
    one column with those never seen. Medians, means and so on are those of the rows that are trained on: neither the
    validation nor the test part is looked at.

    `feature_names` names the n_features columns; `classes` the classes, in the order of their numbers.
    Raises FileNotFoundError without the file, and ValueError for a table that nothing can be learnt from.
    """

    def __init__(
        self,
        path: str | Path,
        target: str,
        batch_size: int,
        features: list[str] | None = None,
        task: Literal["classification", "regression"] = "classification",
        test_size: float = 0.2,
        separator: str = ",",
        training: bool = True,
        validation_split: float | int | str = 0.0,
        split_seed: int = 0,
        stratify: bool = False,
        **options: Any,
    ):
        if not 0 < test_size < 1:
            raise ValueError(f"test_size: {test_size} is not a share between 0 and 1")
        if stratify and task == "regression":
            raise ValueError("stratify: a regression has no classes whose shares could be kept")
        table = _read_table(Path(path), separator)
        columns = _find_columns(table, target, features)
        if task == "classification":
            targets, self.classes = _class_numbers(table[target])
        else:
            targets, self.classes = _values(table[target]), []

        # ---- the rows of the three parts
        labels = targets if task == "classification" else None
        train_rows, test_rows = split_indices(torch.arange(len(table)), float(test_size), labels)
        fit_rows, _ = split_indices(train_rows, validation_split, targets if stratify else None, seed=split_seed)

        # ---- from columns to features
        table = _as_numbers_and_text(table[columns])
        encoder = _fit_encoder(table.iloc[fit_rows.numpy()])
        self.feature_names = [name.partition("__")[2] for name in encoder.get_feature_names_out()]
        rows = train_rows if training else test_rows
        data = torch.from_numpy(encoder.transform(table.iloc[rows.numpy()]).astype(np.float32))

        logger.info("%s: %d rows for training and validation, %d for the test", path, len(train_rows), len(test_rows))
        logger.info("%d features: %s", len(self.feature_names), _shorten(self.feature_names))
        if self.classes:
            names = [f"{number} is {name}" for number, name in enumerate(self.classes)]
            logger.info("%d classes: %s", len(names), _shorten(names))
        super().__init__(
            InMemoryDataset(data, targets[rows]),
            batch_size,
            validation_split=validation_split,
            split_seed=split_seed,
            stratify=stratify,
            training=training,
            **options,
        )


# ----------------------------------------------------------------------------------------------------- the file


def _read_table(path: Path, separator: str) -> Any:
    """The table as a DataFrame."""
    import pandas as pd

    if not path.is_file():
        neighbours = [file.name for file in path.parent.glob("*.csv")]
        raise FileNotFoundError(f"path: there is no file {path}{did_you_mean(path.name, neighbours)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header: values would be lost
            table = pd.read_csv(path, sep=separator, index_col=False, low_memory=False)
    except UnicodeDecodeError as error:
        raise ValueError(f"path: {path} is not UTF-8 text; save it so, in Excel as 'CSV UTF-8'") from error
    except (ValueError, pd.errors.ParserWarning) as error:
        raise ValueError(f"path: {path} is not a CSV file: {str(error).strip()}") from error
    if table.empty:
        raise ValueError(f"path: {path} has no row below its header")
    if len(table.columns) == 1:
        raise ValueError(f"path: {path} has one column only{_other_separator(table.columns[0])}")
    return table


def _other_separator(header: str) -> str:
    found = [separator for separator in (";", "\t", "|", ",") if separator in header]
    return f", {header!r}; is the separator {found[0]!r}?" if found else f", {header!r}"


def _find_columns(table: "DataFrame", target: str, features: list[str] | None) -> list[str]:
    """The columns to use as features. Raises ValueError for a name that the table does not have."""
    known = list(table.columns)
    _require("target", target, known)
    others = [column for column in known if column != target]
    if features is None:
        return others
    if target in features:
        raise ValueError(f"features: {target!r} is the target; a model that sees it has nothing to predict")
    for column in features:
        _require("features", column, others)
    if not features or len(set(features)) < len(features):
        raise ValueError(f"features: {features} must name at least one column, and each once")
    return features


def _require(argument: str, column: str, known: list[str]) -> None:
    if column not in known:
        nearest = did_you_mean(column, known)
        raise ValueError(f"{argument}: there is no column {column!r}{nearest}; there are {_shorten(known)}")


# ---------------------------------------------------------------------------------------------------- the target


def _class_numbers(column: "Series") -> tuple[Tensor, list[str]]:
    """The class number of each row, int64 (rows,), and the classes' names in that order."""
    _refuse_missing_targets(column)
    numbers, classes = column.factorize(sort=True)
    names = [str(name) for name in classes]
    if len(names) == 1:
        raise ValueError(f"target: {column.name!r} has one class only, {names[0]!r}; there is nothing to tell apart")
    rare = np.bincount(numbers).argmin()
    if np.sum(numbers == rare) < 2:
        raise ValueError(f"target: the class {names[rare]!r} of {column.name!r} has one row, but training and test "
                         'need one each; remove it, or, to predict a number, say "task": "regression"')  # fmt: skip
    return torch.from_numpy(numbers.astype(np.int64)), names


def _values(column: "Series") -> Tensor:
    """The numbers to predict, float32 (rows, 1)."""
    import pandas as pd

    _refuse_missing_targets(column)
    values = np.asarray(pd.to_numeric(column, errors="coerce"), np.float32)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise ValueError(f"target: a regression needs finite numbers, but {column.name!r} is '{column.iloc[wrong[0]]}' "
                         f'in row {wrong[0] + 1}; for classes say "task": "classification"')  # fmt: skip
    return torch.from_numpy(values).unsqueeze(1)


def _refuse_missing_targets(column: "Series") -> None:
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise ValueError(f"target: {column.name!r} is missing in {len(missing)} of {len(column)} rows, first in row "
                         f"{missing[0] + 1}; fill the gaps or remove the rows")  # fmt: skip


# -------------------------------------------------------------------------------------------------- the features


def _as_numbers_and_text(table: "DataFrame") -> "DataFrame":
    """Numbers as they are; everything else, booleans too, as text, with NaN where there is a gap."""
    others = table.select_dtypes(exclude="number").columns
    text = {column: table[column].astype(object).map(str, na_action="ignore") for column in others}
    return table.assign(**text)


def _fit_encoder(table: Any) -> "ColumnTransformer":
    """What turns columns into features, fitted on the rows of `table`."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = list(table.select_dtypes("number"))
    others = [column for column in table if column not in numbers]
    empty = [column for column in table if table[column].isna().all()]
    if empty:
        raise ValueError(f"features: no row to train on has a value in {_shorten(empty)}; leave it out of features")
    infinite = [column for column in numbers if np.isinf(table[column]).any()]
    if infinite:
        raise ValueError(f"features: there are infinite values in {_shorten(infinite)}")
    # a value seen once teaches nothing: names and ticket numbers would add a column for each row
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2, sparse_output=False)
    pipelines = [
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        ("others", make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot), others),
    ]
    return ColumnTransformer(pipelines).fit(table)


def _shorten(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 20 else f"{', '.join(names[:20])} and {len(names) - 20} more"
