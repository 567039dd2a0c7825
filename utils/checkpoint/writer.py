"""Which of a run's checkpoints are written when, by a thread, while the training goes on."""

import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.checkpoint.file import BEST, LAST, intact, parts_of, save_checkpoint
from utils.errors import TrainingInterrupted, UserError
from utils.parallel import from_main, rank

SAVE_SECONDS = 1.0  # an epoch's end closer to the last save than this is written only if `save_period` asks for it
State = dict[str, Any]

logger = logging.getLogger(__name__)


@dataclass
class CheckpointWriter(AbstractContextManager["CheckpointWriter"]):
    """Keeps a run's last and best state on disk; the training waits for a copy of its state, not for the disk.

    All processes of a run have one, so that they take a state together, but only rank 0's has a state to write.
    """

    run_dir: Path
    take_state: Callable[[], State | None]  # makes that copy
    weights: Set[str] = frozenset()  # names in the state's "model"; where one is NaN or infinite, nothing is written
    before_save: Callable[[], None] = lambda: None  # for logs that must not be behind a checkpoint
    save_period: int = 1  # this and what follows: see BaseTrainer
    save_every_steps: int = 0
    keep_last: int | None = None

    _save_file = staticmethod(save_checkpoint)

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._saving: Future[State | None] | None = None  # one at a time; its result is the best state, when written
        self._saved_at = float("-inf")
        self._best: State | None = None  # waits here for the next save, until that is known to be done
        self._on_disk: tuple[int, int] | None = None  # epoch and step of checkpoint-last.pth
        self._has_warned = False  # of weights that are NaN or infinite

    def go_back(self) -> None:
        """Make a resumed state the newest: checkpoints of later steps are renamed to abandoned-*.pth, and not used."""
        state = self.take_state()
        self._write(self.run_dir, state, None)
        if rank() > 0 or state is None:
            return
        future = [path for epoch, path in self._epoch_files() if epoch > state["epoch"]]
        future += [path for path, best in intact([self.run_dir / BEST]) if best.get("step", 0) > state["step"]]
        for path in future:
            name = path.name.replace("checkpoint-", "abandoned-").replace("model_", "abandoned-")
            logger.info("%s is of a later step than the one gone back to: it is %s now", path.name, name)
            shutil.rmtree(parts_of(path.with_name(name)), ignore_errors=True)
            for old in filter(Path.exists, (path, parts_of(path))):
                old.replace(old.with_name(old.name.replace(path.name, name)))

    def end_step(self, step: int) -> None:
        """Save the state within an epoch, if it is time to."""
        if self.save_every_steps and step % self.save_every_steps == 0:
            self._save(self.take_state())

    def end_epoch(self, epoch: int, is_best: bool) -> None:
        """Keep the state of an epoch's end: in memory if it is the best, on disk when it is time to."""
        is_periodic = epoch % self.save_period == 0
        is_idle = self._saving is None or self._saving.done()
        is_due = from_main(is_periodic or (is_idle and time.monotonic() - self._saved_at >= SAVE_SECONDS))
        if is_due or is_best:
            state = self.take_state()
            self._best = state if is_best else self._best
            if is_due:
                self._save(state, epoch if is_periodic else None)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        """Write what is not on disk yet; after an error only the best. Raises UserError if the disk refuses it."""
        self._wait()
        self._thread.shutdown()
        state = self.take_state() if error is None or isinstance(error, TrainingInterrupted) else None
        try:
            self.before_save()
            is_on_disk = state is not None and (state["epoch"], state["step"]) == self._on_disk
            self._write(self.run_dir, None if is_on_disk else state, self._best)
        except OSError as full:
            if state is not None:
                raise UserError(f"{self.run_dir}: {full.strerror}. {self._save_elsewhere(state)}") from full
            self._warn(full)
        if isinstance(error, TrainingInterrupted):
            logger.warning("%s; go on with -r %s", error, self.run_dir)

    def _save(self, state: State | None, epoch: int | None = None) -> None:
        """Let the thread write a state, and the best one if it is not on disk, once the save before is done."""
        self._wait()
        self._saved_at = time.monotonic()
        try:
            self.before_save()
        except OSError as error:  # a checkpoint that the logs are behind would leave a gap in them
            self._warn(error)
        else:
            self._saving = self._thread.submit(self._write, self.run_dir, state, self._best, epoch)

    def _wait(self) -> None:
        """Wait for the save under way. A full disk is a warning, any other error is raised."""
        saving, self._saving = self._saving, None
        try:
            if saving is not None and saving.result() is self._best:
                self._best = None
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        words = "No checkpoint saved in %s: %s. Those before are intact; the next save tries again."
        logger.warning(words, self.run_dir, error.strerror)

    def _write(self, folder: Path, state: State | None, best: State | None, epoch: int | None = None) -> State | None:
        """Write the best, then that of the epoch, then the last: a run killed in between makes the others again."""
        if best is not None and self._is_finite(best):
            self._save_file(best, folder / BEST)
        if state is not None and self._is_finite(state):
            if epoch is not None:
                self._save_file(state, folder / f"checkpoint-epoch{epoch}.pth")
                until_now = [path for number, path in self._epoch_files() if number <= epoch]
                for path in until_now[: -self.keep_last] if self.keep_last and rank() == 0 else []:
                    with suppress(OSError):  # which is no reason to save nothing
                        path.unlink()
                        shutil.rmtree(parts_of(path), ignore_errors=True)
            self._save_file(state, folder / LAST)
            self._on_disk = state["epoch"], state["step"]
        return best

    def _is_finite(self, state: State) -> bool:
        """Whether no weight is NaN or infinite. An epoch's last step can make them so, and its loss does not tell."""
        is_finite = all(state["model"][name].isfinite().all() for name in self.weights & state["model"].keys())
        if not is_finite and not self._has_warned:
            logger.warning("Weights are NaN or infinite in step %d: no such state is saved.", state["step"])
            self._has_warned = True
        return is_finite

    def _epoch_files(self) -> list[tuple[int, Path]]:
        """Every checkpoint-epoch<N>.pth with its N, in order."""
        files = [(re.fullmatch(r"checkpoint-epoch(\d+)\.pth", path.name), path) for path in self.run_dir.iterdir()]
        return sorted((int(name[1]), path) for name, path in files if name)

    def _save_elsewhere(self, state: State) -> str:
        """Save the state outside the run's folder; returns a sentence that says where."""
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"{self.run_dir.name}-"))
            self._write(folder, state, self._best)
        except OSError as error:
            return f"The state could not be saved elsewhere either: {error.strerror}."
        return f"The state is saved in {folder}: make room, move its files to {self.run_dir}, go on with -r"
