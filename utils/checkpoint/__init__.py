"""Checkpoints: written whole or not at all, checked before they are used, resumed with a changed config."""

from utils.checkpoint.file import load_checkpoint, load_plain, open_checkpoint, part_files, save_checkpoint
from utils.checkpoint.resume import changes_schedule, differences, take_over_changes
from utils.checkpoint.state import load_model, load_numbers, load_states, snapshot, states_of, trained_weights
from utils.checkpoint.writer import CheckpointWriter

__all__ = [
    "CheckpointWriter", "changes_schedule", "differences", "load_checkpoint", "load_model", "load_numbers",
    "load_plain", "load_states", "open_checkpoint", "part_files", "save_checkpoint", "snapshot", "states_of",
    "take_over_changes", "trained_weights",
]  # fmt: skip
