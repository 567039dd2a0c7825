"""What a person can get wrong, and how a command ends: one clear line and an exit code instead of a traceback."""

import errno
import signal
import sys
from collections.abc import Callable

DISK_FAULTS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)  # a person's to mend


class UserError(Exception):
    """A fault that the person at the keyboard can mend. Its text is all they see; the command ends with exit code 2."""


class TrainingInterrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM stopped the training at a step boundary, after a checkpoint was saved."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.exit_code = 128 + signal_number


def run_command(main: Callable[[list[str] | None], None], argv: list[str] | None = None) -> int:
    """Run a command's `main(argv)` and return its exit code.

    0 done, 2 a UserError, a missing permission or a full disk, 130 after SIGINT, 143 after SIGTERM. Any other exception
    is a bug and keeps its traceback.
    """
    try:
        main(argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except TrainingInterrupted as interrupted:
        return interrupted.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0
