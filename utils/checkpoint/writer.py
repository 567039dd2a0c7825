"""Which of a run's checkpoints are written when, by a thread, while the training goes on."""

import logging
import math
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Set
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from utils.checkpoint.file import copy_checkpoint, load_checkpoint, save_checkpoint, snapshot
from utils.errors import UserError
from utils.seed import random_state, torch_random_state

SAVE_SECONDS = 1.0  # an epoch's end closer to the last save than this is written only if `save_period` asks for it
MAX_FAILURES = 3  # so many saves in a row that a full disk prevents end the run
State = dict[str, Any]

logger = logging.getLogger(__name__)


class CheckpointWriter:
    """Keeps a run's last and best state on disk; the training waits for a copy of its state, not for the disk.

    run_dir: the run's folder; None: nothing is kept.
    config: a plain dict that every checkpoint holds.
    save_period: keep checkpoint-epoch<N>.pth every so many epochs.
    save_every_steps: write checkpoint-last.pth also within an epoch, every so many steps; 0: at epochs' ends only.
    keep_last: how many checkpoint-epoch<N>.pth are kept, older ones are deleted; None: all.
    weights: names in the state's "model". A state in which one of these is NaN or infinite is not written: the files of
        the one before stay.
    before_save: called before a checkpoint is written, for logs that must not be behind it.

    Epochs can take less than a millisecond. Then the best state waits in memory for the next save, and a kill costs no
    more than SAVE_SECONDS of training, which the resumed run does again, bit by bit. Of the random generators such a
    state holds torch's; Python's and NumPy's, which take longer to read than a short epoch's step, every state on disk
    that was not kept waiting.

    One save is written at a time. A next one that cannot be left out waits for it, so that a slow disk holds back the
    training instead of filling the memory, and a kill costs at most the save under way and the steps since.

    A save that the disk refuses leaves the files of the one before, and the next save tries again. MAX_FAILURES in a
    row, or one at the run's end, raise UserError, with the state saved in the system's temporary folder if possible.
    """

    def __init__(
        self,
        run_dir: Path | None,
        config: dict[str, Any],
        save_period: int = 1,
        save_every_steps: int = 0,
        keep_last: int | None = None,
        weights: Set[str] = frozenset(),
        before_save: Callable[[], None] = lambda: None,
    ):
        self.run_dir = run_dir
        self.config = config
        self.save_period = save_period
        self.save_every_steps = save_every_steps
        self.keep_last = keep_last
        self.weights = weights
        self.before_save = before_save
        self._best: State | None = None  # the best state while it is not on disk
        self._thread: ThreadPoolExecutor | None = None
        self._saving: Future | None = None  # ends with the OSError that prevented the save, or None
        self._saving_best: State | None = None
        self._saving_place: tuple[int, ...] = ()
        self._on_disk: tuple[int, ...] = ()  # the place of what was saved last
        self._failures = 0  # in a row
        self._has_warned = False
        self._saved_at = -math.inf

    def start_from(self, state_dict: Callable[[], State]) -> None:
        """Make what a run is resumed from its newest checkpoint, before the logs forget the epochs after it.

        After a resume from an older checkpoint, those of later epochs belong to a future that is given up. They are
        renamed to abandoned-epoch<N>.pth, so that nothing takes them for the newest.
        """
        if self.run_dir is None:
            return
        state = _take(state_dict())
        try:
            newest = load_checkpoint(self.run_dir / "checkpoint-last.pth").get("step")
        except UserError:  # missing or damaged
            newest = None
        if newest is not None and newest <= state["step"]:
            return
        error = self._write(self.run_dir, state)
        if error is not None:
            raise UserError(f"{self.run_dir}: no checkpoint can be written there: {error.strerror}")
        for epoch, path in self._epoch_files().items():
            if epoch > state["epoch"]:
                abandoned = path.replace(path.with_name(f"abandoned-epoch{epoch}.pth"))
                logger.info("%s is of a future that this resume gives up: it is %s now", path.name, abandoned.name)

    def end_step(self, state_dict: Callable[[], State], step: int) -> None:
        """Save the state within an epoch, if it is time to."""
        is_due = self.run_dir is not None and self.save_every_steps and step % self.save_every_steps == 0
        if is_due or self._is_done():
            self._wait(state_dict)
        if is_due:
            self._start(_take(state_dict()))

    def keep(self, state_dict: Callable[[], State], epoch: int, is_best: bool) -> None:
        """Keep the state of an epoch's end: in memory if it is the best, on disk when it is time to."""
        if self.run_dir is None:
            return
        is_done = self._is_done()
        is_periodic = epoch % self.save_period == 0
        is_idle = self._saving is None or is_done
        is_due = is_periodic or (is_idle and time.monotonic() - self._saved_at >= SAVE_SECONDS)
        if is_due or is_done:
            self._wait(state_dict)
        if is_due:
            state = _take(state_dict())
            self._best = state if is_best else self._best
            self._start(state, epoch if is_periodic else None)
        elif is_best:
            self._best = snapshot(state_dict())
            self._best["random"] = torch_random_state()

    def save(self, state: State) -> None:
        """Save a state and wait until it is on disk: at a run's end, when it is interrupted."""
        if self.run_dir is None:
            return
        self._wait(lambda: state)
        if self._on_disk != _place(state):
            self._start(_take(state))
            self._wait(lambda: state, max_failures=1)
        self._end_thread()

    def save_best(self) -> None:
        """Write model_best.pth if it is behind, and wait until it is on disk. For a run that an error has ended."""
        self._wait(max_failures=math.inf)
        self._end_thread()
        if self._best is not None:
            self._note(self._write(self.run_dir, best=self._best))
            self._best = None

    def _start(self, state: State, epoch: int | None = None) -> None:
        """Hand a snapshot to the thread."""
        self._saving_best, self._best = self._best, None
        self._saving_place = _place(state)
        self._saved_at = time.monotonic()
        try:
            self.before_save()
        except OSError as error:  # a checkpoint that the logs are behind would leave a gap in them
            self._saving = Future()
            self._saving.set_result(error)
            return
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._saving = self._thread.submit(self._write, self.run_dir, state, self._saving_best, epoch)

    def _is_done(self) -> bool:
        return self._saving is not None and self._saving.done()

    def _wait(self, state_dict: Callable[[], State] = dict, max_failures: float = MAX_FAILURES) -> None:
        """Wait for the save under way; raises what went wrong there, a full disk only after `max_failures` in a row."""
        saving, self._saving = self._saving, None
        best, self._saving_best = self._saving_best, None
        if saving is None:
            return
        error = saving.result()
        self._note(error)
        if error is None:
            self._on_disk = self._saving_place
        else:
            self._best = self._best or best
            if self._failures >= max_failures:
                raise UserError(f"{self.run_dir}: {error.strerror}. {self._save_elsewhere(_take(state_dict()))}")

    def _note(self, error: OSError | None) -> None:
        self._failures = 0 if error is None else self._failures + 1
        if error is not None:
            free = shutil.disk_usage(self.run_dir).free / 1e6 if self.run_dir.exists() else 0
            logger.warning(
                "No checkpoint saved in %s: %s (%.1f MB free). Those before are intact; %d in a row end the run.",
                self.run_dir, error.strerror, free, MAX_FAILURES)  # fmt: skip

    def _save_elsewhere(self, state: State) -> str:
        """Save the state outside the run's folder; returns a sentence that says where."""
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"{self.run_dir.name}-"))
        except OSError as error:
            return f"The state could not be saved elsewhere either: {error.strerror}."
        error = self._write(folder, state, self._best)
        self._best = None
        if error is not None:
            return f"The state could not be saved in {folder} either: {error.strerror}."
        return (
            f"The state is saved in {folder}: make room, move its files to {self.run_dir}, go on with -r {self.run_dir}"
        )

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _write(self, folder: Path, state: State | None = None, best: State | None = None, epoch: int | None = None
               ) -> OSError | None:  # fmt: skip
        """Write model_best.pth, checkpoint-epoch<N>.pth and checkpoint-last.pth, each if it is given.

        In this order: the last never knows of a file that is not there. A run that is killed in between goes on from
        the last and makes the others again. Returns the error if the disk is full or broken.
        """
        last = folder / "checkpoint-last.pth"
        best, state = self._unless_bad(best), self._unless_bad(state)
        try:
            if best is not None:
                save_checkpoint(best | {"config": self.config}, folder / "model_best.pth")
            if state is not None and epoch is not None:
                periodic = folder / f"checkpoint-epoch{epoch}.pth"
                save_checkpoint(state | {"config": self.config}, periodic)
                self._delete_old(epoch)
                copy_checkpoint(periodic, last)
            elif state is not None:
                save_checkpoint(state | {"config": self.config}, last)
        except OSError as error:
            return error
        return None

    def _unless_bad(self, state: State | None) -> State | None:
        """A state, or None if it has a weight that is NaN or infinite: looked at here, where no training waits for it.

        The last step of an epoch can make such weights while its loss, from before that step, is still finite.
        """
        if state is None or all(state["model"][name].isfinite().all() for name in self.weights & state["model"].keys()):
            return state
        if not self._has_warned:
            logger.warning("Weights became NaN or infinite, by step %d. Such a state is not saved; the checkpoints "
                           "before are intact.", state["step"])  # fmt: skip
            self._has_warned = True
        return None

    def _delete_old(self, newest: int) -> None:
        if self.keep_last is not None:
            files = self._epoch_files()
            for epoch in sorted(epoch for epoch in files if epoch <= newest)[: -self.keep_last]:
                files[epoch].unlink()

    def _epoch_files(self) -> dict[int, Path]:
        names = ((re.fullmatch(r"checkpoint-epoch(\d+)\.pth", path.name), path) for path in self.run_dir.iterdir())
        return {int(name[1]): path for name, path in names if name}


def _place(state: State) -> tuple[int, ...]:
    """Where in the training a state is."""
    return state["epoch"], state["step"]


def _take(state: State) -> State:
    """A copy of a state, with those of the random generators."""
    return snapshot(state | {"random": random_state()})
