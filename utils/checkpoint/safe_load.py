"""A file of torch that may be damaged or a stranger's: looked at before its content is used."""

import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import torch

from utils.errors import UserError

PLAIN = {bool, int, float, str, bytes, type(None)}
MAX_DEPTH = 40  # of dicts and lists in each other, far beyond any state
MAX_SHARING = 4  # bytes of its tensors per byte of the file; two tied weights take 2
MARKED_AS_FOLDER = 0x10  # the bit of a zip record by which torch's reader takes it for one


def find_damage(path: Path) -> str | None:
    """What is wrong with the zip archive that torch.save wrote: every record carries a checksum.

    torch.save compresses nothing and keeps records apart, so that an archive whose records are together larger than
    the file is a bomb; it is not opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            if sum(record.file_size for record in records) > path.stat().st_size:
                return "its records are larger than the file"
            if any(record.external_attr & MARKED_AS_FOLDER for record in records):
                return "a record is marked as a folder"  # torch would leave its tensor unread and say nothing
            record = archive.testzip()
    except Exception as error:  # a hostile or damaged file makes zipfile raise many kinds
        return str(error) or type(error).__name__
    return f"the checksum of {record} does not match" if record else None


def load_plain(path: Path) -> Any:
    """What torch has saved in a file, onto the CPU. Raises UserError unless it is tensors and plain values only."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        _refuse_foreign(content, path.stat().st_size)
    except Exception as error:  # whatever a hostile or damaged file causes; torch's advice would be to trust it
        raise UserError(f"{path} cannot be loaded safely, as tensors and plain values only") from error
    return content


def _refuse_foreign(content: Any, file_size: int) -> None:
    """Raise ValueError for what `snapshot` does not make, and for more than the file has room for.

    Every value that `snapshot` makes takes a byte or more, but a hostile file can hold one list in the next, twice each
    time, and one number as a tensor of a terabyte.
    """
    waiting, n_values, n_bytes = [(content, 1)], 0, 0
    while waiting:
        value, depth = waiting.pop()
        kind = type(value)
        n_values += 1
        if kind in (dict, OrderedDict, Counter):
            children = [*value.keys(), *value.values()]
        elif kind in (list, tuple):
            children = value
        elif isinstance(value, torch.Tensor):
            if value.layout != torch.strided or value.is_meta or value.is_quantized or value.is_nested:
                raise ValueError(f"a tensor of a special kind: {value.layout}, {value.dtype}, {value.device}")
            n_bytes += value.nbytes
            children = ()
        elif kind in PLAIN:
            children = ()
        else:
            raise ValueError(f"a {kind.__name__}")
        if n_values + len(waiting) + len(children) > file_size or n_bytes > MAX_SHARING * file_size:
            raise ValueError("it holds more than there is in the file")
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        waiting += [(child, depth + 1) for child in children]
