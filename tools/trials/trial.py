"""One trial: a run of the config with settings of its own, in a process of its own.

Its run folder holds all there is to know: metrics.jsonl and checkpoints as of any run, and result.json once it has
ended. A process that is killed at any instant leaves a trial that has ended, goes on, or has not begun.
"""

import json
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from parse_config import ConfigParser
from utils.errors import TrainingInterrupted, UserError, escape
from utils.files import write_json

RESULT = "result.json"
Record = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """name: of its run folder. settings: dotted keys of the config and their values."""

    name: str
    settings: dict[str, Any]


class Pruned(TrainingInterrupted):
    """The search has ended a trial that others leave behind. Its last state is saved as after Ctrl-C."""

    def __init__(self, epoch: int):
        KeyboardInterrupt.__init__(self, f"pruned after epoch {epoch}")


def read_result(run_dir: Path) -> Record | None:
    """What a trial has come to; None if it has not ended.

    state: "done", "pruned" or "failed". cause: why it is not done.
    epochs, seconds: of the whole run.
    value, epoch: the best of the monitored numbers, and when it was reached; None for a trial that failed.
    metrics: all numbers of that epoch; without a monitor, of the last.
    """
    path = run_dir / RESULT
    return json.loads(path.read_bytes()) if path.exists() else None


def write_result(
    run_dir: Path, trial: Trial, records: list[Record], monitor: str, state: str = "done", cause: str = ""
) -> Record:
    """The trial has ended: write result.json, if there is none, and return it.

    A failed one has no value, as its config leads to no whole run.
    """
    if (result := read_result(run_dir)) is not None:
        return result
    run_dir.mkdir(parents=True, exist_ok=True)
    best = None if state == "failed" else best_record(records, monitor)
    if best is None and state != "failed":
        state, cause = "failed", f"{monitor.partition(' ')[2]} was never a finite number"
    result = {"settings": trial.settings, "state": state, "cause": cause, "epochs": len(records),
              "seconds": sum(record["seconds"] for record in records),
              "value": None, "epoch": None, "metrics": {}}  # fmt: skip
    if best is not None:
        result |= {"value": best.get(monitor.partition(" ")[2]), "epoch": best["epoch"]}
        result["metrics"] = {name: value for name, value in best.items() if name not in ("epoch", "step", "seconds")}
    write_json(result, run_dir / RESULT)
    return result


def read_records(run_dir: Path) -> list[Record]:
    """The records of a run's log; none if it has not begun."""
    from logger.run_log import read_metrics  # imports torch

    return read_metrics(run_dir) if (run_dir / "metrics.jsonl").exists() else []


def best_record(records: list[Record], monitor: str) -> Record | None:
    """The record of the best epoch, the first of several; without a monitor that of the last epoch."""
    mode, _, name = monitor.partition(" ")
    if mode == "off":
        return records[-1] if records else None
    finite = [record for record in records if isinstance(record.get(name), int | float)]  # NaN was written as null
    return (min if mode == "min" else max)(finite, key=lambda record: record[name], default=None)


# --------------------------------------------------------------------------------------------------- the process


def train_trial(cwd: Path, config: dict[str, Any], folder: Path, trial: Trial, slot: int, pipe: Connection) -> None:
    """The process: begin or resume the trial, train it to its end, write its result.

    Each epoch's record is sent through `pipe`, and the answer is whether to stop.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(cwd)
    _redirect_output(folder)
    run_dir, monitor = folder / trial.name, config["trainer"]["monitor"]

    def report(record: Record) -> None:
        try:
            pipe.send(record)
            stop = pipe.recv()
        except (EOFError, OSError):  # the search was killed: no failure of the trial
            raise TrainingInterrupted(signal.SIGTERM) from None
        if stop:
            raise Pruned(record["epoch"])

    try:
        _train(config, run_dir, trial, slot, report)
        write_result(run_dir, trial, read_records(run_dir), monitor)
    except Pruned as pruned:
        write_result(run_dir, trial, read_records(run_dir), monitor, "pruned", str(pruned))
    except KeyboardInterrupt as stopped:  # no result: it goes on when the search does
        sys.exit(getattr(stopped, "exit_code", 128 + signal.SIGINT))
    except Exception as error:
        if not isinstance(error, UserError):
            traceback.print_exc()
        write_result(run_dir, trial, read_records(run_dir), monitor, "failed", cause_of(error))


def _train(config: dict[str, Any], run_dir: Path, trial: Trial, slot: int, report: Callable[[Record], Any]) -> None:
    from train import run
    from utils.checkpoint import open_checkpoint

    settings = [f"{key}={json.dumps(value)}" for key, value in trial.settings.items()]
    parser = ConfigParser(config, trial.name, settings=settings)
    parser.args.device = _device(slot, parser["n_gpu"])
    _wait_for_lock(run_dir)
    if any(run_dir.glob("*.pth")):
        parser.resume, parser.checkpoint = open_checkpoint(run_dir)
        parser.args.resume = run_dir
        for record in read_records(run_dir):
            if record["epoch"] <= parser.checkpoint["epoch"]:
                report(record)  # it may have been killed before the answer
    else:
        shutil.rmtree(run_dir, ignore_errors=True)  # killed before its first checkpoint: nothing is lost
        parser.args.run_id = f"{run_dir.parent.name}/{run_dir.name}"
    run(parser, report)


def _end_with_parent() -> None:
    """No orphans: when the search is killed, so is the trial, which loses no more than what a kill of a run does."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _redirect_output(folder: Path) -> None:
    """The terminal is the search's. What a run says is in its train.log; a crash's last words go to stderr.log."""
    with Path(os.devnull).open("w") as nowhere, (folder / "stderr.log").open("a") as errors:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(errors.fileno(), 2)


def _device(slot: int, n_gpu: int) -> str | None:
    """The GPU of one of the processes that run at once: they are shared out in turn. None: the CPU."""
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None or n_gpu == 0:
        return None
    return f"{accelerator.type}:{slot % torch.accelerator.device_count()}"


def _wait_for_lock(run_dir: Path) -> None:
    """The process of a search that was killed may take a moment to end."""
    try:
        import fcntl  # which Windows lacks, as it does the lock

        with (run_dir / ".lock").open("r+") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
    except (ImportError, OSError):  # there is none
        return


def cause_of(error: Exception) -> str:
    """One line for a table."""
    if type(error).__name__ == "OutOfMemoryError":
        return "out of memory"
    text = " ".join(str(error).split())
    return escape(text if isinstance(error, UserError) else f"{type(error).__name__}: {text}")[:300]
