"""The folder of a run: made when the run starts, and never shared by two runs."""

import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import uuid
from datetime import datetime
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import IO, Any

from logger.run_log import lines_to_keep
from utils.errors import UserError
from utils.files import write_json

PACKAGES = ("torchvision", "numpy", "pandas", "scikit-learn", "tensorboard")
logger = logging.getLogger(__name__)
_made: set[Path] = set()  # by this very process
_locks: dict[Path, IO[str]] = {}  # of this process; closing one gives its lock back


def create_run_dir(save_dir: Path, name: str, run_id: str | None = None) -> Path:
    """Make `save_dir/name/run_id`, lock and return it. Without a run_id, the time names it, numbered if it is taken."""
    now = datetime.now().strftime("%Y%m%d_%H%M%S")
    for number in count(1):  # mkdir is atomic: of two processes only one makes the folder
        run_dir = save_dir / name / (run_id or (f"{now}-{number}" if number > 1 else now))
        try:
            run_dir.mkdir(parents=True)
            break
        except OSError as error:
            if not run_dir.exists():
                raise UserError(f"trainer.save_dir: cannot make a folder in {save_dir}: {error.strerror}") from None
            if run_id is not None:
                raise UserError(f"{run_dir} exists; go on with it by -r, delete it, or name another") from None
    _made.add(run_dir)
    lock_folder(run_dir)
    return run_dir


def remove_run_dir(run_dir: Path) -> None:
    """Delete a folder that `create_run_dir` has made in this process; no other one is ever deleted."""
    _made.remove(run_dir)
    shutil.rmtree(run_dir, ignore_errors=True)
    _locks.pop(run_dir.resolve()).close()


def open_run_dir(run_dir: Path, checkpoint: dict[str, Any]) -> Path:
    """Lock and return the folder of a run that goes on. Raises UserError, with nothing changed, if it is not intact."""
    for path in run_dir.iterdir():
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise UserError(f"{path} is a link, or no file; remove it to go on")
    mark, metrics = run_mark(run_dir), run_dir / "metrics.jsonl"
    if mark is None or mark != checkpoint.get("run"):
        raise UserError(f"{run_dir} is not the folder of this checkpoint's run; go on in a new one with --run-id NAME")
    if not metrics.exists():
        raise UserError(f"{metrics} is missing; put it back, or go on in a new folder with --run-id NAME")
    lines_to_keep(metrics, checkpoint["epoch"])
    lock_folder(run_dir)
    for path in run_dir.glob(".*.tmp"):  # of `write_atomically`
        path.unlink(missing_ok=True)
    return run_dir


def lock_folder(run_dir: Path) -> None:
    """Keep other processes from working there. The kernel gives the lock back, however this process ends."""
    if run_dir.resolve() in _locks:
        return
    lock = (run_dir / ".lock").open("a+", encoding="utf-8")
    try:
        import fcntl  # which Windows lacks

        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        lock.seek(0)
        raise UserError(f"{run_dir}: {lock.read(100)} is at work there; wait, or end it") from None
    except (ImportError, OSError) as error:
        logger.warning("%s cannot be locked (%s): do not train there twice at once", run_dir, error)
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {platform.node()}")
    lock.flush()
    _locks[run_dir.resolve()] = lock


def record_environment(run_dir: Path, device: str, config: dict[str, Any]) -> None:
    """Write config.json, and environment.json: what else a run depends on. A resumed run adds what is different now."""
    import torch

    now = {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": [Path(sys.executable).name, *sys.argv],
        "device": device,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: found.version for name in PACKAGES for found in metadata.distributions(name=name)}
        | {"torch": torch.__version__},  # with the build's tag
    }
    before = _read_environment(run_dir)
    if before:
        before["resumed"].append(now)
    write_json(before or {"run": uuid.uuid4().hex} | now, run_dir / "environment.json")
    write_json(config, run_dir / "config.json")


def run_mark(run_dir: Path) -> str | None:
    """What a run's folder and its checkpoints have in common, and those of no other run; None of another folder."""
    return _read_environment(run_dir).get("run")


def _read_environment(run_dir: Path) -> dict[str, Any]:
    path = run_dir / "environment.json"
    if not path.exists():
        return {}
    try:
        environment = json.loads(path.read_bytes())
        return environment | {"resumed": list(environment.get("resumed", []))}
    except (AttributeError, OSError, RecursionError, TypeError, ValueError):
        raise UserError(f"{path} is damaged; go on in a new folder with --run-id NAME") from None


def git_commit() -> str | None:
    """The project's commit, with -dirty behind it if there are changes."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
