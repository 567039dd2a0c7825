"""A config as text: a JSON file, and settings on the command line."""

import json
import math
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
            [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
            raise ValueError(f"the key {key[:60]!r} stands twice in one object")
        return dict(pairs)

    def finite(text: str) -> float:
        if not math.isfinite(float(text)):
            raise ValueError(f"{text[:60]} is not a finite number")
        return float(text)

    def small(text: str) -> int:
        if not -(2**63) <= int(text) < 2**63:
            raise ValueError(f"{text[:20]}, of {len(text)} digits, does not fit into 64 bits")
        return int(text)

    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"longer than {MAX_CHARACTERS:,} characters")
    try:
        value = json.loads(text, object_pairs_hook=unique, parse_float=finite, parse_constant=finite, parse_int=small)
        if _depth(value) > MAX_DEPTH:
            raise RecursionError
    except RecursionError:
        raise ValueError("nested too deeply") from None
    json.dumps(value, ensure_ascii=False).encode()  # "\\ud800" is half a character
    return value


def _depth(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)


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
        if not equals or not all(path.split(".")):
            raise ConfigError("-s", [f"{setting!r} is not KEY=VALUE, as in optimizer.args.lr=0.01"])
        *parents, last = path.split(".")
        place: Any = config
        for key in parents:
            if isinstance(place, dict) and key in ("args", "trainer"):  # a config may leave them out
                place.setdefault(key, {})
            place = place[_key(place, key, path)]
        if isinstance(place, dict):
            place[last] = None
        try:
            place[_key(place, last, path)] = parse_json(text)
        except ValueError:
            place[_key(place, last, path)] = text


def _key(place: Any, name: str, path: str) -> str | int:
    """`name` as a key of a dict or an index of a list. Raises ConfigError if there is none."""
    known = {str(i): i for i in range(len(place))} if isinstance(place, list) else {}
    known = {key: key for key in place} if isinstance(place, dict) else known
    if name not in known:
        raise ConfigError("-s", [f"{path}: nothing stands at {name!r}{did_you_mean(name, known)}"])
    return known[name]
