"""Averages over an epoch, gathered without slowing the step down."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

Metric = Callable[[Tensor, Tensor], Tensor]

# How many batches are kept before the metrics are computed for all of them at once, and how many numbers at most.
MAX_BATCHES = 64
MAX_NUMBERS = 1 << 22


def per_epoch(metric: Metric) -> Metric:
    """Mark a metric that is no mean over samples, such as F1: it is called once, with the whole epoch, on the CPU."""
    metric.per_epoch = True
    return metric


class MetricTracker:
    """The mean of the loss and of each metric over the samples seen since `reset()`.

    metrics: functions (output, target) -> 0-d tensor, a mean over the batch; or marked with `per_epoch`.
    device: where the batches lie.

    `update` only keeps references. Metrics are computed for up to 64 batches at once and summed on the device in
    float64, so a step neither pays for them nor waits for the GPU; `compute` reads the sums.
    """

    def __init__(self, metrics: Iterable[Metric], device: torch.device | str = "cpu"):
        metrics = list(metrics)
        self.means = [metric for metric in metrics if not getattr(metric, "per_epoch", False)]
        self.wholes = [metric for metric in metrics if getattr(metric, "per_epoch", False)]
        self.names = ["loss", *(metric.__name__ for metric in metrics)]
        self.device = torch.device(device)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.n_samples = 0
        self.n_batches = 0
        self._n_finite = torch.zeros((), dtype=torch.int64, device=self.device)  # losses before the first NaN
        self._sums = torch.zeros(1 + len(self.means), dtype=torch.float64, device=self.device)
        self._pending: list[tuple[Tensor, Tensor, Tensor]] = []
        self._limit = MAX_BATCHES
        self._epoch: list[tuple[Tensor, Tensor]] = []  # what the per-epoch metrics will see

    def update(self, loss: Tensor, output: Tensor, target: Tensor) -> None:
        """Count a batch: its mean loss, the model's output and the target, each (batch, ...)."""
        if not self._pending:
            self._limit = min(MAX_BATCHES, MAX_NUMBERS // (output.numel() + target.numel() + 1))
        elif output.shape != self._pending[0][1].shape or target.shape != self._pending[0][2].shape:
            self._sum_up()
        self._pending.append((loss.detach(), output.detach(), target))
        if len(self._pending) >= self._limit:
            self._sum_up()

    def compute(self) -> dict[str, float]:
        """The means, and the metrics of the whole epoch, by name. Waits for the GPU."""
        self._sum_up()
        means = (self._sums / self.n_samples).tolist() if self.n_samples else [float("nan")] * len(self._sums)
        values = dict(zip(["loss", *(metric.__name__ for metric in self.means)], means, strict=True))
        for metric in self.wholes:
            output, target = (torch.cat(parts).cpu() for parts in zip(*self._epoch, strict=True))
            values[metric.__name__] = float(metric(output, target))
        return {name: values[name] for name in self.names}

    def first_bad_batch(self) -> int | None:
        """The number, from 0, of the first batch whose loss is NaN or infinite; None if all are finite."""
        self._sum_up()
        n_finite = int(self._n_finite)
        return n_finite if n_finite < self.n_batches else None

    def state_dict(self) -> dict[str, Any]:
        """All that was gathered, so that an interrupted epoch ends with the same numbers, bit by bit."""
        counts = {"n_samples": self.n_samples, "n_batches": self.n_batches, "n_finite": self._n_finite}
        return counts | {"sums": self._sums, "pending": self._pending, "epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict()`."""
        self.reset()
        self.n_samples = state["n_samples"]
        self.n_batches = state["n_batches"]
        self._n_finite = state["n_finite"].to(self.device)
        self._sums = state["sums"].to(self.device)
        self._pending = [tuple(part.to(self.device) for part in batch) for batch in state["pending"]]
        self._epoch = [tuple(part.to(self.device) for part in batch) for batch in state["epoch"]]

    @torch.no_grad()
    def _sum_up(self) -> None:
        """Turn the batches kept, which are all of one shape, into sums."""
        if not self._pending:
            return
        losses, outputs, targets = zip(*self._pending, strict=True)
        self._pending = []
        output, target = torch.cat(outputs), torch.cat(targets)
        n_samples = len(target)
        self.n_samples += n_samples
        loss = torch.stack(losses)
        self._n_finite += loss.isfinite().cumprod(0).sum() * (self._n_finite == self.n_batches)
        self.n_batches += len(losses)
        self._sums[0] += loss.sum(dtype=torch.float64) * len(targets[0])
        for i, metric in enumerate(self.means, start=1):
            self._sums[i] += metric(output, target) * n_samples
        if self.wholes:
            self._epoch.append((output, target))
