"""What goes wrong while samples are read, told so that it can be mended: which sample, and why."""

import traceback
from typing import Any

from utils.errors import UserError


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
