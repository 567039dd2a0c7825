"""A run's numbers: a line per epoch, metrics.jsonl, and TensorBoard."""

import json
import logging
import math
from pathlib import Path
from typing import Any

from utils.files import write_atomically

MAX_POINTS = 500  # a curve has no more points than a screen shows, and nobody reads more lines

logger = logging.getLogger(__name__)
_encode = json.JSONEncoder(allow_nan=False).encode  # json.dumps would make an encoder for each record


class RunLog:
    """Writes one record per epoch; use it in a `with` block.

    run_dir: the run's folder; None: only the lines.
    first_epoch: epochs done before. Records of later epochs, left by a run that was killed, are removed.
    epochs: how many there will be. With more than 500, lines and TensorBoard show every n-th; metrics.jsonl has all.
    tensorboard: write TensorBoard's files too.
    """

    def __init__(self, run_dir: Path | None, first_epoch: int, epochs: int, tensorboard: bool):
        self._run_dir = run_dir
        self._epochs = epochs
        self._period = math.ceil(epochs / MAX_POINTS)
        self._file = None
        self._writer = None
        self._waiting: list[dict[str, Any]] = []  # records that are not in the files yet
        self._unwritten = b""  # lines that a full disk has not taken yet
        if run_dir is None:
            return
        path = run_dir / "metrics.jsonl"
        _drop_later_epochs(path, first_epoch)
        self._file = path.open("ab", buffering=0)
        self._first_epoch = first_epoch
        self._tensorboard = tensorboard

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *exception: Any) -> None:
        try:
            self.flush()
        except OSError as error:
            logger.warning("metrics.jsonl lacks its last lines: %s", error.strerror)
        if self._file is not None:
            self._file.close()
        if self._writer is not None:
            self._writer.close()

    def write(self, record: dict[str, Any], is_best: bool) -> None:
        """Log an epoch: `record` holds at least epoch, step, lr and seconds."""
        if self._file is not None:
            self._waiting.append(record)
        if self._is_shown(record["epoch"]):
            self._write_line(record, is_best)

    def flush(self) -> None:
        """Hand everything to the operating system, so that a kill of this process cannot lose it.

        Raises OSError if metrics.jsonl's disk is full; the lines are kept, for the next flush.
        The files get their numbers only here, many at once: in an epoch of half a millisecond it would be seen.
        """
        if self._file is None:
            return
        waiting, self._waiting = self._waiting, []
        self._write_tensorboard([record for record in waiting if self._is_shown(record["epoch"])])
        self._unwritten += "".join(_to_json(record) + "\n" for record in waiting).encode()
        while self._unwritten:
            self._unwritten = self._unwritten[self._file.write(self._unwritten) :]

    def _write_tensorboard(self, records: list[dict[str, Any]]) -> None:
        if not self._tensorboard:
            return
        try:
            if self._writer is None:  # only now: its import takes a third of a second
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(self._run_dir / "tensorboard"), purge_step=self._first_epoch + 1)
            for record in records:
                self._write_scalars(record)
            self._writer.flush()
        except OSError as error:  # its writer cannot go on after that
            logger.warning("TensorBoard's files end here: %s", error.strerror)
            self._writer, self._tensorboard = None, False

    def _is_shown(self, epoch: int) -> bool:
        return epoch % self._period == 0 or epoch in (1, self._epochs)

    def _write_line(self, record: dict[str, Any], is_best: bool) -> None:
        values = {name: value for name, value in record.items() if name not in ("epoch", "step", "seconds")}
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        best = "  best" if is_best else ""
        logger.info("epoch %d/%d  %s  (%.2f s)%s", record["epoch"], self._epochs, numbers, record["seconds"], best)

    def _write_scalars(self, record: dict[str, Any]) -> None:
        """All numbers of a record as one event: TensorBoard's writer opens its file for each."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = [(_tag(name), value) for name, value in record.items() if name not in ("epoch", "step")]
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in scalars])
        self._writer.file_writer.add_summary(summary, record["epoch"])


def _tag(name: str) -> str:
    """A number's name in TensorBoard, which draws loss/train and loss/valid side by side."""
    if name in ("lr", "seconds"):
        return name
    return f"{name[4:]}/valid" if name.startswith("val_") else f"{name}/train"


def _to_json(record: dict[str, Any]) -> str:
    try:
        return _encode(record)
    except ValueError:  # JSON has no NaN and no infinity
        return json.dumps({name: value if math.isfinite(value) else None for name, value in record.items()})


def _drop_later_epochs(path: Path, last_epoch: int) -> None:
    """Keep the records up to `last_epoch`; a line cut off by a kill is later than any checkpoint, and goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if json.loads(line)["epoch"] > last_epoch:
                break
        except (KeyError, RecursionError, TypeError, ValueError):  # cut off, or never ours
            break
        kept.append(line)
    write_atomically(path, lambda file: file.write(b"".join(kept)))
