"""Where a run's numbers and pictures are drawn. A writer is a class with the methods of `Writer`, in a file here."""

import json
import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from logger.writers.extras import draw_extras
from logger.writers.history import History
from logger.writers.mlflow_writer import MlflowWriter
from logger.writers.tensorboard_writer import TensorBoardWriter
from logger.writers.terminal import RunBar, Terminal, report_run, run_bar
from logger.writers.wandb_writer import WandbWriter
from utils.errors import UserError

__all__ = ["History", "RunBar", "Terminal", "Writer", "Writers", "draw_extras", "report_run", "run_bar"]

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """What a writer does. The names and arguments are those of torch.utils.tensorboard.SummaryWriter.

    What it cannot draw it leaves out. It raises one of `errors` when it can write no more, as on a full disk.
    """

    packages: Sequence[str]  # that it needs
    errors: tuple[type[Exception], ...]
    takes_back: bool  # whether it can forget steps that a resumed run makes anew

    def __init__(self, run_dir: Path, n_steps_done: int): ...

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """A number."""

    def add_image(self, tag: str, image: Any, step: int) -> None:
        """A tensor or array (channels, height, width), bytes or floats in [0, 1]."""

    def add_figure(self, tag: str, figure: Any, step: int) -> None:
        """A figure of matplotlib."""

    def add_histogram(self, tag: str, values: Any, step: int) -> None:
        """How the numbers of a tensor or array are distributed."""

    def add_pr_curve(self, tag: str, labels: Any, predictions: Any, step: int) -> None:
        """Precision against recall. labels: 0 and 1; predictions: probabilities; both (samples,)."""

    def add_graph(self, model: Any, inputs: Any) -> None:
        """The layers of a model and what flows between them."""

    def add_hparams(self, hparams: dict[str, Any], metrics: Sequence[str]) -> None:
        """What the run was made with, by dotted key, and the tags by which it is to be compared with others."""

    def flush(self) -> None:
        """Hand everything to the operating system."""

    def close(self, is_complete: bool) -> None:
        """The run is over; is_complete: False if an error or a signal ended it."""


WRITERS: dict[str, type[Writer]] = {"tensorboard": TensorBoardWriter, "wandb": WandbWriter, "mlflow": MlflowWriter}


class Writers:
    """All writers of a run as one: `self.writer` of every trainer. Before `open`, as in a notebook, it does nothing.

    step: gives the number of steps done, which stands for `step` where a call gives none.
    """

    def __init__(self, step: Callable[[], int]):
        self._step = step
        self._writers: dict[str, Writer] = {}
        self._config: dict[str, Any] = {}
        self._draw: Callable[[], Any] | None = None
        self._last_step = -1

    def open(
        self, names: Sequence[str], run_dir: Path, config: dict[str, Any], draw: Callable[[], Any] | None = None
    ) -> None:
        """From now on, write into a run's folder. What was written of later steps than those done is given up.

        names: of WRITERS. config: the run's. draw: called after each epoch that is drawn, to add what it likes.
        Raises UserError if a package is missing, or a writer cannot begin.
        """
        for name in names:
            missing = [package for package in WRITERS[name].packages if find_spec(package) is None]
            if missing:
                raise UserError(f"trainer.writers: {name} needs the package {missing[0]}: pip install {missing[0]}")
        self._config, self._draw, self._last_step = config, draw, _last_step(run_dir)
        self._writers = {name: WRITERS[name](run_dir, self._step()) for name in names}
        for name, writer in self._writers.items():
            if not writer.takes_back and self._step() < self._last_step:
                logger.warning("%s has steps up to %d already and takes none back; it goes on after them.", name,
                               self._last_step)  # fmt: skip

    def add_scalar(self, tag: str, value: float, step: int | None = None) -> None:
        """Draw a number, such as `add_scalar("noise", 0.1)`."""
        self._each(lambda writer, at: writer.add_scalar(tag, float(value), at), step)

    def add_record(self, record: dict[str, float], step: int, is_best: bool = False) -> None:
        """Draw an epoch's numbers: loss/train and loss/valid side by side, and those of the best epoch as best/..."""
        tags = {}
        for name, value in record.items():
            metric = name.removeprefix("val_")
            part = "" if name in ("lr", "seconds") else "/train" if metric == name else "/valid"
            tags[metric + part] = value
        if is_best:
            tags |= {f"best/{name}": value for name, value in record.items() if name not in ("lr", "seconds")}
        if self._config:
            hparams, self._config = _flat(self._config), {}
            self._all(lambda writer: writer.add_hparams(hparams, list(tags)))
        for tag, value in tags.items():
            self.add_scalar(tag, value, step)
        if self._draw is not None and self._writers:
            self._draw()

    def add_image(self, tag: str, image: Any, step: int | None = None) -> None:
        """Draw an image: a tensor or array (channels, height, width), bytes or floats in [0, 1]."""
        self._each(lambda writer, at: writer.add_image(tag, image, at), step)

    def add_figure(self, tag: str, figure: Any, step: int | None = None) -> None:
        """Draw a figure of matplotlib."""
        self._each(lambda writer, at: writer.add_figure(tag, figure, at), step)

    def add_histogram(self, tag: str, values: Any, step: int | None = None) -> None:
        """Draw how the numbers of a tensor or array are distributed."""
        self._each(lambda writer, at: writer.add_histogram(tag, values, at), step)

    def add_pr_curve(self, tag: str, labels: Any, predictions: Any, step: int | None = None) -> None:
        """Draw precision against recall: of labels, 0 and 1, and probabilities; both (samples,)."""
        self._each(lambda writer, at: writer.add_pr_curve(tag, labels, predictions, at), step)

    def add_graph(self, model: Any, inputs: Any) -> None:
        """Draw the layers of a model, as `add_graph(self.model, data)`. TensorBoard alone can."""
        self._all(lambda writer: writer.add_graph(model, inputs))

    def flush(self) -> None:
        """Hand everything to the operating system, so that a kill of this process cannot lose it."""
        self._all(lambda writer: writer.flush())

    def close(self, is_complete: bool = True) -> None:
        """End the writers; what comes after is ignored."""
        self._all(lambda writer: writer.close(is_complete))
        self._writers = {}

    def _each(self, write: Callable[[Writer, int], None], step: int | None) -> None:
        """Let all writers write at a step, but those that have it already, from before a resume."""
        at = self._step() if step is None else step
        self._all(lambda writer: write(writer, at) if writer.takes_back or at > self._last_step else None)

    def _all(self, write: Callable[[Writer], None]) -> None:
        """Let all writers write. One that can no more, as when the disk is full, ends; the training goes on."""
        for name, writer in list(self._writers.items()):
            try:
                write(writer)
            except writer.errors as error:
                said = error.strerror if isinstance(error, OSError) and error.strerror else error
                logger.warning("What %s writes ends here: %s", name, said)
                del self._writers[name]


def _last_step(run_dir: Path) -> int:
    """The last step that was drawn: that of the last record in metrics.jsonl; -1 if there is none."""
    path = run_dir / "metrics.jsonl"
    for line in reversed(path.read_bytes().split(b"\n") if path.exists() else []):
        try:
            return int(json.loads(line)["step"])
        except (KeyError, RecursionError, TypeError, ValueError):  # cut off by a kill
            continue
    return -1


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A config as TensorBoard and MLflow show it: {"optimizer.args.lr": 0.1}."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else json.dumps(value)
    return flat
