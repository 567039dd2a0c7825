"""Where a run's numbers and pictures are drawn. A writer is a class with the methods of `Writer`, in a file here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from logger.writers.tensorboard import TensorBoardWriter

__all__ = ["Writer", "Writers"]


class Writer(Protocol):
    """What a writer does. The names and arguments are those of torch.utils.tensorboard.SummaryWriter."""

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """A number."""

    def add_image(self, tag: str, image: Any, step: int) -> None:
        """A tensor or array (channels, height, width), bytes or floats in [0, 1]."""

    def add_figure(self, tag: str, figure: Any, step: int) -> None:
        """A figure of matplotlib, which is closed then."""

    def add_histogram(self, tag: str, values: Any, step: int) -> None:
        """How the numbers of a tensor or array are distributed."""

    def flush(self) -> None:
        """Hand everything to the operating system."""

    def close(self) -> None:
        """The run is over."""


WRITERS: dict[str, Callable[[Path, int], Writer]] = {"tensorboard": TensorBoardWriter}


class Writers:
    """All writers of a run as one: `self.writer` of every trainer. Before `open`, as in a notebook, it does nothing.

    step: gives the number of steps done, which stands for `step` where a call gives none.
    """

    def __init__(self, step: Callable[[], int]):
        self._step = step
        self._writers: list[Writer] = []

    def open(self, names: Sequence[str], run_dir: Path) -> None:
        """From now on, write into a run's folder. What was written of later steps than those done is given up."""
        self._writers = [WRITERS[name](run_dir, self._step()) for name in names]

    def add_scalar(self, tag: str, value: float, step: int | None = None) -> None:
        """Draw a number, such as `add_scalar("noise", 0.1)`."""
        for writer in self._writers:
            writer.add_scalar(tag, value, self._step() if step is None else step)

    def add_record(self, record: dict[str, float], step: int) -> None:
        """Draw an epoch's numbers; TensorBoard draws loss/train and loss/valid side by side."""
        for name, value in record.items():
            metric = name.removeprefix("val_")
            part = "" if name in ("lr", "seconds") else "/train" if metric == name else "/valid"
            self.add_scalar(metric + part, value, step)

    def add_image(self, tag: str, image: Any, step: int | None = None) -> None:
        """Draw an image: a tensor or array (channels, height, width), bytes or floats in [0, 1]."""
        for writer in self._writers:
            writer.add_image(tag, image, self._step() if step is None else step)

    def add_figure(self, tag: str, figure: Any, step: int | None = None) -> None:
        """Draw a figure of matplotlib; it is closed then."""
        for writer in self._writers:
            writer.add_figure(tag, figure, self._step() if step is None else step)

    def add_histogram(self, tag: str, values: Any, step: int | None = None) -> None:
        """Draw how the numbers of a tensor or array are distributed."""
        for writer in self._writers:
            writer.add_histogram(tag, values, self._step() if step is None else step)

    def flush(self) -> None:
        """Hand everything to the operating system, so that a kill of this process cannot lose it."""
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        """End the writers; what comes after is ignored."""
        for writer in self._writers:
            writer.close()
        self._writers = []
