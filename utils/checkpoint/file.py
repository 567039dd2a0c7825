"""Checkpoint files: tensors and plain values only, written whole or not at all, checked before they are used."""

import logging
import shutil
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from torch import Tensor

from utils.checkpoint.state import PLAIN
from utils.errors import UserError, did_you_mean, has_to_fit, printable
from utils.files import write_atomically
from utils.parallel import joined

KINDS = {"model": dict, "optimizer": dict, "lr_scheduler": (dict, NoneType), "config": dict,
         "epoch": int, "step": int, "ema": dict, "data": dict, "n_parts": int}  # fmt: skip
OPTIONAL = {"epoch": 0, "step": 0, "ema": {}, "data": {}, "n_parts": 1}  # a checkpoint to test from needs none of these
BEST, LAST = "model_best.pth", "checkpoint-last.pth"
MAX_DEPTH = 40  # of dicts and lists in each other, far beyond any state
MAX_SHARING = 4  # bytes of its tensors per byte of the file; two tied weights take 2
MARKED_AS_FOLDER = 0x10  # in a zip record; torch would not read its tensor

logger = logging.getLogger(__name__)


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a snapshot. At every instant `path` is the old file or the new one, never a piece of one."""
    try:
        write_atomically(path, lambda file: torch.save(state, file))
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch's message says nothing of the full disk
            raise error.__context__ from None
        raise
    if "n_parts" not in state:
        shutil.rmtree(parts_of(path), ignore_errors=True)  # of the old file


def parts_of(path: Path) -> Path:
    """The folder with what processes other than the first have saved of a checkpoint (trainer.sharded_checkpoints)."""
    return path.with_name(f"{path.name}.parts")


def part_files(path: Path, step: int, n_parts: int) -> list[Path]:
    return [parts_of(path) / f"{step}-{number}-of-{n_parts}.pth" for number in range(1, min(n_parts, 100_000))]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU. Raises UserError when it is missing, damaged or something else."""
    content = load_plain(path)
    values = OPTIONAL | content if isinstance(content, dict) else {}
    if wrong := [key for key, kind in KINDS.items() if not isinstance(values.get(key, ...), kind)]:
        raise UserError(f"{path} is not a checkpoint of this template: it has no {', '.join(wrong)} of the right kind")
    parts = [load_plain(file, mmap=True) for file in part_files(path, values["step"], values["n_parts"])]
    with has_to_fit():
        content = _with_rows(content, parts)
        return content | {"model": {name: joined(rows) for name, rows in content["model"].items()}}


def _with_rows(state: Any, parts: list[Any]) -> Any:
    """A state in which each tensor that is a list of one process's rows has those of all, in the order of the ranks."""
    if isinstance(state, dict):
        return {key: _with_rows(value, [part[key] for part in parts if key in part]) for key, value in state.items()}
    is_rows = isinstance(state, list) and all(isinstance(rows, Tensor) for rows in state)
    return sum(parts, state) if is_rows else state


def open_checkpoint(path: Path, prefer_best: bool = False) -> tuple[Path, dict[str, Any]]:
    """Load a checkpoint, or of a run's folder the last (`prefer_best`: the best), else the newest that is intact."""
    if not path.is_dir():
        return path, load_checkpoint(path)
    preferred = [path / BEST, path / LAST] if prefer_best else [path / LAST]
    others = sorted({*path.glob("checkpoint-epoch*.pth"), path / BEST}.difference(preferred))
    found = next(intact(preferred), None)
    found = found or max(intact(others), key=lambda file: file[1].get("step", 0), default=None)
    if found is None:
        raise UserError(f"{path} holds no checkpoint (checkpoint-*.pth or {BEST}) that is intact")
    return found


def intact(files: list[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Those of some files that can be loaded, one after the other, with their content."""
    for file in filter(Path.exists, files):
        try:
            yield file, load_checkpoint(file)
        except UserError as error:
            logger.warning("%s; it is not used", printable(str(error)))  # logging may not be set up yet


def load_plain(path: Path, mmap: bool = False) -> Any:
    """What torch has saved in a file. Raises UserError if it is damaged, or holds more than tensors and values."""
    if not path.is_file():
        others = {file.name for file in path.parent.glob("*")} - {path.name}
        raise UserError(f"{path}: no such checkpoint{did_you_mean(path.name, others)}")
    try:
        _check_archive(path)
    except Exception as error:  # zipfile raises many kinds
        raise UserError(f"{path} is damaged or not a checkpoint: {str(error) or type(error).__name__}") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        _refuse_foreign(content, path.stat().st_size)
    except Exception as error:  # whatever a hostile file causes; torch's advice would be to trust it
        raise UserError(f"{path} cannot be loaded safely, as tensors and plain values only") from error
    return content


def _check_archive(path: Path) -> None:
    """Raise an error unless a file is an intact zip archive, uncompressed, as torch.save writes it."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        is_at_start = any(record.header_offset == 0 for record in records)  # torch goes by how a file begins
        is_bomb = sum(record.file_size for record in records) > path.stat().st_size
        if not is_at_start or is_bomb or any(record.external_attr & MARKED_AS_FOLDER for record in records):
            raise ValueError("torch.save writes no such archive")
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} does not match")


def _refuse_foreign(content: Any, size: int) -> None:
    """Raise ValueError for what `snapshot` does not make, and for more than a file of `size` bytes has room for."""
    waiting = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        size -= 1
        if type(value) in (dict, OrderedDict, Counter):
            waiting += [(part, depth + 1) for part in (*value.keys(), *value.values())]
        elif type(value) in (list, tuple):
            waiting += [(part, depth + 1) for part in value]
        elif isinstance(value, Tensor) and value.layout == torch.strided:
            size -= value.nbytes // MAX_SHARING
        elif type(value) not in PLAIN:
            raise ValueError(f"a {type(value).__name__}")
        if size < 0 or depth > MAX_DEPTH:
            raise ValueError("it holds more than there is in the file")
