"""Files that are written whole or not at all."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Let `write(file)` fill a file. At every instant `path` is the old file or the whole new one, also on disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:  # a file of its own, not what a link of this name may lead to
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)  # one for a full disk names no file
        raise
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the rename itself is on disk only once its folder is
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write indented JSON. What is no UTF-8, as a path on the command line may be, becomes JSON's own escape."""
    text = json.dumps(content, indent=4, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode(errors="backslashreplace")))
