"""Checkpoints of a model that no process can hold as a whole: each writes its own rows of every weight and moment."""

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch.distributed as dist

from trainer.parallel.fully_sharded import is_sharded
from utils.checkpoint import CheckpointWriter, part_files, save_checkpoint
from utils.errors import TrainingInterrupted, UserError
from utils.parallel import joined, rank, world_size

logger = logging.getLogger(__name__)
PARTS = ("model", "optimizer")  # of a state: what processes other than the first write


def shard_checkpoints(trainer: Any) -> None:
    """From now on, each process writes its own rows; nothing changes unless the model is sharded."""
    if is_sharded(trainer.model):
        trainer.checkpoint_writer, trainer.gathered = ShardedWriter, own_rows
    elif trainer.optimizer is not None:
        logger.warning("trainer.sharded_checkpoints has no effect: only trainer.parallel=fsdp shards a model")


def own_rows(state: Any) -> Any:
    """A state in which a sharded tensor is a list of one: this process's rows of it."""
    if isinstance(state, dict):
        return {key: own_rows(value) for key, value in state.items()}
    if not hasattr(state, "to_local"):
        return state
    if not all(placement.is_shard(0) for placement in state.placements):
        raise UserError("trainer.sharded_checkpoints: this optimizer keeps tensors that are not sharded by their rows; "
                        "take another, such as AdamW")  # fmt: skip
    return [state.to_local()]


class ShardedWriter(CheckpointWriter):
    """Writes the others' rows into a folder beside the checkpoint; when all are on disk, rank 0 writes the checkpoint.

    All processes do the same at the same time, in their threads too, and what fails in one fails in all.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._group: Any = dist.new_group(backend="gloo")  # the threads', so that they do not disturb the training
        flush_logs = self.before_save
        self.before_save = lambda: self._together(flush_logs)

    def end_epoch(self, epoch: int, is_best: bool) -> None:
        if is_best:  # saved at once: after an error in one process, the others would not come to write it
            self._wait()
            self._saved_at = -math.inf
        super().end_epoch(epoch, is_best)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        if error is None or isinstance(error, TrainingInterrupted):
            super().__exit__(kind, error, traceback)
        else:
            self._wait()

    def _save_file(self, state: dict[str, Any], path: Path) -> None:
        files = part_files(path, state["step"], world_size())
        folder = files[0].parent

        def write_own_part() -> None:
            folder.mkdir(exist_ok=True)
            save_checkpoint({key: state[key] for key in PARTS}, files[rank() - 1])

        def write_the_rest() -> None:
            save_checkpoint(state | {"n_parts": world_size()}, path)
            for old in set(folder.iterdir()).difference(files):
                with suppress(OSError):  # the checkpoint is saved
                    old.unlink()

        is_new = rank() > 0 and not files[rank() - 1].exists()
        try:
            self._together(write_own_part if rank() > 0 else None)
            self._together(write_the_rest if rank() == 0 else None)
        except OSError:
            if is_new:  # of no checkpoint, on a disk that may be full
                files[rank() - 1].unlink(missing_ok=True)
            raise

    def _is_finite(self, state: dict[str, Any]) -> bool:
        rows = {name: joined(value) for name, value in state["model"].items()}
        bad = {name: values[~values.isfinite()][:1] for name, values in rows.items() if not values.isfinite().all()}
        bad = {name: number for own in self._ask(bad) for name, number in own.items()}  # so that rank 0 says it
        return super()._is_finite(state | {"model": bad})

    def _save_elsewhere(self, state: dict[str, Any]) -> str:
        return "Make room, and go on with -r from the checkpoint before"

    def _together(self, act: Callable[[], Any] | None) -> None:
        """Let each process act, if it has something to do. Raises the first OSError of all."""
        error = None
        try:
            if act is not None:
                act()
        except OSError as raised:
            error = raised
        for raised in filter(None, self._ask(error)):
            raise raised

    def _ask(self, value: Any) -> list[Any]:
        values = [None] * world_size()
        dist.all_gather_object(values, value, group=self._group)
        return values
