"""What a config may say: its keys, the code it names, its text. Imports no torch, so that a fault is told at once."""

from utils.config import catalog
from utils.config.check import complete, find_faults
from utils.config.keys import (
    FOLDER_NAME,
    KEYS,
    MAX_EPOCHS,
    MAX_THREADS,
    NOT_FOR_TRAINER,
    OBJECTS,
    TRAINER,
    Object,
    check_options,
    is_folder_name,
)
from utils.config.text import apply_settings, as_json, parse_json, read_json

__all__ = [
    "FOLDER_NAME",
    "KEYS",
    "MAX_EPOCHS",
    "MAX_THREADS",
    "NOT_FOR_TRAINER",
    "OBJECTS",
    "TRAINER",
    "Object",
    "apply_settings",
    "as_json",
    "catalog",
    "check_options",
    "complete",
    "find_faults",
    "is_folder_name",
    "parse_json",
    "read_json",
]
