"""Whatever stands in a config or behind -s: a ConfigError, or a config that is right. Nothing else, and at once.

HYPOTHESIS_PROFILE=long pytest tests/hostile/test_fuzz.py        100,000 inputs, by hand
"""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parse_config import ConfigParser
from utils.config import apply_settings, checked, parse_json, read_json
from utils.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[2]
CONFIGS = [json.loads(path.read_text()) for path in sorted(PROJECT.glob("configs/*.json"))]
STRANGE = [
    "",
    "__class__",
    "os.system",
    "../x",
    "\x00",
    "\x1b[2J",
    "\ud800",
    "가",
    "NaN",
    "1e999",
    "0.",
    "args",
    "type",
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1, 2**31, 2**63, -(2**64), 10**400])
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(STRANGE)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of every key and index in nested dicts and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, child in items for place in ((*path, key), *places(child, (*path, key)))]


@st.composite
def mutated_configs(draw: st.DrawFn) -> dict[str, Any]:
    """One of the own configs after a few changes: a value set, moved, removed, or put in beside the others."""
    config = copy.deepcopy(draw(st.sampled_from(CONFIGS)))
    for _ in range(draw(st.integers(1, 4))):
        known = places(config)
        if not known:
            break
        *parents, last = draw(st.sampled_from(known))
        place = config
        for key in parents:
            place = place[key]
        match draw(st.sampled_from(["set", "move", "remove", "add"])):
            case "set":
                place[last] = draw(VALUES)
            case "move":
                other = config
                for key in draw(st.sampled_from(known)):
                    other = other[key]
                place[last] = copy.deepcopy(other)
            case "remove":
                del place[last]
            case "add" if isinstance(place, dict):
                place[draw(st.text(max_size=8) | st.sampled_from(STRANGE))] = draw(VALUES)
            case "add":
                place.insert(last, draw(VALUES))
    return config


@given(st.text(max_size=200) | VALUES.map(json.dumps) | mutated_configs().map(json.dumps))
def test_json_text_is_read_or_refused(text):
    try:
        value = parse_json(text)
    except ValueError:
        return
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_a_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "config.json"
    path.write_bytes(content)
    try:
        assert isinstance(read_json(path), dict)
    except ConfigError as error:
        assert str(error).startswith(str(path))


SETTINGS = st.text(max_size=60) | st.builds(
    "{}={}".format,
    st.sampled_from([".".join(map(str, place)) for config in CONFIGS for place in places(config)])
    | st.lists(st.sampled_from(["arch", "args", "metrics", "trainer", "0", "9" * 5000, "٣", *STRANGE])).map(".".join),
    VALUES.map(json.dumps) | st.text(max_size=20),
)


@given(mutated_configs() | st.sampled_from(CONFIGS), st.lists(SETTINGS, max_size=4))
def test_settings_are_applied_or_refused(config, settings):
    config = copy.deepcopy(config)
    try:
        apply_settings(config, settings)
    except ConfigError:
        return
    check(config)


@given(mutated_configs())
def test_a_config_that_has_gone_wrong_is_right_or_refused(config):
    check(config)


@given(st.dictionaries(st.sampled_from([*CONFIGS[0], "x"]), VALUES))
def test_a_config_of_anything_is_right_or_refused(config):
    check(config)


def check(config: dict[str, Any]) -> None:
    """ConfigParser refuses with all faults, each on one line, or what it holds is right and can be written."""
    try:
        parser = ConfigParser(config, "here")
    except ConfigError as error:
        assert str(error).startswith("here")
        return
    assert checked(parser.config, "here") == parser.config
    json.dumps(parser.config, allow_nan=False, ensure_ascii=False).encode()
    assert math.isfinite(parser["trainer"]["epochs"])


@pytest.mark.parametrize("text", ["[" * n + "]" * n for n in (33, 400, 990, 5000, 100_000)])
def test_every_depth_beyond_the_limit_is_refused(text):
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(text)


@pytest.mark.parametrize("n", [1, 30, 33, 300, 3000])
def test_a_dict_of_every_depth_is_right_or_refused(n):
    value: Any = 1
    for _ in range(n):
        value = {"a": value}
    config = copy.deepcopy(CONFIGS[0])
    config["arch"]["args"]["x"] = value
    with pytest.raises(ConfigError):
        ConfigParser(config)
