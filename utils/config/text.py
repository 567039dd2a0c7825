"""A config as text: a JSON file, and settings on the command line."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from utils.errors import ConfigError, did_you_mean

MAX_CHARACTERS = 1_000_000  # far beyond any config, so that a hostile one is refused before it costs time
MAX_DEPTH = 32


def parse_json(text: str) -> Any:
    """Strict JSON. Raises ValueError, also for what Python's json accepts: see `_unique` and `_check`."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"longer than {MAX_CHARACTERS:,} characters")
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    pairs = [(key, value) for key, value in pairs if not key.startswith("_")]  # such as "_comment", for readers
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise ValueError(f"the key {key[:60]!r} stands twice in one object")
    return dict(pairs)


def _check(value: Any, depth: int = 1) -> None:
    """Refuse what can be read, but not be written as JSON again or be computed with."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        value.encode()  # "\\ud800" is half a character
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{json.dumps(value)} is not a finite number")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{str(value)[:20]}... does not fit into 64 bits")
    elif isinstance(value, dict | list):
        for child in value if isinstance(value, list) else [*value, *value.values()]:
            _check(child, depth + 1)


def read_json(path: Path) -> dict[str, Any]:
    """Read a config file; a fault is a ConfigError with file, line and column."""
    where, fault = str(path), "a config is a JSON object: { ... }"
    try:
        with path.open(encoding="utf-8-sig") as file:
            config = parse_json(file.read(MAX_CHARACTERS + 1))
        if isinstance(config, dict):
            return config
    except FileNotFoundError:
        fault = "no such file" + did_you_mean(path.name, [p.name for p in path.parent.glob("*.json")])
    except OSError as error:
        fault = error.strerror or str(error)
    except json.JSONDecodeError as error:
        where, fault = f"{path}:{error.lineno}:{error.colno}", f"not valid JSON: {error.msg}"
    except ValueError as error:
        fault = f"not valid JSON: {error}"
    raise ConfigError(where, [fault])


def as_json(config: Any, where: str) -> dict[str, Any]:
    """A copy of a config that did not come out of a JSON file, held to the same rules."""
    try:
        return parse_json(json.dumps(config))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(where, [f"a config is plain JSON, and this is not: {error}"]) from error


def apply_settings(config: dict[str, Any], settings: Iterable[str]) -> None:
    """Set nested keys in place: "optimizer.args.lr=0.01". A value is JSON; what is no JSON is taken as text."""
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError("-s", [f"{setting!r} is not KEY=VALUE, as in optimizer.args.lr=0.01"])
        try:
            value = parse_json(text)
        except ValueError:
            value = text
        *parents, last = path.split(".")
        place: Any = config
        for key in parents:  # a mistyped one is made here, and is an unknown key when the config is checked
            place = _step(place, key)
        if isinstance(place, list) and last in map(str, range(len(place))):
            place[int(last)] = value
        elif isinstance(place, dict):
            place[last] = value
        else:
            raise ConfigError("-s", [f"{path}: there is no object that could hold {last!r}"])


def _step(place: Any, key: str) -> Any:
    if isinstance(place, list) and key in map(str, range(len(place))):
        return place[int(key)]
    return place.setdefault(key, {}) if isinstance(place, dict) else None
