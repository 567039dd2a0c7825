"""A run's words, where somebody or nobody reads them."""

import logging
import os
from pathlib import Path

import pytest

from logger.logger import Terminal, setup_logging


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


@pytest.fixture
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_what_would_steer_a_terminal_is_written_as_it_is_spelled(tmp_path, capsys, logging_as_before):
    setup_logging(1, tmp_path / "train.log")
    for room in ("train", "utils.checkpoint.file", "data_loader.mine", "mine"):
        logging.getLogger(room).info("from %s: \x1b[2J\x9b\u202e%s", room, "x" * 10_000)
    said, logged = capsys.readouterr().out, (tmp_path / "train.log").read_text()
    for text in (said, logged):
        assert r"from train: \x1b[2J\x9b\u202exxx" in text and "from data_loader.mine" in text
        assert all(c.isprintable() or c == "\n" for c in text) and max(map(len, text.splitlines())) < 2100
        assert "from mine" not in text  # a library's
