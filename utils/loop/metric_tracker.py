"""Averages over an epoch, gathered without slowing the step down."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from utils.data import cat_batches, map_tensors, n_samples, to_device
from utils.errors import UserError
from utils.parallel import gather, rank, world_size

Metric = Callable[[Any, Any], Any]
MAX_BATCHES = 64  # that are kept until the metrics are computed for all of them at once
MAX_NUMBERS = 1 << 22  # in the outputs and targets that are kept, about
HALF = (torch.float16, torch.bfloat16)  # too coarse for a metric of a whole epoch, and NumPy knows but one


def per_epoch(metric: Metric) -> Metric:
    """Mark a metric that is no mean over samples, such as F1; a class has an attribute `per_epoch = True` instead.

    It is called once, with the whole epoch, on the CPU; of batches padded to different lengths, with lists of theirs.
    """
    vars(metric)["per_epoch"] = True
    return metric


class MetricTracker:
    """The mean of the loss and of each metric over the samples seen since `reset()`, those of all processes.

    metrics: functions (output, target) -> one number, a mean over the batch; or marked with `per_epoch`.
    device: where the batches lie. Nothing is read from a GPU before `compute`.
    in_original_units: what is done to outputs and targets before a metric sees them; see BaseDataLoader.
    """

    def __init__(
        self,
        metrics: Sequence[Metric] = (),
        device: torch.device | str = "cpu",
        in_original_units: Callable[[Tensor], Tensor] | None = None,
    ):
        self.names = ["loss", *map(name_of, metrics)]
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"two columns of the log have one name: {', '.join(self.names)}")
        self.of_batches = [metric for metric in metrics if not getattr(metric, "per_epoch", False)]
        self.of_epochs = [metric for metric in metrics if getattr(metric, "per_epoch", False)]
        self.device = torch.device(device)
        self.in_original_units = in_original_units
        self.reset()

    def reset(self) -> None:
        # By name, of one or several batches each: the number of samples, and the mean over them.
        self._means: dict[str, list[tuple[int, Any]]] = {name: [] for name in ["loss", *map(name_of, self.of_batches)]}
        self._pending: list[tuple[Any, Any]] = []  # outputs and targets that the metrics have not seen yet
        self._epoch: list[tuple[Any, Any]] = []  # outputs and targets for the metrics of the whole epoch

    def update(self, loss: Tensor, output: Any, target: Any) -> None:
        """Count a batch: its mean loss, the model's output and the target: tensors, or tuples, lists, dicts of them."""
        self._means["loss"].append((n_samples(target), loss.detach()))
        if len(self.names) > 1:
            self._pending.append((map_tensors(Tensor.detach, output), target))
            sizes: list[int] = []
            map_tensors(lambda tensor: sizes.append(tensor.numel()), (output, target))
            if len(self._pending) >= MAX_BATCHES or len(self._pending) * sum(sizes) >= MAX_NUMBERS:
                self._compute_pending()

    def add(self, name: str, value: Tensor | float) -> None:
        """Count a number beside these; all that are added under one name count alike."""
        if name in self.names:
            raise ValueError(f"{name} is logged already; log this number by another name")
        self._means.setdefault(name, []).append((1, torch.as_tensor(value, device=self.device).detach()))

    def _compute_pending(self) -> None:
        batches, self._pending = self._pending, []
        if self.of_epochs:
            in_units = self.in_original_units or (lambda tensor: tensor)
            self._epoch += [map_tensors(in_units, batch) for batch in batches]
        with suppress(RuntimeError):  # such as of sequences of different lengths: they are measured one by one
            batches = [cat_batches(batches)] if batches else []
        if self.in_original_units is not None:
            batches = [map_tensors(self.in_original_units, batch) for batch in batches]
        for output, target in batches:
            for metric in self.of_batches:
                value = compare("metrics", metric, output, target)
                self._means[name_of(metric)].append((n_samples(target), value))

    def compute(self) -> dict[str, float]:
        """The means, and the metrics of the whole epoch, by name. Waits for the GPU, and for all processes."""
        self._compute_pending()
        parts = self._of_all_processes()
        names = dict.fromkeys(name for part in parts for name in part["means"])
        means = {name: _in_turn(part["means"].get(name, []) for part in parts) for name in names}
        values = dict.fromkeys([*self.names, *names], math.nan) | {"loss": _mean(means.pop("loss"))}
        if math.isfinite(values["loss"]):  # scikit-learn refuses NaN, which would hide that the loss diverged
            values |= {name: _mean(batches) for name, batches in means.items()}
            for metric in self.of_epochs:
                batches = _in_turn(part["epoch"] for part in parts)
                epoch = map_tensors(lambda *tensors: [*tensors], *batches)
                with suppress(RuntimeError):  # such as of sequences of different lengths: they stay in lists
                    epoch = cat_batches(batches)
                batch = map_tensors(lambda t: t.float().cpu() if t.dtype in HALF else t.cpu(), epoch)
                values[name_of(metric)] = float(compare("metrics", metric, *batch))
        return values

    def losses(self) -> list[float]:
        """The loss of each batch. Waits for the GPU."""
        return _numbers(self._means["loss"])

    def state_dict(self) -> dict[str, Any]:
        """All that was gathered, so that an interrupted epoch ends with the same numbers, bit by bit."""
        parts = self._of_all_processes()
        return parts[0] if len(parts) == 1 else {"ranks": parts}

    def _of_all_processes(self) -> list[dict[str, Any]]:
        own = {"pending": self._pending, "epoch": self._epoch}
        if world_size() == 1:
            return [own | {"means": self._means}]
        means = {
            name: [*zip([n for n, _ in pairs], _numbers(pairs), strict=True)] for name, pairs in self._means.items()
        }
        return gather(to_device(own, torch.device("cpu")) | {"means": means})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict()`, of any number of processes.

        Raises LookupError, RuntimeError, TypeError or ValueError for anything else.
        """
        self.reset()
        for part in to_device(state.get("ranks", [state])[rank() :: world_size()], self.device):
            names = self._means | part["means"]
            self._means = {name: [*self._means.get(name, []), *part["means"][name]] for name in names}
            self._pending += part["pending"]
            self._epoch += part["epoch"]
        for batches in self._means.values():
            _mean(batches)
        for _, target in self._pending + self._epoch:
            n_samples(target)


def compare(key: str, function: Metric, output: Any, target: Any) -> Any:
    """`function(output, target)`: the loss or a metric. Raises UserError, with the shapes, where they do not fit."""
    try:
        value = function(output, target)
    except torch.OutOfMemoryError:
        raise
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{key}: {misfit(function, output, target)}: {error}") from error
    if isinstance(value, Tensor) and value.numel() != 1:
        raise UserError(f"{key}: {name_of(function)} gave a tensor of shape {list(value.shape)}, not one number")
    return value


def misfit(function: Metric, output: Any, target: Any) -> str:
    """What to say of an output and a target that do not fit: their shapes and types."""
    shapes = map_tensors(lambda t: f"{list(t.shape)} {str(t.dtype).removeprefix('torch.')}", (output, target))
    return f"{name_of(function)} cannot compare the model's output, {shapes[0]}, with the target, {shapes[1]}"


def name_of(function: Any) -> str:
    """What a loss or a metric is called: a function by its name, a module by its class's."""
    return getattr(function, "__name__", type(function).__name__)


def _in_turn(lists: Iterable[list[Any]]) -> list[Any]:
    """The first of each list, then the second of each, and so on; a list may be shorter than others."""
    return [item for items in zip_longest(*lists) for item in items if item is not None]


def _mean(means: list[tuple[int, Any]]) -> float:
    """The mean over all samples, from the means over some of them each."""
    n = sum(size for size, _ in means)
    return sum(size * mean for (size, _), mean in zip(means, _numbers(means), strict=True)) / n if n else math.nan


def _numbers(means: list[tuple[int, Any]]) -> list[float]:
    """The means as numbers; from a GPU, all of them at once."""
    tensors = [mean for _, mean in means if isinstance(mean, Tensor)]
    numbers = iter(torch.stack(tensors).reshape(len(tensors)).tolist() if tensors else [])
    return [next(numbers) if isinstance(mean, Tensor) else mean for _, mean in means]
