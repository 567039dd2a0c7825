"""What is in this tensor? For a notebook or a debugger: print(describe(x))."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

MAX_VALUES = 100  # more are summarized


def describe(value: Any) -> str:
    """Type, shape, dtype, device and values of a tensor, NumPy array, list or number, as text.

    Of more than 100 values: the smallest, the largest, their mean, all without NaN, and the number of NaN.
    Raises ValueError for lists of unequal lengths, which have no shape.
    """
    array = value if isinstance(value, Tensor) else np.asarray(value)
    device = array.device if isinstance(array, Tensor) else "cpu"
    lines = [
        f"Type: {_type_name(value)}",
        f"Shape: {tuple(array.shape)}",
        f"Dtype: {array.dtype}",
        f"Device: {device}",
    ]
    n_values = int(np.prod(array.shape))
    if n_values <= MAX_VALUES:
        return "\n".join([*lines, "Values:", repr(value)])
    return "\n".join([*lines, f"Values: {n_values:,}, {_summarize(array)}"])


def _type_name(value: Any) -> str:
    if isinstance(value, Tensor):
        return value.type()
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _summarize(array: Tensor | np.ndarray) -> str:
    if isinstance(array, Tensor):  # NumPy has no bfloat16
        array = array.detach().cpu().to(torch.complex128 if array.is_complex() else torch.float64).numpy()
    if array.dtype.kind not in "biuf":
        return f"the first are {', '.join(map(str, array.flat[:3]))}"
    missing = np.isnan(array)
    known = array[~missing]
    if len(known) == 0:
        return "all NaN"
    return f"min {known.min():.6g}, max {known.max():.6g}, mean {known.mean():.6g}, NaN {missing.sum():,}"
