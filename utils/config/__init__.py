"""What a config may say: its keys, the code it names, its text. Imports no torch, so that a fault is told at once."""

from utils.config.catalog import definitions
from utils.config.check import complete, find_faults
from utils.config.keys import KEYS, OBJECTS, all_keys, has_form
from utils.config.text import apply_settings, as_json, parse_json, read_json

__all__ = ["KEYS", "OBJECTS", "all_keys", "apply_settings", "as_json", "complete", "definitions", "find_faults",
           "has_form", "parse_json", "read_json"]  # fmt: skip
