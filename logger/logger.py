"""A run's words: to the terminal, and to train.log."""

import logging
import sys
from pathlib import Path

from logger.writers import Terminal
from utils.errors import printable
from utils.parallel import rank

PROJECT = Path(__file__).resolve().parent.parent


class Printable(logging.Formatter):
    """Lines that cannot steer a terminal, whatever file they quote."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def setup_logging(verbosity: int = 1, log_file: Path | None = None) -> None:
    """Show messages on the terminal (0: warnings, 1: epochs too, 2: all), and add all to a file if there is one."""
    terminal = Terminal(sys.stdout)
    terminal.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[verbosity])
    terminal.setFormatter(Printable("%(message)s"))
    handlers: list[logging.Handler] = [terminal]
    if log_file is not None and rank() == 0:
        handlers.append(logging.FileHandler(log_file, encoding="utf-8"))
        handlers[-1].setFormatter(Printable("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    for room in ("__main__", *(path.stem for path in PROJECT.iterdir())):  # libraries are silent but for warnings
        logging.getLogger(room).setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a full disk, or `| head`, costs words and not the training
