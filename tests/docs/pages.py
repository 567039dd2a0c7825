"""The blocks of a page, and its commands run in this process: an import of torch for each would take minutes."""

import contextlib
import importlib
import io
import os
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import torch

from tests.conftest import PROJECT, fork


def blocks(text: str, language: str) -> Iterator[tuple[int, str]]:
    """(line number of its first line, code) of each block of a language."""
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield text[: match.start(1)].count("\n") + 1, match[1]


def run_line(line: str) -> str:
    """Run `python ...` in the current folder; returns what it prints. AssertionError if it ends with a fault."""
    python, *argv = shlex.split(line)
    assert python == "python", line
    code, printed = 0, io.StringIO()
    is_module = argv[0] == "-m"
    with patch.object(sys, "argv", argv[is_module:]), contextlib.redirect_stdout(printed):
        try:
            if is_module:
                runpy.run_module(argv[1], run_name="__main__")
            else:
                runpy.run_path(argv[0], run_name="__main__")
        except SystemExit as end:
            code = end.code
    torch.set_num_threads(1)  # as in conftest.py; the command's config may have wanted more
    assert not code, f"{line}: exit code {code}\n{printed.getvalue()}"
    return printed.getvalue()


def run_in_its_own_process(project: Path, lines: list[str], log: Path) -> str:
    """Run commands with the code of a project that has files of its own; returns what they print, which `log` holds.

    A fork of this process, in which the modules of the template are no longer known.
    """

    rooms = {path.stem for path in PROJECT.iterdir()}

    def run() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in rooms]:
            del sys.modules[name]
        sys.path[:] = [str(project), *(path for path in sys.path if Path(path).resolve() != PROJECT)]
        importlib.invalidate_caches()
        os.chdir(project)
        print(*map(run_line, lines))
        files = [getattr(module, "__file__", None) for module in sys.modules.values()]
        ours = [Path(file) for file in files if file and Path(file).is_relative_to(PROJECT)]
        assert all(path.is_relative_to(sys.prefix) for path in ours)  # of a .venv that lies there

    process = fork(run, log)
    process.join(600)
    said = log.read_text(encoding="utf-8")
    assert process.exitcode == 0, said
    return said
