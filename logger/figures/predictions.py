"""A model's outputs, sample by sample: kept while it is evaluated, then a table for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from utils.data import cat_batches, map_tensors

if TYPE_CHECKING:
    from pandas import DataFrame

MAX_CLASSES = 20  # of which each has a column of its own
MAX_VALUES = 100  # columns of one output; images and the like have no place in a table
MAX_NUMBERS = 100_000_000  # that are kept of an evaluation, about 400 MB

Classes = Sequence[str] | Mapping[str, Sequence[str]]


class Predictions:
    """A metric that keeps the outputs and targets it is shown, on the CPU, in the order of the samples.

    `left_out` says why something is missing: they are too large, or not alike; else it is empty.
    """

    def __init__(self):
        self.left_out = ""
        self._batches: list[tuple[Any, Any]] = []
        self._n_numbers = 0

    def __call__(self, output: Any, target: Any) -> float:
        if not self.left_out:
            self._batches.append(map_tensors(lambda tensor: tensor.detach().cpu(), (output, target)))
            map_tensors(self._count, (output, target))
        return 0.0

    def _count(self, tensor: Tensor) -> None:
        self._n_numbers += tensor.numel()
        if self._n_numbers > MAX_NUMBERS:
            self.left_out = f"only of the first samples, since all outputs are more than {MAX_NUMBERS:,} numbers"

    def batch(self) -> tuple[Any, Any] | None:
        """All outputs and all targets, each as one batch; None if nothing was kept."""
        try:
            return cat_batches(self._batches) if self._batches else None
        except (LookupError, RuntimeError, TypeError) as error:
            self.left_out = f"; without predictions, since the outputs cannot be one batch: {error}"
            return None


class Head(NamedTuple):
    """One of a model's outputs, as NumPy arrays.

    kind "classes": prediction holds probabilities (samples, classes), target class numbers (samples,);
    "labels", any number of which may be right: probabilities (samples, labels), target 0 and 1 of the same shape;
    "values": prediction and target (samples, values).
    """

    name: str  # "" of the only one
    kind: Literal["classes", "labels", "values"]
    prediction: np.ndarray
    target: np.ndarray | None
    classes: Sequence[str]  # their names, if they have some

    def class_name(self, number: int) -> Any:
        """A class's name, or the number itself."""
        return self.classes[number] if 0 <= number < len(self.classes) else number

    def describe(self, sample: int) -> tuple[str, str]:
        """The truth of a sample and what is said of it, in words: ("cat", "dog"); "?" for what is not known."""
        said, truth = self.prediction[sample], None if self.target is None else self.target[sample]
        if self.kind == "classes":
            named = str(self.class_name(int(said.argmax()))) if np.isfinite(said).all() else "?"
            return "?" if truth is None else str(self.class_name(int(truth))), named
        return "?" if truth is None else _rounded(truth), _rounded(said)


def _rounded(values: np.ndarray) -> str:
    return " ".join(f"{value:.3g}" for value in values[:3]) + (" ..." if len(values) > 3 else "")


def prediction_table(
    outputs: Any, targets: Any = None, classes: Classes = (), indices: Sequence[int] | Tensor | None = None
) -> "DataFrame":
    """One row per sample: `index`, `target`, `prediction` and, for classes, `probability`, that of the prediction.

    outputs, targets: as the metrics see them: tensors, or tuples and dicts of tensors; the values of a regression are
        in original units. Without targets there is no such column.
    classes: the names of the classes in the order of their numbers; for several outputs, those of each by its name.
    indices: the samples' numbers; by default 0, 1, ...

    Scores (samples, classes) whose targets are class numbers, or which have as many columns as `classes`, are classes:
    their probabilities are the softmax, which leaves log-probabilities what they are; numbers that are probabilities
    already are kept. A single score per sample, with targets 0 and 1 or two `classes`, is the logit of class 1. Scores
    of the targets' shape with a name for each column are labels that do not exclude each other: a sigmoid for each.
    All else is values. Up to 20 classes have a `probability_<class>` each. A sample with a NaN has no prediction.

    Several outputs have a block of columns each, `<name>_prediction`; those of a tuple are called 0, 1, ... What has
    more than 100 values per sample, such as an image, is left out.
    """
    import pandas as pd

    heads = heads_of(outputs, targets, classes)
    n_samples = len(heads[0].prediction) if heads else 0
    columns: dict[str, Any] = {"index": np.arange(n_samples) if indices is None else np.asarray(indices)[:n_samples]}
    for head in heads:
        prefix = f"{head.name}_" if head.name else ""
        columns |= {f"{prefix}{name}": values for name, values in _columns(head).items()}
    return pd.DataFrame(columns)


def heads_of(outputs: Any, targets: Any = None, classes: Classes = ()) -> list[Head]:
    """A model's outputs, one by one. Those that are no tensors with a row per sample are left out."""
    leaves = list(_leaves(outputs, targets, classes))
    n_samples = max((len(output) for _, output, _, _ in leaves), default=0)
    return [_head(*leaf) for leaf in leaves if len(leaf[1]) == n_samples]


def _leaves(output: Any, target: Any, classes: Any, name: str = "") -> Iterator[tuple[str, Tensor, Any, Sequence[str]]]:
    """Each tensor of an output with its name, its target and the names of its classes."""
    if isinstance(output, Tensor):
        if output.dim() > 0:
            of_it = isinstance(target, Tensor) and target.shape[:1] == output.shape[:1]
            yield name, output.detach().cpu(), target.detach().cpu() if of_it else None, classes
        return
    if isinstance(output, list | tuple):
        output = dict(enumerate(output))
        target = dict(enumerate(target if isinstance(target, list | tuple) else [target]))
    if isinstance(output, Mapping):
        for key, part in output.items():
            of_part = target.get(key) if isinstance(target, Mapping) else None
            names = classes.get(key, ()) if isinstance(classes, Mapping) else ()
            yield from _leaves(part, of_part, names, f"{name}_{key}".lstrip("_"))


def _head(name: str, output: Tensor, target: Tensor | None, classes: Sequence[str]) -> Head:
    names = [] if isinstance(classes, Mapping) else [str(name) for name in classes]
    kind = _kind(output, target, names)
    if kind == "classes":
        numbers = None if target is None else target.flatten().long().numpy()
        return Head(name, kind, _probabilities(_rows(output)).numpy(), numbers, names)
    prediction = _rows(output).sigmoid() if kind == "labels" else _rows(output)
    return Head(name, kind, prediction.numpy(), None if target is None else _rows(target).numpy(), names)


def _rows(tensor: Tensor) -> Tensor:
    """Numbers that NumPy knows, (samples, columns)."""
    known = tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
    return known.flatten(1) if known.dim() > 1 else known.unsqueeze(1)


def _probabilities(scores: Tensor) -> Tensor:
    """Of scores or log-probabilities, (samples, classes), or of a logit, (samples, 1): (samples, classes)."""
    if scores.shape[1] == 1:
        return torch.cat([(-scores).sigmoid(), scores.sigmoid()], dim=1)
    known = scores[scores.isfinite().all(dim=1)]
    if len(known) and bool((known >= 0).all()) and bool(((known.sum(dim=1) - 1).abs() < 1e-3).all()):
        return scores  # they are probabilities already
    return scores.softmax(dim=1)


def _kind(output: Tensor, target: Tensor | None, classes: Sequence[str]) -> Literal["classes", "labels", "values"]:
    """What the columns of an output, (samples,) or (samples, columns), are; see `prediction_table`."""
    if not output.is_floating_point() or output.dim() > 2:
        return "values"
    n_columns = output.shape[1:].numel()
    if target is None:
        return "classes" if len(classes) >= 2 and n_columns in (len(classes), 1) else "values"
    are_numbers = not target.is_floating_point() and target.numel() == len(target)
    if n_columns == 1 and target.numel() == len(target):
        is_binary = len(classes) == 2 or are_numbers
        return "classes" if is_binary and bool(((target == 0) | (target == 1)).all()) else "values"
    if n_columns > 1 and are_numbers:
        return "classes"
    are_labels = target.shape == output.shape and (len(classes) == n_columns or not target.is_floating_point())
    return "labels" if are_labels and n_columns > 1 else "values"


def _columns(head: Head) -> dict[str, Any]:
    """The columns of an output, by name."""
    if head.kind == "classes":
        return _class_columns(head)
    columns: dict[str, Any] = {}
    for what, values in {"target": head.target, "prediction": head.prediction}.items():
        if values is None or values.shape[1] > MAX_VALUES:
            continue
        what = "probability" if head.kind == "labels" and what == "prediction" else what
        for i in range(values.shape[1]):
            suffix = "" if values.shape[1] == 1 else f"_{head.class_name(i)}"
            columns[f"{what}{suffix}"] = values[:, i]
    return columns


def _class_columns(head: Head) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if head.target is not None:
        columns["target"] = [head.class_name(number) for number in head.target.tolist()]
    is_known = np.isfinite(head.prediction).all(axis=1)
    predicted = np.where(is_known, head.prediction.argmax(axis=1), -1)
    names = [head.class_name(number) if number >= 0 else None for number in predicted.tolist()]
    columns["prediction"] = np.array(names, dtype=None if is_known.all() else object)  # None makes floats of ints
    columns["probability"] = np.where(is_known, head.prediction.max(axis=1), np.nan)
    if head.prediction.shape[1] <= MAX_CLASSES:
        for number in range(head.prediction.shape[1]):
            columns[f"probability_{head.class_name(number)}"] = head.prediction[:, number]
    return columns
