"""A run's numbers: a line per epoch, metrics.jsonl, and the writers' charts."""

import json
import logging
import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from logger.writers import Writers
from utils.errors import UserError
from utils.files import write_atomically

MAX_POINTS = 500  # a curve has no more points than a screen shows, and nobody reads more lines
Record = dict[str, Any]

logger = logging.getLogger(__name__)


class RunLog(AbstractContextManager["RunLog"]):
    """Writes one record per epoch; use it in a `with` block.

    run_dir: the run's folder; None: only the lines.
    first_epoch: epochs done before. Records of later ones, left by a run that was killed, are removed.
    epochs: how many there will be. Of more than 500, lines and charts show every n-th; metrics.jsonl has all.
    """

    def __init__(self, run_dir: Path | None, first_epoch: int, epochs: int, writer: Writers):
        self._epochs = epochs
        self._writer = writer
        self._unwritten = bytearray()  # lines since the last flush, and those that a full disk has not taken
        self._file = None
        if run_dir is not None:
            path = run_dir / "metrics.jsonl"
            kept = lines_to_keep(path, first_epoch) if path.exists() else b""
            write_atomically(path, lambda file: file.write(kept))
            self._file = path.open("ab", buffering=0)

    def __exit__(self, kind: Any, *exception: Any) -> None:
        try:
            self.flush()
        except OSError as error:
            logger.warning("metrics.jsonl lacks its last lines: %s", error.strerror)
        if self._file is not None:
            self._file.close()
        self._writer.close(kind is None)

    def write(self, record: Record, is_best: bool) -> None:
        """Log an epoch: `record` holds at least epoch, step, lr and seconds."""
        if self._file is not None:
            plain = {name: value if math.isfinite(value) else None for name, value in record.items()}  # JSON has no NaN
            self._unwritten += json.dumps(plain).encode() + b"\n"
        epoch, step, seconds = record["epoch"], record["step"], record["seconds"]
        if epoch % math.ceil(self._epochs / MAX_POINTS) == 0 or epoch in (1, self._epochs):
            numbers = {name: value for name, value in record.items() if name not in ("epoch", "step", "seconds")}
            text = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            logger.info("epoch %d/%d  %s  (%.2f s)%s", epoch, self._epochs, text, seconds, "  best" if is_best else "",
                        extra={"in_bar": True})  # fmt: skip
            self._writer.add_record(numbers | {"seconds": seconds}, step, is_best)

    def flush(self) -> None:
        """Hand all lines to the operating system. Raises OSError if the disk is full; they are kept then."""
        self._writer.flush()
        while self._unwritten and self._file is not None:
            del self._unwritten[: self._file.write(self._unwritten)]


def read_metrics(run_dir: Path) -> list[Record]:
    """The records of metrics.jsonl."""
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_bytes().split(b"\n") if line.strip()]


def lines_to_keep(path: Path, last_epoch: int) -> bytes:
    """The lines of metrics.jsonl up to `last_epoch`. Raises UserError if one of them is damaged or missing."""
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    kept, epoch = [], last_epoch
    for number, line in enumerate(lines, start=1):
        try:
            if json.loads(line)["epoch"] > last_epoch:
                break
            epoch = json.loads(line)["epoch"]
            kept.append(line + b"\n")
        except (KeyError, RecursionError, TypeError, ValueError):
            if number < len(lines):
                raise UserError(f"{path}: line {number} is no record of an epoch; mend or remove it to go on") from None
    if epoch != last_epoch:
        raise UserError(f"{path} ends with epoch {epoch}, the checkpoint is of epoch {last_epoch}: lines are missing")
    return b"".join(kept)
