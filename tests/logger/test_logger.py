"""A run's words, where somebody or nobody reads them."""

import logging
import os
from pathlib import Path

import pytest

from logger.logger import Terminal


def say(handler: logging.Handler) -> None:
    handler.handle(logging.LogRecord("trainer", logging.INFO, "here", 1, "epoch 1", (), None))


def test_nobody_minds_a_reader_that_has_gone(capsys):
    """As in `train.py ... | head`."""
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError), os.fdopen(writer, "w") as stream:
        say(Terminal(stream))
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_of_a_full_disk_behind_the_terminal_is_heard(capsys):
    """As in `train.py ... > log`."""
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("w") as stream:
        say(Terminal(stream))
    assert "No space left" in capsys.readouterr().err
