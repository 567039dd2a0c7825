"""What goes wrong while samples are read, told so that it can be mended: which sample, and why."""

import signal
import traceback
from collections.abc import Iterable
from typing import Any

from utils.errors import UserError

LIKELY_CAUSES = {
    -signal.SIGKILL: "most often because the memory is full",
    -signal.SIGBUS: "most often because the shared memory, /dev/shm, is full",
}
# How workers end that nobody killed: by themselves, or after the SIGTERM that ends the whole run.
NORMAL_EXITS = (None, 0, -signal.SIGTERM, -signal.SIGALRM)


class SampleError(RuntimeError):
    """A dataset's code failed at a sample: a bug, which keeps its traceback."""


class UnreadableSample(UserError):
    """A sample that the person at the keyboard can mend, such as a file they may not read."""

    def __init__(self, text: str):
        # torch makes a worker's exception anew in the main process, of the traceback's text, which ends with ours
        super().__init__(text.rpartition(f"{type(self).__name__}: ")[2].strip())


def sample_error(error: Exception, dataset: Any, index: int) -> SampleError | UnreadableSample:
    """The error to raise from `error`: its one line says which sample of the dataset was read, and the cause."""
    which = f"sample {index} of {type(dataset).__name__}"
    if isinstance(error, UserError | PermissionError):
        return UnreadableSample(f"{which}: {error}")
    cause = " ".join(traceback.format_exception_only(error)[-1].split())
    return SampleError(f"{which}: {cause}")


def raise_if_killed(exit_codes: Iterable[int | None], where: str) -> None:
    """Raise UserError if a worker process ended in another way than by the end of its work."""
    for code in exit_codes:
        if code in NORMAL_EXITS:
            continue
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        why = LIKELY_CAUSES.get(code, "perhaps by a fault in compiled code that the dataset calls")
        raise UserError(
            f"{where}, a worker process of the data loader {how}, {why}. Try fewer workers, or none "
            "(-s data_loader.args.num_workers=0). The run's checkpoints are intact: go on with -r RUN_FOLDER."
        )
