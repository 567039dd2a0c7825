"""What a terminal shows of a run: its first lines, and one bar for all of it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

logger = logging.getLogger(__name__)


def report_run(trainer: Any, run_dir: Path) -> None:
    """Log what is trained, for how long, and how to watch it."""
    model, device = trainer.model, trainer.device
    n_trained, n_all = (sum(p.numel() for p in model.parameters() if p.requires_grad or frozen) for frozen in (0, 1))
    logger.info("Model: %s, %s of %s parameters are trained", type(model).__name__, f"{n_trained:,}", f"{n_all:,}")
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    logger.info("Steps: %d in each of %d epochs, with %d samples, on %s", trainer.steps_per_epoch, trainer.epochs,
                trainer.data_loader.batch_size, where)  # fmt: skip
    if "tensorboard" in trainer.writers:
        logger.info("Watch it: tensorboard --logdir %s", run_dir.parent)


class Terminal(logging.StreamHandler):
    """The terminal. Lines go above a bar; what the bar shows itself, records with `in_bar`, is no line then."""

    has_bar = False

    def emit(self, record: logging.LogRecord) -> None:
        if not (self.has_bar and "in_bar" in vars(record)):
            with tqdm.external_write_mode(self.stream):
                super().emit(record)


@contextmanager
def run_bar(epochs: int, n_steps: int, n_done: int, monitor: str) -> Iterator["RunBar | None"]:
    """A bar inside a `with` block; None, and lines stay what they are, without a terminal or with verbosity 0.

    epochs, n_steps: how many epochs there are in all, and steps in each. n_done: steps done before.
    monitor: the metric that decides what is best; "" if none does.
    """
    terminal = next((handler for handler in logging.getLogger().handlers if isinstance(handler, Terminal)), None)
    if terminal is None or terminal.level > logging.INFO or not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield None
        return
    layout = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed}, {remaining} left"
    now = f"epoch {n_done // n_steps + 1}/{epochs}"
    with tqdm(desc=now, total=epochs * n_steps, initial=n_done, bar_format=layout, dynamic_ncols=True) as bar:
        terminal.has_bar = True
        try:
            yield RunBar(bar, epochs, n_steps, monitor)
        finally:
            terminal.has_bar = False


class RunBar:
    """Shows the epoch, its loss, the monitored metric, the best so far and the time left."""

    def __init__(self, bar: Any, epochs: int, n_steps: int, monitor: str):
        self._bar, self._epochs, self._n_steps, self._monitor = bar, epochs, n_steps, monitor
        self.end_step = bar.update

    def end_epoch(self, record: dict[str, float], best: float | None) -> None:
        """Show an epoch's record of the log."""
        text = [f"epoch {record['epoch']}/{self._epochs}"]
        text += [f"{name} {record[name]:.4g}" for name in dict.fromkeys(["loss", self._monitor]) if name in record]
        text += [f"(best {best:.4g})"] if best is not None else []
        self._bar.set_description_str(" ".join(text), refresh=False)
        self._bar.update(int(record["epoch"]) * self._n_steps - self._bar.n)  # of a trainer that counts no steps
