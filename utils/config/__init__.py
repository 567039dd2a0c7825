"""What a config may say: its keys, the code it names, its text. Imports no torch, so that a fault is told at once."""

from utils.config.catalog import REQUIRED, Definition, Parameter, definitions
from utils.config.check import accepts, checked
from utils.config.command_line import make_parser, parse_args
from utils.config.keys import LAYER_KEYS, NOT_FROM_JSON, OBJECTS, RANGES, RUN_KEYS, TOP, named, trainer_keys
from utils.config.text import apply_settings, as_json, parse_json, read_json

__all__ = ["LAYER_KEYS", "NOT_FROM_JSON", "OBJECTS", "RANGES", "REQUIRED", "RUN_KEYS", "TOP", "Definition", "Parameter",
           "accepts", "apply_settings", "as_json", "checked", "definitions", "make_parser", "named",
           "parse_args", "parse_json", "read_json", "trainer_keys"]  # fmt: skip
