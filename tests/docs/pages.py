"""The blocks of a page, and its commands run in this process: an import of torch for each would take minutes."""

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import torch


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


def run_in_its_own_process(project: Path, lines: list[str]) -> str:
    """Run commands with the code of a project that has files of its own; returns what they print."""
    done = subprocess.run([sys.executable, "-P", __file__, *lines], cwd=project, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(project)})  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


if __name__ == "__main__":
    print(*map(run_line, sys.argv[1:]))
