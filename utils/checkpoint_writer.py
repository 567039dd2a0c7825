"""Which of a run's checkpoints are written when, by a thread, while the training goes on."""

import logging
import math
import re
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from utils.checkpoint import copy_checkpoint, load_checkpoint, save_checkpoint, snapshot
from utils.errors import UserError
from utils.seed import random_state, torch_random_state

SAVE_SECONDS = 1.0  # an epoch's end closer to the last save than this is written only if `save_period` asks for it
State = dict[str, Any]

logger = logging.getLogger(__name__)


class CheckpointWriter:
    """Keeps a run's last and best state on disk; the training waits for a copy of its state, not for the disk.

    run_dir: the run's folder; None: nothing is kept.
    config: a plain dict that every checkpoint holds.
    save_period: keep checkpoint-epoch<N>.pth every so many epochs.
    save_every_steps: write checkpoint-last.pth also within an epoch, every so many steps; 0: at epochs' ends only.
    keep_last: how many checkpoint-epoch<N>.pth are kept, older ones are deleted; None: all.
    before_save: called before a checkpoint is written, for logs that must not be behind it.

    Epochs can take less than a millisecond. Then the best state waits in memory for the next save, and a kill costs no
    more than SAVE_SECONDS of training, which the resumed run does again, bit by bit. Of the random generators such a
    state holds torch's; Python's and NumPy's, which take longer to read than a short epoch's step, every state on disk
    that was not kept waiting.

    One save is written at a time. A next one that cannot be left out waits for it, so that a slow disk holds back the
    training instead of filling the memory, and a kill costs at most the save under way and the steps since.
    """

    def __init__(
        self,
        run_dir: Path | None,
        config: dict[str, Any],
        save_period: int = 1,
        save_every_steps: int = 0,
        keep_last: int | None = None,
        before_save: Callable[[], None] = lambda: None,
    ):
        self.run_dir = run_dir
        self.config = config
        self.save_period = save_period
        self.save_every_steps = save_every_steps
        self.keep_last = keep_last
        self.before_save = before_save
        self._best: State | None = None  # the best state while it is not on disk
        self._thread: ThreadPoolExecutor | None = None
        self._saving: Future | None = None
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
            newest = load_checkpoint(self.run_dir / "checkpoint-last.pth")["step"]
        except UserError:  # missing or damaged
            newest = None
        if newest is not None and newest <= state["step"]:
            return
        self._write(state, None, None)
        for epoch, path in self._epoch_files().items():
            if newest is not None and epoch > state["epoch"]:
                abandoned = path.replace(path.with_name(f"abandoned-epoch{epoch}.pth"))
                logger.info("%s is of a future that this resume gives up: it is %s now", path.name, abandoned.name)

    def end_step(self, state_dict: Callable[[], State], step: int) -> None:
        """Save the state within an epoch, if it is time to."""
        if self._saving is not None and self._saving.done():
            self._wait()
        if self.save_every_steps and step % self.save_every_steps == 0 and self.run_dir is not None:
            self._wait()
            self._start(_take(state_dict()))

    def keep(self, state_dict: Callable[[], State], epoch: int, is_best: bool) -> None:
        """Keep the state of an epoch's end: in memory if it is the best, on disk when it is time to."""
        if self.run_dir is None:
            return
        is_periodic = epoch % self.save_period == 0
        is_idle = self._saving is None or self._saving.done()
        is_due = is_periodic or (is_idle and time.monotonic() - self._saved_at >= SAVE_SECONDS)
        if is_due:
            self._wait()
            state = _take(state_dict())
            self._best = state if is_best else self._best
            self._start(state, epoch if is_periodic else None)
        elif is_best:
            self._best = snapshot(state_dict() | {"random": torch_random_state()})

    def save(self, state: State) -> None:
        """Save a state and wait until it is on disk: at a run's end, when it is interrupted."""
        if self.run_dir is None:
            return
        self._wait()
        self._start(_take(state))
        self._wait()
        self._end_thread()

    def save_best(self) -> None:
        """Write model_best.pth if it is behind, and wait until it is on disk."""
        self._wait()
        self._end_thread()
        if self._best is not None:
            self._write(None, self._best, None)
            self._best = None

    def _start(self, state: State, epoch: int | None = None) -> None:
        """Hand a snapshot to a thread."""
        self.before_save()
        best, self._best = self._best, None
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._saving = self._thread.submit(self._write, state, best, epoch)
        self._saved_at = time.monotonic()

    def _wait(self) -> None:
        """Wait for the save under way; raises what went wrong there."""
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _write(self, state: State | None, best: State | None, epoch: int | None) -> None:
        """Write model_best.pth, checkpoint-epoch<N>.pth and checkpoint-last.pth, each if it is given.

        In this order: the last never knows of a file that is not there. A run that is killed in between goes on from
        the last and makes the others again.
        """
        if best is not None:
            save_checkpoint(best | {"config": self.config}, self.run_dir / "model_best.pth")
        if state is None:
            return
        last = self.run_dir / "checkpoint-last.pth"
        target = last if epoch is None else self.run_dir / f"checkpoint-epoch{epoch}.pth"
        save_checkpoint(state | {"config": self.config}, target)
        if epoch is not None:
            self._delete_old()
            copy_checkpoint(target, last)

    def _delete_old(self) -> None:
        if self.keep_last is not None:
            for _, path in sorted(self._epoch_files().items())[: -self.keep_last]:
                path.unlink()

    def _epoch_files(self) -> dict[int, Path]:
        names = ((re.fullmatch(r"checkpoint-epoch(\d+)\.pth", path.name), path) for path in self.run_dir.iterdir())
        return {int(name[1]): path for name, path in names if name}


def _take(state: State) -> State:
    """A copy of a state, with those of the random generators."""
    return snapshot(state | {"random": random_state()})
