"""Checkpoint files: tensors and plain values only, written whole or not at all, checked before they are used."""

import logging
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.checkpoint.state import PLAIN
from utils.errors import UserError
from utils.files import write_atomically

KEYS = ("model", "optimizer", "lr_scheduler", "config")
BEST, LAST = "model_best.pth", "checkpoint-last.pth"
MAX_DEPTH = 40  # of dicts and lists in each other, far beyond any state
MAX_SHARING = 4  # bytes of its tensors per byte of the file; two tied weights take 2
MARKED_AS_FOLDER = 0x10  # the bit of a zip record by which torch's reader takes it for one

logger = logging.getLogger(__name__)


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a snapshot. At every instant `path` is the old file or the new one, never a part of one."""
    try:
        write_atomically(path, lambda file: torch.save(state, file))
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch's message says nothing of the full disk
            raise error.__context__ from None
        raise


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU. Raises UserError when it is missing, damaged or something else."""
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    checkpoint = load_plain(path)
    missing = [key for key in KEYS if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise UserError(f"{path} is not a checkpoint of this template: it has no {', '.join(missing)}")
    wrong = [key for key in ("model", "optimizer", "config") if not isinstance(checkpoint[key], dict)]
    if wrong:
        raise UserError(f"{path} is not a checkpoint of this template: its {', '.join(wrong)} cannot be right")
    return checkpoint


def open_checkpoint(path: Path, prefer_best: bool = False) -> tuple[Path, dict[str, Any]]:
    """Load a checkpoint, or of a run's folder the newest intact one (`prefer_best`: the best, where there is one).

    Returns the file's path and its content. Raises UserError when there is none.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    preferred = [path / name for name in ((BEST, LAST) if prefer_best else (LAST,)) if (path / name).exists()]
    others = {*path.glob("checkpoint-epoch*.pth"), *path.glob(BEST)} - set(preferred)
    for file in preferred:
        checkpoint = load_if_intact(file)
        if checkpoint is not None:
            return file, checkpoint
    found = {file: checkpoint for file in sorted(others) if (checkpoint := load_if_intact(file)) is not None}
    if not found:
        what = "valid " if preferred or others else ""
        raise UserError(f"{path} holds no {what}checkpoint (checkpoint-*.pth or {BEST})")
    newest = max(found, key=lambda file: (found[file].get("step", 0), file.name != BEST))
    return newest, found[newest]


def load_if_intact(path: Path) -> dict[str, Any] | None:
    try:
        return load_checkpoint(path)
    except UserError as error:
        logger.warning("%s; trying another of the run", error)
        return None


def trained_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The weights to evaluate or export: the moving average, where the run kept one (trainer.ema)."""
    average = checkpoint.get("ema") or {}
    return {name.removeprefix("module."): weight for name, weight in average.items() if name != "n_averaged"} or (
        checkpoint["model"]
    )


# ---------------------------------------------------------------------------- files that may be damaged or a stranger's


def load_plain(path: Path) -> Any:
    """What torch has saved in a file, onto the CPU.

    Raises UserError if the file is damaged, or holds anything but tensors and plain values.
    """
    damage = find_damage(path)
    if damage:
        raise UserError(f"{path} is damaged or not a checkpoint: {damage}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        _refuse_foreign(content, path.stat().st_size)
    except Exception as error:  # whatever a hostile or damaged file causes; torch's advice would be to trust it
        raise UserError(f"{path} cannot be loaded safely, as tensors and plain values only") from error
    return content


def find_damage(path: Path) -> str | None:
    """What is wrong with the zip archive that torch.save wrote: every record carries a checksum.

    torch.save compresses nothing and keeps records apart, so that an archive whose records are together larger than
    the file is a bomb; it is not opened.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            file.seek(0)
            if file.read(4) != b"PK\3\4":  # torch would take it for its old format, and zipfile for what it ends with
                return "it is no zip archive"
            records = archive.infolist()
            if sum(record.file_size for record in records) > path.stat().st_size:
                return "its records are larger than the file"
            if any(record.external_attr & MARKED_AS_FOLDER for record in records):
                return "a record is marked as a folder"  # torch would leave its tensor unread and say nothing
            record = archive.testzip()
    except Exception as error:  # a hostile or damaged file makes zipfile raise many kinds
        return str(error) or type(error).__name__
    return f"the checksum of {record} does not match" if record else None


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
        children: list[Any] = []
        if kind in (dict, OrderedDict, Counter):
            children = [*value.keys(), *value.values()]
        elif kind in (list, tuple):
            children = list(value)
        elif isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized:
            n_bytes += value.nbytes
        elif kind not in PLAIN:
            raise ValueError(f"a {kind.__name__}")
        if n_values + len(waiting) + len(children) > file_size or n_bytes > MAX_SHARING * file_size:
            raise ValueError("it holds more than there is in the file")
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        waiting += [(child, depth + 1) for child in children]
