"""Checkpoint files: tensors and plain values only, written whole or not at all, checked before they are used."""

import logging
import math
import re
import shutil
from collections import Counter, OrderedDict
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn

from utils.checkpoint.safe_load import PLAIN, find_damage, load_plain
from utils.errors import UserError, escape, printable
from utils.files import write_atomically

MAX_EPOCHS = 10_000_000
MAX_THREADS = 1024
KEYS = ("model", "optimizer", "lr_scheduler", "config")


def _is_count(value: Any, maximum: int = 2**53) -> bool:
    return type(value) is int and 0 <= value <= maximum


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_weights(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(weight, torch.Tensor) for weight in value.values())


CONTENT = {
    "model": _is_weights,
    "ema": _is_weights,
    "optimizer": lambda v: isinstance(v, dict),
    "config": lambda v: isinstance(v, dict) and all(isinstance(key, str) for key in v),
    "epoch": lambda v: _is_count(v, MAX_EPOCHS),
    "batch": _is_count,
    "step": _is_count,
    "lr": lambda v: v is None or _is_number(v),
    "best": lambda v: v is None or _is_number(v),
    "epochs_since_best": _is_count,
    "part_size": lambda v: v is None or (_is_count(v) and v > 0),
    "threads": lambda v: v is None or _is_count(v, MAX_THREADS),
}
logger = logging.getLogger(__name__)


def snapshot(value: Any) -> Any:
    """A deep copy of a state on the CPU, which later steps do not change.

    Raises TypeError, naming the place, for what `torch.load(..., weights_only=True)` would refuse to load.
    """
    with torch.no_grad():
        return _copy(value)


def _copy(value: Any) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    if isinstance(value, torch.Tensor):
        return value.clone() if value.is_cpu else value.cpu()
    if kind is dict or kind is OrderedDict:
        copy = {}
        for key, item in value.items():
            try:
                copy[key] = item if type(item) in PLAIN else _copy(item)
            except TypeError as error:
                raise TypeError(f"{key}.{error}") from None
        return copy
    if kind is list or kind is tuple:
        return kind([item if type(item) in PLAIN else _copy(item) for item in value])
    if kind is Counter:  # MultiStepLR's milestones
        return Counter(value)
    raise TypeError(f"a {kind.__name__} cannot be kept: a checkpoint holds tensors and plain values only")


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a snapshot. At every instant `path` is the old file or the new one, never a part of one."""
    try:
        write_atomically(path, lambda file: torch.save(state, file))
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch's message says nothing of the full disk
            raise error.__context__ from None
        raise


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy a checkpoint, as atomically as it is saved."""

    def copy(file: IO[bytes]) -> None:
        with source.open("rb") as original:
            shutil.copyfileobj(original, file, length=1 << 20)

    write_atomically(target, copy)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU. Raises UserError when it is missing, damaged or something else."""
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    damage = find_damage(path)
    if damage:
        raise UserError(f"{path} is damaged or not a checkpoint: {damage}")
    checkpoint = load_plain(path)
    missing = [key for key in KEYS if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise UserError(f"{path} is not a checkpoint of this template: it has no {', '.join(missing)}")
    wrong = [key for key, is_right in CONTENT.items() if key in checkpoint and not is_right(checkpoint[key])]
    if wrong:
        raise UserError(f"{path} is not a checkpoint of this template: its {', '.join(wrong)} cannot be right")
    return checkpoint


def open_checkpoint(path: Path, prefer_best: bool = False) -> tuple[Path, dict[str, Any]]:
    """Load a checkpoint, or of a run's folder the newest valid one (`prefer_best`: the best one, where there is one).

    Returns the file's path and its content. Raises UserError when there is none.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    candidates = _newest_first(path)
    candidates.sort(key=lambda p: (p.name == "model_best.pth") != prefer_best)
    for candidate in candidates:
        try:
            return candidate, load_checkpoint(candidate)
        except UserError as error:
            logger.warning("%s; trying another of the run", printable(str(error)))
    raise UserError(f"{path} holds no {'valid ' if candidates else ''}checkpoint (checkpoint-*.pth or model_best.pth)")


def load_model(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Load weights into a model. Raises UserError, naming the keys that differ, for another architecture."""
    own = model.state_dict()
    faults = [f"{key} is missing" for key in own if key not in state]
    faults += [f"{escape(str(key)[:100])} is not in the model" for key in state if key not in own]
    faults += [
        f"{key} is {list(state[key].shape)}, the model's is {list(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise UserError(f"the checkpoint is from another architecture: {'; '.join(faults[:5])}{more}")
    model.load_state_dict(dict(state))  # without what an OrderedDict may bear besides


def trained_weights(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The weights to evaluate or export: the moving average, where the run kept one (trainer.ema)."""
    return checkpoint.get("ema", checkpoint["model"])


def _newest_first(run_dir: Path) -> list[Path]:
    """checkpoint-last.pth, then checkpoint-epoch<N>.pth from the highest N down, then model_best.pth."""

    def age(path: Path) -> float:
        epoch = re.fullmatch(r"checkpoint-epoch(\d+)\.pth", path.name)
        return -int(epoch[1]) if epoch else {"checkpoint-last.pth": float("-inf")}.get(path.name, 1)

    return sorted([*run_dir.glob("checkpoint-*.pth"), *run_dir.glob("model_best.pth")], key=age)
