"""The folder of a run: made when the run starts, and never shared by two runs."""

import json
import logging
import os
import platform
import shutil
import subprocess
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from utils.errors import UserError
from utils.files import remove_temporary_files, write_json

try:
    import fcntl
except ImportError:
    fcntl = None

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("torchvision", "numpy", "pandas", "scikit-learn", "tensorboard")
logger = logging.getLogger(__name__)
_locks: dict[Path, IO[str]] = {}  # held open: closing one gives its lock back


def create_run_dir(save_dir: Path, name: str, run_id: str | None = None) -> Path:
    """Make `save_dir/name/run_id` and return it. Without a run_id, the time names it, numbered if it is taken.

    Raises UserError when the run_id is taken or the folder cannot be made.
    """
    parent = save_dir / name
    now = datetime.now().strftime("%Y%m%d_%H%M%S")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        attempt = 1
        while True:  # mkdir is atomic: of two processes only one makes the folder
            run_dir = parent / (run_id or (now if attempt == 1 else f"{now}-{attempt}"))
            try:
                run_dir.mkdir()
                return run_dir
            except FileExistsError:
                if run_id is not None:
                    raise UserError(f"--run-id {run_id}: {_why_taken(run_dir)}, or name another") from None
                attempt += 1
    except OSError as error:
        raise UserError(f"trainer.save_dir: cannot make a folder in {parent}: {error.strerror}") from None


def remove_run_dir(run_dir: Path) -> None:
    """Delete a run's folder, and give its lock back."""
    lock = _locks.pop(run_dir.resolve(), None)
    shutil.rmtree(run_dir, ignore_errors=True)
    if lock is not None:
        lock.close()


def _why_taken(run_dir: Path) -> str:
    """Why a new run cannot have this folder, and what to do."""
    if any(run_dir.glob("*.pth")):
        return f"{run_dir} exists; go on with it by -r {run_dir}"
    if _is_locked(run_dir):
        return f"{_holder(run_dir)} is training in {run_dir}; wait for it"
    return f"{run_dir} exists; delete it, it is empty of checkpoints"


def _is_locked(run_dir: Path) -> bool:
    if run_dir.resolve() in _locks:
        return True
    if fcntl is None:
        return False
    try:
        with (run_dir / ".lock").open("r+") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:  # no such file, or no locks
        pass
    return False


def _holder(run_dir: Path) -> str:
    try:
        return (run_dir / ".lock").read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def open_run_dir(run_dir: Path) -> Path:
    """The folder of a run that goes on. Raises UserError if what will be added to is no file or folder of its own.

    A stranger's run folder could lead the log, by a link, into any file of the person who resumes it.
    """
    for name in (".lock", "config.json", "environment.json", "metrics.jsonl", "train.log", "tensorboard"):
        path = run_dir / name
        is_right = path.is_dir() if name == "tensorboard" else path.is_file()
        if path.is_symlink() or (path.exists() and not is_right):
            raise UserError(f"{path} is a link, or not the kind of file it should be; remove it to go on")
    return run_dir


def lock_run_dir(run_dir: Path) -> None:
    """Keep every other process from training in a run's folder, as long as this one lives. Then clear up after a kill.

    The kernel gives the lock back when the process ends, however it ends; worker processes do not inherit it.
    Raises UserError, naming the process that has it. Where there are no such locks (Windows, some network file
    systems), nothing is locked.
    """
    if fcntl is None or run_dir.resolve() in _locks:
        return
    lock = (run_dir / ".lock").open("a+", encoding="utf-8")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        lock.close()
        raise UserError(f"{run_dir}: {_holder(run_dir)} is training there; wait, or end it") from None
    except OSError as error:
        logger.warning("%s cannot be locked (%s): do not train there twice at once", run_dir, error.strerror)
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {platform.node()}")
    lock.flush()
    _locks[run_dir.resolve()] = lock
    remove_temporary_files(run_dir)


def record_environment(run_dir: Path, device: str) -> None:
    """Write environment.json; a resumed run adds to it what was different then."""
    path, now = run_dir / "environment.json", describe_environment(device)
    if path.exists():
        try:
            first = json.loads(path.read_text(encoding="utf-8"))
            now = first | {"resumed": [*first.get("resumed", []), now]}
        except (AttributeError, RecursionError, TypeError, ValueError):
            raise UserError(f"{path} is damaged; remove it to go on") from None
    write_json(now, path)


def describe_environment(device: str) -> dict[str, Any]:
    """What a run depends on beside its config: versions, device, command and git commit."""
    import torch

    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": [Path(sys.executable).name, *sys.argv],
        "device": device,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": {"torch": torch.__version__} | {package: _version(package) for package in PACKAGES},
    }


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(PROJECT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
