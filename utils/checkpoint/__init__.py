"""Checkpoint files: written whole or not at all, checked before they are used, resumed with a changed config."""

from utils.checkpoint.file import (
    copy_checkpoint,
    load_checkpoint,
    load_model,
    open_checkpoint,
    save_checkpoint,
    snapshot,
    trained_weights,
)
from utils.checkpoint.resume import changes_schedule, differences, take_over_changes
from utils.checkpoint.safe_load import load_plain
from utils.checkpoint.writer import CheckpointWriter

__all__ = [
    "CheckpointWriter",
    "changes_schedule",
    "copy_checkpoint",
    "differences",
    "load_checkpoint",
    "load_model",
    "load_plain",
    "open_checkpoint",
    "save_checkpoint",
    "snapshot",
    "take_over_changes",
    "trained_weights",
]
