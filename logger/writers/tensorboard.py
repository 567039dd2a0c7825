"""TensorBoard's files, in the run's folder: tensorboard --logdir saved"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class TensorBoardWriter:
    """A writer of torch.utils.tensorboard, which is imported only when there is something to write.

    A disk that is full ends its files: TensorBoard's own writer cannot go on after that. The training goes on.
    """

    def __init__(self, run_dir: Path, n_steps_done: int):
        self._folder = run_dir / "tensorboard"
        self._n_steps_done = n_steps_done
        self._summary: Any = None
        self._has_ended = False

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self._write(lambda summary: summary.add_scalar(tag, value, step))

    def add_image(self, tag: str, image: Any, step: int) -> None:
        self._write(lambda summary: summary.add_image(tag, image, step))

    def add_figure(self, tag: str, figure: Any, step: int) -> None:
        self._write(lambda summary: summary.add_figure(tag, figure, step))

    def add_histogram(self, tag: str, values: Any, step: int) -> None:
        self._write(lambda summary: summary.add_histogram(tag, values, step))

    def flush(self) -> None:
        if self._summary is not None:
            self._write(lambda summary: summary.flush())

    def close(self) -> None:
        if self._summary is not None:
            self._write(lambda summary: summary.close())

    def _write(self, write: Callable[[Any], None]) -> None:
        if self._has_ended:
            return
        try:
            if self._summary is None:
                from torch.utils.tensorboard import SummaryWriter  # takes a third of a second

                self._summary = SummaryWriter(str(self._folder), purge_step=self._n_steps_done + 1)
            write(self._summary)
        except (OSError, UnicodeError) as error:  # it cannot write below a path that is not UTF-8
            logger.warning("TensorBoard's files end here: %s", error.strerror if isinstance(error, OSError) else error)
            self._has_ended = True
