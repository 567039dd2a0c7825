"""Any CSV file with a header line: numbers, categories, dates and gaps become numbers that a network can read."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import numpy as np
import torch
from torch import Tensor

from base import BaseDataLoader, InMemoryDataset
from data_loader.fitted import POSITIVE, matches
from data_loader.table.features import (
    all_names,
    are_learnt,
    choose_columns,
    encode_columns,
    learn_columns,
    notes,
    problems,
    strongest_columns,
    text_columns,
)
from data_loader.table.reading import Column, CsvFile, shorten
from data_loader.table.target import class_names, class_numbers, values_to_predict
from utils.data import split_indices

logger = logging.getLogger(__name__)


class CsvDataLoader(BaseDataLoader):
    """Batches of (data, target): float32 (batch, n_features), and class numbers, int64 (batch,), or, for a regression,
    values, float32 (batch, 1).

    path: a CSV file whose first line names the columns.
    target: the column to predict; rows without it are left out, with a warning. Classes may be words, numbers or
        booleans; sorted, they become 0, 1, ...
    features: the columns to predict it from; None: all others, but for those that nothing can be learnt from.
    max_columns: use those that tell most about the target, each for itself (scikit-learn's f_classif, f_regression): a
        table with nearly as many columns as rows is learnt by heart otherwise.
    categories: columns that hold codes, such as postcodes, though these look like numbers.
    groups: a column, such as a patient's number: rows of one group never part between training, validation and test.
    test_size: the share of the rows (or groups) that is the test part, always the same ones; for a classification
        without groups with the same share of each class.
    separator, decimal: what stands between two values, and within a number.
    na_values: texts that stand for a gap, beside "", "NA" and their like.
    training: the rows that are no test part; False: the test part.
    validation_split, split_seed, stratify, options: those of BaseDataLoader.

    Gaps in a number are filled with its median, then it is scaled to mean 0 and standard deviation 1. A date becomes
    the numbers year, month, day, weekday and hour. Gaps in anything else are filled with its most frequent text; each
    of the 100 most frequent ones becomes a feature of 0 and 1; those seen once, and all others, share one. The target
    of a regression is scaled too, and `in_original_units` undoes that. All this is learnt from the rows trained on,
    neither from the validation nor the test part.

    Left out, with a line that says so: what numbers the rows, is another text in most rows, or the same in each.
    `feature_names` names the n_features columns.
    Raises FileNotFoundError without the file, ValueError for a table that nothing can be learnt from, and for one
    without the columns of the training.
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
        decimal: str = ".",
        na_values: Sequence[str] = (),
        categories: Sequence[str] = (),
        groups: str | None = None,
        max_columns: Annotated[int, ">= 1"] | None = None,
        training: bool = True,
        validation_split: float | int | str = 0.0,
        split_seed: int = 0,
        stratify: bool = False,
        fitted: dict[str, Any] | None = None,
        whole: bool = False,
        **options: Any,
    ):
        if not 0 < test_size < 1:
            raise ValueError(f"test_size: {test_size} is not a share between 0 and 1")
        if stratify and task == "regression":
            raise ValueError("stratify: a regression has no classes whose shares could be kept")
        if fitted:
            _check(fitted, task)
        file = CsvFile(path, separator, decimal, na_values)
        group_column = [groups] if groups and not whole else []
        file.require("target", [target])
        file.require("groups", group_column)
        if fitted:
            columns, texts = [*fitted["columns"]], text_columns(fitted["columns"])
            file.require("columns of the training", columns)
        else:
            columns, texts = choose_columns(file, features, [target, *group_column]), categories
            file.require("categories", categories)
        table = _with_target(file.read([*columns, target, *group_column], texts), target, path)

        # ---- the target, and the rows of the three parts
        self.classes: list[str] = []
        members: Any = None
        column = table.pop(target)
        if task == "classification":
            self.classes = fitted["target"]["classes"] if fitted else class_names(column)
            targets = torch.from_numpy(class_numbers(column, self.classes))
        else:
            targets = torch.tensor(values_to_predict(column, decimal)).unsqueeze(1)
        if group_column:
            members = table[group_column[0]].without_gaps("groups").values
        rows = train_rows = torch.arange(len(targets))
        if not whole:
            of_classes = targets if self.classes and members is None else None
            alone = rows[:0] if of_classes is None else self._warn_of_single_rows(targets)
            others = rows[~torch.isin(rows, alone)] if len(alone) else rows
            train_rows, test_rows = split_indices(others, float(test_size), of_classes, members)
            train_rows = torch.cat([train_rows, alone]).sort().values if len(alone) else train_rows
            rows = train_rows if training else test_rows

        # ---- what is learnt, or was
        table = {name: table.pop(name) for name in columns}
        if fitted:
            self.fitted = fitted
            if faults := problems(table, fitted["columns"], decimal, ["number", "date"]):
                raise ValueError(f"path: {path} is not like the table of the training: {'; '.join(faults)}")
            for words in problems(table, fitted["columns"], decimal, ["category"]) if whole else ():
                logger.warning("%s: %s", path, words)
            if not (whole or training) and len(targets) != fitted["n_rows"]:
                logger.warning("%s has %d rows, and had %d in the training: the test part is another one now, and rows "
                               "of it may have been trained on.", path, len(targets), fitted["n_rows"])  # fmt: skip
        else:
            of_classes = targets if stratify else None
            trained_on, _ = split_indices(train_rows, validation_split, of_classes, members, split_seed)
            learnt = learn_columns(table, trained_on.numpy(), features or (), categories, decimal)
            if max_columns and len(learnt) > max_columns:
                of_rows = trained_on.numpy(), targets[trained_on].flatten().numpy()
                learnt = strongest_columns(table, learnt, *of_rows, max_columns, decimal)
            of_target = {"classes": self.classes} if self.classes else _scale(targets[trained_on], fitted is None)
            self.fitted = {"n_rows": len(targets), "columns": learnt, "target": of_target}
            logger.info("%s: %d rows for training and validation, %d for the test", path, len(train_rows),
                        len(targets) - len(train_rows))  # fmt: skip
            names = [f"{number} is {name}" for number, name in enumerate(self.classes)]
            logger.info("%d features: %s", len(self.feature_names), shorten(self.feature_names))
            if names:
                logger.info("%d classes: %s", len(names), shorten(names))
        if not self.classes:
            targets = ((targets - self.fitted["target"]["mean"]) / self.fitted["target"]["std"]).float()

        data = torch.from_numpy(encode_columns(table, self.fitted["columns"], rows.numpy(), decimal))
        super().__init__(
            InMemoryDataset(data, targets[rows]),
            batch_size,
            validation_split=validation_split,
            split_seed=split_seed,
            stratify=stratify,
            groups=None if members is None else members[rows.numpy()],
            training=training,
            **options,
        )

    def _warn_of_single_rows(self, targets: Tensor) -> Tensor:
        """The rows that are the only one of their class: these can be trained on, and not be tested."""
        single = (targets.bincount(minlength=len(self.classes)) == 1).nonzero().flatten()
        if len(single):
            names = shorten([self.classes[number] for number in single.tolist()])
            logger.warning("Of these classes there is one row each, to train on, and none to test: %s", names)
        return torch.isin(targets, single).nonzero().flatten()

    @property
    def feature_names(self) -> list[str]:
        return all_names(self.fitted["columns"])

    def in_original_units(self, values: Tensor) -> Tensor:
        """Undo the scaling of a regression's target."""
        scale = self.fitted["target"]
        return values if self.classes else values * scale["std"] + scale["mean"]

    @classmethod
    def read_inputs(
        cls,
        fitted: dict[str, Any],
        source: str | Path | TextIO,
        separator: str = ",",
        decimal: str = ".",
        na_values: Sequence[str] = (),
        **others: Any,
    ) -> tuple[Tensor, list[str], list[str], dict[int, str]]:
        """New rows as a model's input, with what a training has `fitted`: a file, or an open one; it needs no target.

        The other arguments are those that the loader was made with; some do not matter here.
        Returns the batch, float32 (rows, n_features); a name for each row, its number; in words what does not fit,
        such as a category that the training never saw (what is no number is filled as a gap); and the same for each
        row that it is true of, by its place in the batch.
        Raises FileNotFoundError without the file, and ValueError for a missing column.
        """
        _check(fitted)
        learnt, file = fitted["columns"], CsvFile(source, separator, decimal, na_values)
        file.require("columns of the training", learnt)
        table = file.read(learnt, text_columns(learnt))
        words, of_rows = problems(table, learnt, decimal), notes(table, learnt, decimal)
        n_rows = len(next(iter(table.values())).values)
        data = encode_columns(table, learnt, np.arange(n_rows), decimal)
        return torch.from_numpy(data), [str(row + 1) for row in range(n_rows)], words, of_rows


def _with_target(table: dict[str, Column], target: str, path: str | Path) -> dict[str, Column]:
    """The rows that have a target."""
    gaps = table[target].gaps
    if gaps.all():
        raise ValueError(f"target: {target!r} is missing in all rows")
    if not gaps.any():
        return table
    logger.warning("%s: %d of %d rows have no %s, and are left out", path, gaps.sum(), len(gaps), target)
    return {name: column.of_rows(~gaps) for name, column in table.items()}


def _scale(values: Tensor, is_scaled: bool) -> dict[str, float]:
    """By which a regression's target becomes mean 0 and standard deviation 1; not in a run that is older than that."""
    std = float(values.std(correction=0))
    if not std > 0:
        raise ValueError("target: it is the same in all rows to train on; there is nothing to predict")
    return {"mean": float(values.mean()), "std": std} if is_scaled else {"mean": 0.0, "std": 1.0}


def _check(fitted: dict[str, Any], task: str = "") -> None:
    """Raises ValueError if this class has not learnt this, for this task."""
    of_target = {"classification": {"classes": [str]}, "regression": {"mean": float, "std": POSITIVE}}
    tasks = [task] if task else [*of_target]
    if not any(matches(fitted, {"n_rows": int, "columns": dict, "target": of_target[task]}) for task in tasks) or (
        not are_learnt(fitted["columns"])
    ):
        raise ValueError("what the checkpoint holds of its training data is damaged, or of another task")
