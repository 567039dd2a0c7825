"""TensorBoard's files, in the run's folder: tensorboard --logdir saved"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any


class TensorBoardWriter:
    """A writer of torch.utils.tensorboard, which is imported only when there is something to write.

    A disk that is full ends its files: TensorBoard's own writer cannot go on after that. So does a path that is not
    UTF-8, below which it cannot write.
    """

    packages: Sequence[str] = ("tensorboard",)
    errors: tuple[type[Exception], ...] = (OSError, UnicodeError)
    takes_back = True

    def __init__(self, run_dir: Path, n_steps_done: int):
        self._folder = run_dir / "tensorboard"
        self._n_steps_done = n_steps_done
        self._is_open = False

    @cached_property
    def _summary(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter  # takes a third of a second

        summary = SummaryWriter(str(self._folder), purge_step=self._n_steps_done + 1)
        self._is_open = True
        return summary

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self._summary.add_scalar(tag, value, step)

    def add_image(self, tag: str, image: Any, step: int) -> None:
        self._summary.add_image(tag, image, step)

    def add_figure(self, tag: str, figure: Any, step: int) -> None:
        self._summary.add_figure(tag, figure, step)

    def add_histogram(self, tag: str, values: Any, step: int) -> None:
        self._summary.add_histogram(tag, values, step)

    def add_pr_curve(self, tag: str, labels: Any, predictions: Any, step: int) -> None:
        self._summary.add_pr_curve(tag, labels, predictions, step)

    def add_graph(self, model: Any, inputs: Any) -> None:
        self._summary.add_graph(model, inputs, use_strict_trace=False)  # outputs may be dicts

    def add_hparams(self, hparams: dict[str, Any], metrics: Sequence[str]) -> None:
        """Not by SummaryWriter.add_hparams, which begins a folder of its own and draws the metrics at step 0."""
        from torch.utils.tensorboard import summary

        for part in summary.hparams(hparams, dict.fromkeys(metrics, 0.0)):
            self._summary.file_writer.add_summary(part)

    def flush(self) -> None:
        if self._is_open:
            self._summary.flush()

    def close(self, is_complete: bool) -> None:
        if self._is_open:
            self._summary.close()
