"""Several trials at once, each in a process; when this one ends, however that comes, none of them goes on."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

from tools.trials.table import Progress
from tools.trials.trial import Record, Trial, read_records, read_result, train_trial, write_result
from utils.errors import TrainingInterrupted, UserError

# A new process is a copy of one that has imported these: quicker than to import them for each trial.
PRELOAD = ["train", "trainer", "utils.checkpoint", "data_loader.report", "logger.run_dir", "sklearn.datasets",
           "sklearn.model_selection", "torch._dynamo", "torch.utils.tensorboard"]  # fmt: skip
CONTEXT: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
CONTEXT.set_forkserver_preload(PRELOAD)


class Search(Protocol):
    """Which trials there are, and what becomes of them."""

    def next(self) -> Trial | None:
        """The next trial to run, ended before or not; None if there is none now."""

    def should_stop(self, trial: Trial, record: Record) -> bool:
        """Whether to end a trial after an epoch with this record of the log. A record may come twice, after a kill."""
        ...

    def end(self, trial: Trial, result: Record) -> None:
        """A trial has ended, now or at an earlier start."""


class ListSearch:
    """Trials that are known from the start."""

    def __init__(self, trials: list[Trial], progress: Progress):
        self.waiting, self.progress = list(reversed(trials)), progress

    def next(self) -> Trial | None:
        return self.waiting.pop() if self.waiting else None

    def should_stop(self, trial: Trial, record: Record) -> bool:
        return False

    def end(self, trial: Trial, result: Record) -> None:
        self.progress.show(trial, result)


def check_parallel(parallel: int) -> None:
    """Raise UserError for more processes than this machine has cores."""
    n_cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    if not 1 <= parallel <= n_cores:
        raise UserError(f"--parallel {parallel}: it must be 1 to {n_cores}, the number of this machine's CPU cores")


class TrialProcess:
    """A process that trains a trial. The end of this process ends it too."""

    def __init__(self, config: dict[str, Any], folder: Path, trial: Trial, slot: int = 0):
        self.config, self.folder, self.trial, self.slot = config, folder, trial, slot
        self.pipe, other_end = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=train_trial, args=(Path.cwd(), config, folder, trial, slot, other_end))
        self.process.start()
        other_end.close()

    def receive(self) -> Record | None:
        """The next epoch's record, which waits for an `answer`; None at the trial's end."""
        wait([self.pipe, self.process.sentinel])
        with suppress(EOFError, ConnectionError):
            if self.pipe.poll():
                return self.pipe.recv()
        return None

    def answer(self, stop: bool) -> None:
        """Let the trial go on, or end it."""
        with suppress(ConnectionError):
            self.pipe.send(stop)

    def result(self) -> Record:
        """What it came to, once it has ended. A process that ended without a result was killed: a row too.

        Raises TrainingInterrupted if it obeyed a signal that told it to stop: the trial goes on when the search does.
        """
        self.process.join()
        run_dir, code = self.folder / self.trial.name, self.process.exitcode or 0
        if (result := read_result(run_dir)) is not None:
            return result
        stopped_by = -code if code < 0 else code - 128
        if stopped_by in (signal.SIGINT, signal.SIGTERM):
            raise TrainingInterrupted(stopped_by)
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        cause = f"its process ended with {ended}; SIGKILL mostly means a full memory"
        monitor = self.config["trainer"]["monitor"]
        return write_result(run_dir, self.trial, read_records(run_dir), monitor, "failed", cause)


def run_trials(search: Search, config: dict[str, Any], folder: Path, parallel: int) -> None:
    """Run a search's trials, `parallel` at a time. Ctrl-C and SIGTERM end all of them, each with its checkpoint."""
    running: list[TrialProcess] = []
    with _sigterm_interrupts():
        try:
            while True:
                while len(running) < parallel and (trial := search.next()) is not None:
                    if (result := read_result(folder / trial.name)) is not None:
                        search.end(trial, result)
                        continue
                    slot = min(set(range(parallel)) - {process.slot for process in running})
                    running.append(TrialProcess(config, folder, trial, slot))
                if not running:
                    return
                for process in _ready(running):
                    record = process.receive()
                    if record is not None:
                        process.answer(search.should_stop(process.trial, record))
                    else:
                        running.remove(process)
                        search.end(process.trial, process.result())
        finally:
            _end_all(running)


def _ready(running: list[TrialProcess]) -> list[TrialProcess]:
    """Wait until one or more of them have something to say, or have ended."""
    ready = wait([thing for process in running for thing in (process.pipe, process.process.sentinel)])
    return [process for process in running if process.pipe in ready or process.process.sentinel in ready]


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM end a search as Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> None:
        raise TrainingInterrupted(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_all(running: list[TrialProcess]) -> None:
    """End the processes that are left: at their next step, with a checkpoint; at a second Ctrl-C at once."""
    processes = multiprocessing.active_children()
    try:
        for process in processes:
            process.terminate()
        for process in running:
            process.answer(stop=False)  # it may wait for one, and sees the signal after it
        for process in processes:
            process.join()
    except KeyboardInterrupt:
        for process in processes:
            process.kill()
        raise
