"""A config as text: a JSON file, and settings on the command line."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from utils.errors import ConfigError, did_you_mean

# Far beyond any config, so that a hostile one is refused before it costs time.
MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 32


def parse_json(text: str) -> Any:
    """Strict JSON. Raises ValueError.

    Refuses also duplicate keys, NaN, numbers that a float64 or an int64 cannot hold, text that UTF-8 cannot, and what
    no config needs: more than a million characters, or more than 32 levels.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            repeated = min(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise ValueError(f"the key {repeated[:60]!r} stands twice in one object")
        return dict(pairs)

    def finite(text: str) -> float:
        if not math.isfinite(float(text)):
            raise ValueError(f"{text[:60]} is not a finite number")
        return float(text)

    def small(text: str) -> int:
        if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
            raise ValueError(f"{text[:20]}, of {len(text)} digits, does not fit into 64 bits")
        return int(text)

    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"longer than {MAX_CHARACTERS:,} characters")
    try:
        value = json.loads(text, object_pairs_hook=unique, parse_float=finite, parse_constant=finite, parse_int=small)
        if _depth(value) > MAX_DEPTH:
            raise RecursionError
        json.dumps(value, ensure_ascii=False).encode()  # "\\ud800" is half a character
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _depth(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)


def read_json(path: Path) -> dict[str, Any]:
    """Read a config file; a fault is a ConfigError with file, line and column."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            config = parse_json(file.read(MAX_CHARACTERS + 1))
    except FileNotFoundError:
        nearest = did_you_mean(path.name, [p.name for p in path.parent.glob("*.json")])
        raise ConfigError(str(path), [f"no such file{nearest}"]) from None
    except OSError as error:
        raise ConfigError(str(path), [error.strerror or str(error)]) from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}:{error.colno}", [f"not valid JSON: {error.msg}"]) from None
    except ValueError as error:
        raise ConfigError(str(path), [f"not valid JSON: {error}"]) from None
    if not isinstance(config, dict):
        raise ConfigError(str(path), ["a config is a JSON object: { ... }"])
    return config


def as_json(config: dict[str, Any], where: str) -> dict[str, Any]:
    """A copy of a config that did not come out of a JSON file, held to the same rules."""
    try:
        return parse_json(json.dumps(config))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(where, [f"a config is plain JSON, and this is not: {error}"]) from error


def apply_settings(config: dict[str, Any], settings: Iterable[str]) -> None:
    """Set nested keys in place: "optimizer.args.lr=0.01". A value is JSON; what is no JSON is taken as text."""
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not all(path.split(".")):
            raise ConfigError("-s", [f"{setting!r} is not KEY=VALUE, as in optimizer.args.lr=0.01"])
        try:
            value = parse_json(text)
        except ValueError:
            value = text
        _set(config, path, value)


def _set(config: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place: Any = config
    for depth, key in enumerate(parents):
        if isinstance(place, dict) and key in ("args", "trainer"):
            place.setdefault(key, {})
        place = _step(place, key, parents[:depth], path)
    if isinstance(place, list):
        _step(place, last, parents, path)
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise ConfigError("-s", [f"{path}: {'.'.join(parents)} is {json.dumps(place)}, which has no keys"])


def _step(place: Any, key: str, parents: list[str], path: str) -> Any:
    if isinstance(place, dict) and key in place:
        return place[key]
    if isinstance(place, list) and re.fullmatch("[0-9]{1,9}", key) and int(key) < len(place):
        return place[int(key)]
    where = ".".join(parents) or "the config"
    known = place if isinstance(place, dict) else range(len(place)) if isinstance(place, list) else ()
    nearest = did_you_mean(key, map(str, known))
    raise ConfigError("-s", [f"{path}: {where} has no {key!r}{nearest}"])
