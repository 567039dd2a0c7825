"""Which of a run's checkpoints are written when."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.checkpoint import copy_checkpoint, save_checkpoint, snapshot
from utils.seed import random_state, torch_random_state

SAVE_SECONDS = 1.0  # an epoch's end closer to the last save than this is written only if `save_period` asks for it


class CheckpointWriter:
    """Keeps a run's last and best state on disk without slowing short epochs down.

    run_dir: the run's folder; None: nothing is kept.
    config: a plain dict that every checkpoint holds.
    save_period: keep checkpoint-epoch<N>.pth every so many epochs.
    before_save: called before a checkpoint is written, for logs that must not be behind it.

    Epochs can take less than a millisecond. Then the best state waits in memory for the next save, and a kill costs no
    more than SAVE_SECONDS of training, which the resumed run does again, bit by bit. Of the random generators such a
    state holds torch's; Python's and NumPy's, which take longer to read than a short epoch's step, every state on disk
    that was not kept waiting.
    """

    def __init__(self, run_dir: Path | None, config: dict[str, Any], save_period: int, before_save: Callable[[], None]):
        self.run_dir = run_dir
        self.config = config
        self.save_period = save_period
        self.before_save = before_save
        self._best: dict[str, Any] | None = None  # the best state while it is not on disk
        self._saved_at = -math.inf

    def keep(self, state_dict: Callable[[], dict[str, Any]], epoch: int, is_best: bool) -> None:
        """Keep the state of an epoch's end: in memory if it is the best, on disk when it is time to."""
        if self.run_dir is None:
            return
        is_periodic = epoch % self.save_period == 0
        is_due = is_periodic or time.monotonic() - self._saved_at >= SAVE_SECONDS
        if is_due:
            self.save(state_dict(), is_best)
        elif is_best:
            self._best = snapshot(state_dict()) | {"random": torch_random_state()}
        if is_periodic:
            copy_checkpoint(self.run_dir / "checkpoint-last.pth", self.run_dir / f"checkpoint-epoch{epoch}.pth")

    def save(self, state: dict[str, Any], is_best: bool = False) -> None:
        """Write model_best.pth if it is behind, then checkpoint-last.pth, so that the last never knows a lost best."""
        if self.run_dir is None:
            return
        self.before_save()
        state = snapshot(state) | {"random": random_state()}
        if is_best:
            self._best = state
        self.save_best()
        save_checkpoint(state | {"config": self.config}, self.run_dir / "checkpoint-last.pth")
        self._saved_at = time.monotonic()

    def save_best(self) -> None:
        """Write model_best.pth if it is behind."""
        if self._best is not None:
            save_checkpoint(self._best | {"config": self.config}, self.run_dir / "model_best.pth")
            self._best = None
