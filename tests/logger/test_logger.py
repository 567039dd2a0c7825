"""A run's words, where somebody or nobody reads them."""

import contextlib
import logging
import os
import sys
from pathlib import Path

import pytest

from logger.logger import setup_logging


@pytest.mark.parametrize("where", ["| head", "> full disk"])
def test_words_that_nobody_can_take_cost_nothing_else(where, capsys, monkeypatch, logging_as_before):
    if where == "| head":
        reader, writer = os.pipe()
        os.close(reader)
        stream = os.fdopen(writer, "w")
    else:
        full = (
            os.open("/dev/full", os.O_WRONLY) if Path("/dev/full").exists() else pytest.skip("no disk always full here")
        )
        stream = os.fdopen(full, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    setup_logging()
    logging.getLogger("trainer").info("epoch 1")
    monkeypatch.undo()
    with contextlib.suppress(OSError):
        stream.close()
    assert capsys.readouterr().err == ""


@pytest.fixture
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        handler.close()
    # pytest's own; a run's train.log that was closed meanwhile would be opened again, wherever its folder is
    root.handlers[:] = [handler for handler in handlers if vars(handler).get("baseFilename", os.devnull) == os.devnull]
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
