"""What a person can get wrong, and how a command ends: one clear line and an exit code instead of a traceback."""

import difflib
import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

DISK_FAULTS = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EROFS, errno.ENOSPC, errno.EDQUOT)  # a person's to mend
MAX_FAULTS = 20  # that are shown of one config
MAX_LINE = 2000  # characters; a message quotes files, and a hostile file's words can be of any length
MEMORY_ADVICE = ("Try a smaller data_loader.args.batch_size, a smaller model or smaller inputs, trainer.amp=bf16, or a "
                 "device with more memory (-d).")  # fmt: skip


class UserError(Exception):
    """A fault that the person at the keyboard can mend. Its text is all they see; the command ends with exit code 2."""


class ConfigError(UserError):
    """One or several faults in a config or on the command line."""

    def __init__(self, where: str, faults: list[str]):
        self.faults = faults
        several = "\n  ".join([f" has {len(faults)} faults:", *faults[:MAX_FAULTS]])
        super().__init__(where + (several if len(faults) > 1 else f": {faults[0]}"))


class TrainingInterrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM stopped the training at a step boundary, after a checkpoint was saved."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.exit_code = 128 + signal_number


@contextmanager
def has_to_fit() -> Iterator[None]:
    """Make a UserError of what a checkpoint's state causes where it is loaded, if it is another's or damaged."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise UserError(f"the checkpoint does not fit this run: {type(error).__name__}: {error}") from error


def run_command(main: Callable[[list[str] | None], None], argv: list[str] | None = None) -> int:
    """Run a command's `main(argv)` and return its exit code. A bug keeps its traceback; --debug shows all of them."""
    try:
        main(argv)
        if sys.stdout is not None:  # closed, as by `>&-`
            sys.stdout.flush()
        return 0
    except BrokenPipeError:  # `test.py ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt as interrupt:
        return getattr(interrupt, "exit_code", 128 + signal.SIGINT)
    except Exception as error:
        if isinstance(error, UserError):
            message = str(error)
        elif isinstance(error, OSError) and error.errno in DISK_FAULTS:
            message = f"{error.filename}: {error.strerror}"
        elif type(error).__name__ == "OutOfMemoryError":  # torch's, which takes a second to import
            message = f"out of memory. {MEMORY_ADVICE}"
        else:
            raise
        if "--debug" in (sys.argv if argv is None else argv):
            traceback.print_exc()
        print(f"error: {printable(message)}", file=sys.stderr)
        return 2


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ ", did you mean 'Adam'?" if a known name is near, else nothing."""
    by_lower_case = {option.lower(): option for option in known}
    nearest = difflib.get_close_matches(name[:60].lower(), by_lower_case, n=1)
    return f", did you mean {by_lower_case[nearest[0]]!r}?" if nearest else ""


def in_json(value: Any, length: int = 60) -> str:
    """A value as a config has it, cut if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def printable(text: str) -> str:
    """A text as a terminal may show it: what would steer the terminal is escaped, a very long line is cut."""
    lines = [line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}..." for line in text.split("\n")]
    return "\n".join(map(escape, lines))


def escape(text: str) -> str:
    """A text on one line, whatever it holds: a line end becomes \\n, an escape character \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
