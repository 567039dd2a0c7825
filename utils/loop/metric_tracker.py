"""Averages over an epoch, gathered without slowing the step down."""

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from utils.data import cat_batches, map_tensors, n_samples, to_device
from utils.errors import UserError

Metric = Callable[[Any, Any], Any]

# How many batches are kept until the metrics are computed for all of them at once, and how many numbers at most.
MAX_BATCHES = 64
MAX_NUMBERS = 1 << 22


def per_epoch(metric: Metric) -> Metric:
    """Mark a metric that is no mean over samples, such as F1: it is called once, with the whole epoch, on the CPU."""
    vars(metric)["per_epoch"] = True
    return metric


class MetricTracker:
    """The mean of the loss and of each metric over the samples seen since `reset()`.

    metrics: functions (output, target) -> one number, a mean over the batch; or marked with `per_epoch`.
    device: where the batches lie.

    `update` only keeps references. Metrics are computed for up to 64 batches at once, and nothing is read from a GPU
    before `compute`. Outputs and targets are tensors, or tuples, lists and dicts of tensors.
    """

    def __init__(self, metrics: Iterable[Metric] = (), device: torch.device | str = "cpu"):
        metrics = list(metrics)
        self.names = ["loss", *map(name_of, metrics)]
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"two columns of the log have one name: {', '.join(self.names)}")
        self.means = [metric for metric in metrics if not getattr(metric, "per_epoch", False)]
        self.wholes = [metric for metric in metrics if getattr(metric, "per_epoch", False)]
        self.device = torch.device(device)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._losses: list[tuple[int, Tensor]] = []  # of each batch: number of samples, loss
        self._pending: list[tuple[Any, Any]] = []  # outputs and targets that the metrics have not seen yet
        self._means: list[tuple[int, list[Any]]] = []  # of some batches each: number of samples, `means`
        self._epoch: list[tuple[Any, Any]] = []  # what `wholes` will see

    def update(self, loss: Tensor, output: Any, target: Any) -> None:
        """Count a batch: its mean loss, the model's output and the target, each (batch, ...)."""
        self._losses.append((n_samples(target), loss.detach()))
        if len(self.names) > 1:
            self._keep((map_tensors(Tensor.detach, output), target))

    def _keep(self, batch: tuple[Any, Any]) -> None:
        if not self._pending:
            sizes = [1]
            map_tensors(lambda tensor: sizes.append(tensor.numel()), batch)
            self._max_batches = min(MAX_BATCHES, MAX_NUMBERS // sum(sizes))
        self._pending.append(batch)
        if len(self._pending) >= self._max_batches:
            self._compute_pending()

    def _compute_pending(self) -> None:
        batches, self._pending = self._pending, []
        with suppress(RuntimeError):  # such as of sequences of different lengths: they are measured one by one
            batches = [cat_batches(batches)] if batches else []
        for output, target in batches:
            means = [compare("metrics", metric, output, target) for metric in self.means]
            self._means.append((n_samples(target), means))
        if self.wholes:
            self._epoch += batches

    def compute(self) -> dict[str, float]:
        """The means, and the metrics of the whole epoch, by name. Waits for the GPU."""
        self._compute_pending()
        values = {"loss": _mean([(n, loss) for (n, _), loss in zip(self._losses, self.losses(), strict=True)])}
        if not math.isfinite(values["loss"]):  # scikit-learn refuses NaN, which would hide that the loss diverged
            return dict.fromkeys(self.names, math.nan) | values
        for i, metric in enumerate(self.means):
            values[name_of(metric)] = _mean([(n, float(means[i])) for n, means in self._means])
        for metric in self.wholes:
            output, target = map_tensors(_readable, cat_batches(self._epoch))
            values[name_of(metric)] = float(compare("metrics", metric, output, target))
        return {name: values[name] for name in self.names}

    def losses(self) -> list[float]:
        """The loss of each batch. Waits for the GPU."""
        return torch.stack([loss for _, loss in self._losses]).tolist() if self._losses else []

    def state_dict(self) -> dict[str, Any]:
        """All that was gathered, so that an interrupted epoch ends with the same numbers, bit by bit."""
        return {"losses": self._losses, "pending": self._pending, "means": self._means, "epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict()`. Raises LookupError, RuntimeError, TypeError or ValueError for anything else."""
        _mean([(n, float(loss)) for n, loss in state["losses"]])
        for n, means in state["means"]:
            _mean([(n, float(mean)) for _, mean in zip(self.means, means, strict=True)])
        for _, target in [*state["pending"], *state["epoch"]]:
            n_samples(target)
        self.reset()
        state = to_device(state, self.device)
        self._losses, self._means, self._epoch = list(state["losses"]), list(state["means"]), list(state["epoch"])
        for batch in state["pending"]:
            self._keep(batch)


def compare(key: str, function: Metric, output: Any, target: Any) -> Any:
    """`function(output, target)`: the loss or a metric, which `key` names in the config.

    Raises UserError, with the shapes, where it fails: most often the model's last layer has another size than the
    target asks for, or the function is for another task. Raises ValueError for a result that is not one number.
    """
    try:
        value = function(output, target)
    except torch.OutOfMemoryError:
        raise
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        shapes = [
            map_tensors(lambda tensor: f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}", batch)
            for batch in (output, target)
        ]
        raise UserError(
            f"{key}: {name_of(function)} cannot compare the model's output, {shapes[0]}, with the target, {shapes[1]}: "
            f"{error}"
        ) from error
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"{key}: {name_of(function)} gave a tensor of shape {list(value.shape)}, not one number")
    return value


def name_of(function: Any) -> str:
    """What a loss or a metric is called: a function by its name, a module by its class's."""
    return getattr(function, "__name__", type(function).__name__)


def _mean(values: list[tuple[int, float]]) -> float:
    """The mean over all samples, from the means over some of them each."""
    n = sum(size for size, _ in values)
    return sum(size * mean for size, mean in values) / n if n else math.nan


def _readable(tensor: Tensor) -> Tensor:
    """On the CPU, and in no half precision, of which NumPy knows but one."""
    return tensor.cpu().float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor.cpu()
