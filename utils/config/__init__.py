"""What a config may say: its keys, the code it names, its text. Imports no torch, so that a fault is told at once."""

from utils.config.catalog import definitions
from utils.config.check import checked, complete, find_faults
from utils.config.keys import OBJECTS, RUN_KEYS, TOP, has_form, trainer_keys
from utils.config.text import apply_settings, as_json, parse_json, read_json

__all__ = ["OBJECTS", "RUN_KEYS", "TOP", "apply_settings", "as_json", "checked", "complete", "definitions",
           "find_faults", "has_form", "parse_json", "read_json", "trainer_keys"]  # fmt: skip
