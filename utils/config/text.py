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
    """Strict JSON. Raises ValueError, also for what Python would take: see below."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        [(key, count)] = Counter(key for key, _ in pairs).most_common(1) or [("", 0)]
        if count > 1:
            raise ValueError(f"the key {key[:60]!r} stands twice in one object")
        return dict(pairs)

    def finite(number: str) -> float:
        if not math.isfinite(float(number)):
            raise ValueError(f"{number[:60]} is not a finite number")
        return float(number)

    def small(digits: str) -> int:
        if not -(2**63) <= int(digits) < 2**63:
            raise ValueError(f"{digits[:20]}, of {len(digits)} digits, does not fit into 64 bits")
        return int(digits)

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
        try:
            value = parse_json(text)
        except ValueError:
            value = text
        *parents, last = path.split(".")
        place: Any = config
        for key in parents:
            place = place[_key(place, key, path, may_be_new=key in ("args", "trainer"))]
        place[_key(place, last, path, may_be_new=True)] = value


def _key(place: Any, name: str, path: str, may_be_new: bool) -> str | int:
    """`name` as a key of a dict, or an index of a list. Raises ConfigError if there is no such place."""
    if isinstance(place, dict) and may_be_new:
        place.setdefault(name, {})
    known = place if isinstance(place, dict) else [str(i) for i in range(len(place))] if isinstance(place, list) else ()
    if name not in known:
        raise ConfigError("-s", [f"{path}: nothing stands at {name!r}{did_you_mean(name, known)}"])
    return int(name) if isinstance(place, list) else name
