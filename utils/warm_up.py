"""A learning rate that rises over the first steps."""

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer


def warm_up(optimizer: Optimizer, n_steps: int, n_done: Callable[[], int]) -> None:
    """Make step k, from 1, of the first `n_steps` with k / n_steps of the learning rate.

    n_done: how many steps were made; asked before each.

    The rate is lowered while the step is made and not longer: a schedule neither sees it nor is changed by it, also one
    that sets the rate instead of multiplying it, and a checkpoint need not hold it.
    """
    full: list[Any] = []

    def lower(*_: Any) -> None:
        if n_done() < n_steps:
            for group in optimizer.param_groups:
                full.append(group["lr"])
                group["lr"] = group["lr"] * (n_done() + 1) / n_steps

    def restore(*_: Any) -> None:
        for group, lr in zip(optimizer.param_groups, full, strict=bool(full)):
            group["lr"] = lr
        full.clear()

    optimizer.register_step_pre_hook(lower)
    optimizer.register_step_post_hook(restore)
