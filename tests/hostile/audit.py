"""Give every payload to train.py and to test.py, under an audit hook, and report what happened as JSON.

python -m tests.hostile.audit FOLDER        everything is written below FOLDER, the report to FOLDER/report.json

Python calls the hook for everything that leaves the interpreter: files, processes, sockets, imports, code. It cannot
be removed, so this is a process of its own.
"""

import contextlib
import copy
import ctypes
import functools
import importlib
import importlib.util
import io
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.hostile.payloads import LAST, PAYLOADS, Payload
from utils.errors import run_command

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = {
    "name": "Honest",
    "n_gpu": 0,
    "arch": {"type": "MLP", "args": {"sizes": [64, 10]}},
    "data_loader": {"type": "DigitsDataLoader", "args": {"batch_size": 100, "n_samples": 200, "validation_split": 0.5}},
    "optimizer": {"type": "Adam", "args": {"lr": 0.01}},
    "loss": "cross_entropy",
    "metrics": ["accuracy"],
    "lr_scheduler": {"type": "StepLR", "args": {"step_size": 1}},
    "trainer": {"epochs": 1, "tensorboard": False},
}
COMMANDS = ("train", "test")
OUR_CODE = tuple(str(path) for path in (PROJECT, *map(os.path.realpath, (sys.prefix, sys.base_prefix)), "<frozen"))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FOLLOWS_NO_LINK = {"os.mkdir", "os.remove", "os.rename", "os.rmdir"}
CHANGES_FILES = {"os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "os.utime", "shutil.rmtree",
                 "shutil.move", "tempfile.mkdtemp", "tempfile.mkstemp"}  # fmt: skip
NEVER = ("os.system", "os.exec", "os.fork", "os.forkpty", "os.kill", "os.posix_spawn", "os.putenv", "os.spawn", "pty.",
         "socket.", "urllib.", "ctypes.", "pickle.find_class", "webbrowser.", "builtins.breakpoint", "code.__new__",
         "sys.settrace", "sys.addaudithook", "signal.pthread_kill")  # fmt: skip


class Auditor:
    """The hook: while `run_dir` is set, it notes every event for which an honest checkpoint's run has no reason."""

    def __init__(self) -> None:
        self.run_dir: Path | None = None
        self.found: list[str] = []
        self.known_packages = {name.partition(".")[0] for name in sys.modules}

    def __call__(self, event: str, arguments: tuple) -> None:
        if self.run_dir is None:
            return
        run_dir, self.run_dir = self.run_dir, None  # what is done in here is not judged
        try:
            if self.is_wrong(event, arguments, run_dir):
                self.found.append(f"{event} {arguments!r}"[:300])
        finally:
            self.run_dir = run_dir

    def is_wrong(self, event: str, arguments: tuple, run_dir: Path) -> bool:
        if event == "open":
            path, _, flags = arguments
            return bool(flags & WRITING) and not is_below(path, run_dir)
        if event in FOLLOWS_NO_LINK:  # what a link leads to stays
            return not all(is_below(Path(path).parent, run_dir) for path in arguments if isinstance(path, str))
        if event in CHANGES_FILES:
            return not all(is_below(path, run_dir) for path in arguments if isinstance(path, str | bytes))
        if event == "import":
            return arguments[0].partition(".")[0] not in self.known_packages
        if event == "exec":
            return not arguments[0].co_filename.startswith(OUR_CODE)
        if event == "ctypes.dlopen":  # torch asks how many GPUs there are
            return arguments[0] != "libnvidia-ml.so.1"
        if event == "subprocess.Popen":  # environment.json holds the project's own git commit
            return list(arguments[1])[:3] != ["git", "-C", str(PROJECT / "logger")]
        return event.startswith(NEVER)


def is_below(path: Any, folder: Path) -> bool:
    """Whether what a path leads to lies in a folder; a file descriptor was judged when it was opened."""
    if isinstance(path, int):
        return True
    path = Path(os.fsdecode(path)).resolve()
    return path.is_relative_to(folder) or str(path) == os.devnull


def load_main(command: str) -> Callable:
    spec = importlib.util.spec_from_file_location(f"{command}_script", PROJECT / f"{command}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def make_honest_run(folder: Path) -> tuple[Path, dict[str, Any]]:
    """One epoch, done by train.py; its checkpoint's config says that there is one more to do. That one, too."""
    (folder / "config.json").write_text(json.dumps(CONFIG))
    argv = ["-c", str(folder / "config.json"), "--run-id", "run", "-s", f"trainer.save_dir={folder}"]
    assert run_command(load_main("train"), argv) == 0
    run_dir = folder / "Honest" / "run"
    for path in run_dir.glob("*.pth"):
        if path.name != LAST:
            path.unlink()
    checkpoint = torch.load(run_dir / LAST, weights_only=True)
    checkpoint["config"]["trainer"]["epochs"] = 2
    torch.save(checkpoint, run_dir / LAST)
    return run_dir, checkpoint


def prepare(payload: Payload | None, honest: Path, checkpoint: dict, folder: Path) -> Path:
    """A copy of the honest run, made hostile, and the folder that must stay as it is."""
    run_dir = folder / "run"
    shutil.copytree(honest, run_dir)
    (folder / "outside").mkdir()
    (folder / "outside" / "canary").write_text("mine")
    if payload is not None:
        payload.make(run_dir, copy.deepcopy(checkpoint))
    return run_dir


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def try_command(main: Callable, run_dir: Path, auditor: Auditor) -> dict[str, Any]:
    """Run a command as a person would who trusts nobody, from a folder that is not the stranger's."""
    outside = run_dir.parent / "outside"
    os.chdir(outside)
    before, auditor.found, crash = content(outside), [], None
    modules = set(sys.modules)
    words, output = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(words), warnings.catch_warnings():
        auditor.run_dir = run_dir
        try:
            code = run_command(main, ["-r", str(run_dir / LAST)])
        except BaseException:  # SystemExit too
            code, crash = None, traceback.format_exc()
        finally:
            auditor.run_dir = None
    new_packages = {name.partition(".")[0] for name in set(sys.modules) - modules} - auditor.known_packages
    auditor.found += [f"imported {name}" for name in new_packages]  # importlib.import_module tells no hook
    changed = [name for name, value in content(outside).items() if before.pop(name, ...) != value] + list(before)
    return {
        "code": code,
        "words": words.getvalue()[-5000:],
        "raw": [c for c in words.getvalue() + output.getvalue() if c != "\n" and not c.isprintable()][:10],
        "crash": crash,
        "events": auditor.found,
        "changed": changed,
    }


CONTROLS: dict[str, Callable[[Path], Any]] = {  # what the hook must see; given the folder `outside`
    "a shell": lambda outside: os.system("true"),
    "a process": lambda outside: subprocess.run(["true"]),
    "a file": lambda outside: (outside / "x").write_text("x"),
    "a file by its number": lambda outside: os.close(os.open(outside / "x", os.O_WRONLY | os.O_CREAT)),
    "a folder": lambda outside: (outside / "x").mkdir(),
    "a link": lambda outside: (outside.parent / "run" / "x").symlink_to(outside),
    "a renamed file": lambda outside: (outside / "canary").rename(outside / "x"),
    "a removed file": lambda outside: (outside / "canary").unlink(),
    "an import": lambda outside: __import__("stranger"),
    "an import by importlib": lambda outside: importlib.import_module("tabnanny"),
    "code": lambda outside: exec(compile("1", "stranger", "exec")),
    "a pickle": lambda outside: pickle.loads(b"cos\ngetcwd\n."),
    "a socket": lambda outside: socket.socket().bind(("127.0.0.1", 0)),
    "a library": lambda outside: ctypes.CDLL(None),
}


def main(folder: Path) -> None:
    """Warm up with the honest run, so that all that it needs is imported; then one payload after the other."""
    torch.set_num_threads(1)
    commands = {command: load_main(command) for command in COMMANDS}
    import pandas  # noqa: F401  the data loaders' libraries
    import PIL.Image
    import torchvision.datasets  # noqa: F401
    from matplotlib.figure import Figure

    import data_loader.csv_file
    import data_loader.image_folder  # noqa: F401  making their dataclasses runs code
    from data_loader import digits, fingerprint
    from logger.figures import results

    PIL.Image.init()
    digits.read_digits = functools.cache(digits.read_digits)  # hundreds of times the same ones
    fingerprint.N_LOOKED_AT = 1  # of them
    Figure.savefig = lambda self, file, **options: file.write(b"drawn")  # a second per test; all else of it is done
    honest, checkpoint = make_honest_run(folder)
    auditor = Auditor()

    draw = results.draw_figures

    def attempt(main: Callable, payload: Payload | None = None, draws: bool = False) -> dict[str, Any]:
        results.draw_figures = draw if draws else lambda *arguments: []  # most of a harmless payload's second
        run_dir = prepare(payload, honest, checkpoint, folder / "attempt")
        try:
            return try_command(main, run_dir, auditor)
        finally:
            os.chdir(PROJECT)
            shutil.rmtree(folder / "attempt")

    for main in commands.values():
        attempt(main, draws=True)
    auditor.known_packages |= {name.partition(".")[0] for name in sys.modules}
    sys.addaudithook(auditor)
    payloads = {"honest": Payload(lambda run_dir, checkpoint: None, dict.fromkeys(COMMANDS)), **PAYLOADS}
    report = {
        "payloads": {
            name: {
                command: attempt(commands[command], payload, draws=name == "honest" or "figures" in name)
                for command in payload.words
            }
            for name, payload in payloads.items()
        },
        "controls": {name: attempt(lambda argv, do=do: do(Path.cwd())) for name, do in CONTROLS.items()},
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
