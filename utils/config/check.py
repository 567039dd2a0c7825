"""Is this config right? Every fault at once, before torch is imported and before anything is built.

Works on a plain dict. Types are looked up only in the packages that OBJECTS lists, and read there as source text.
"""

import copy
import json
from collections import Counter
from typing import Any

from utils.config import catalog
from utils.config.keys import (
    KEYS,
    LOG_COLUMNS,
    NOT_FOR_TRAINER,
    NOT_FROM_JSON,
    OBJECTS,
    RANGES,
    REQUIRED,
    TRAINER,
    Key,
    Object,
)
from utils.errors import did_you_mean, escape

MISSING = object()
AT_EVERY_ENTRY = ("trainer.type", "trainer.args")
SECTIONS = [*OBJECTS, *(key for key in KEYS if "." not in key), "trainer"]
TRAINER_KEYS = [key.removeprefix("trainer.") for key in KEYS if key.startswith("trainer.")]


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """A copy with every default filled in."""
    config = copy.deepcopy(config)
    for key, entry in (KEYS | OBJECTS).items():
        *section, last = key.split(".")
        place = config.setdefault(section[0], {}) if section else config
        if isinstance(place, dict) and entry.default is not REQUIRED:
            place.setdefault(last, copy.deepcopy(entry.default))
    return config


def find_faults(config: dict[str, Any]) -> list[str]:
    """Every fault of a complete config, each a line: the key's path, what is wrong, what is right."""
    places = _places(config)
    faults = _unknown_keys("", config, SECTIONS, places)
    if not isinstance(config["trainer"], dict):
        faults.append(f"trainer: {_show(config['trainer'])} is not an object")
        config = config | {"trainer": complete({})["trainer"] | {"epochs": 1}}
    faults += _unknown_keys("trainer.", config["trainer"], TRAINER_KEYS, places)
    for path, key in KEYS.items():
        faults += _check_value(path, key, _value_at(path, config))
    for path, expected in OBJECTS.items():
        faults += _check_entry(path, config.get(path, MISSING), expected)
    for path, key in RANGES.items():
        value = _value_at(path, config)
        faults += [] if value is MISSING else _check_value(path, key, value)
    faults += _check_trainer(config["trainer"])
    return faults + _check_monitor(config)


def _value_at(path: str, config: Any) -> Any:
    """What stands at a dotted path; MISSING if there is nothing."""
    for key in path.split("."):
        config = config.get(key, MISSING) if isinstance(config, dict) else MISSING
    return config


def _check_value(path: str, key: Key, value: Any) -> list[str]:
    if value is MISSING:
        return [f"{path}: missing; it needs {key.accepted}"]
    return [] if key.test(value) else [f"{path}: {_show(value)} is not {key.accepted}"]


def _check_entry(path: str, entry: Any, expected: Object) -> list[str]:
    """The faults of one of the OBJECTS."""
    if entry is MISSING:
        return [f'{path}: missing; it needs {{"type": ..., "args": {{...}}}}']
    if entry is None and expected.default is None:
        return []
    return _check_metrics(entry, expected) if path == "metrics" else _check_object(path, entry, expected)


def _check_metrics(metrics: Any, expected: Object) -> list[str]:
    if not isinstance(metrics, list):
        return [f"metrics: {_show(metrics)} is not a list of names"]
    faults = []
    for i, metric in enumerate(metrics):
        faults += _check_object(f"metrics.{i}", metric, expected)
    names = Counter(metric_names(metrics))
    taken = [name for name in names if name in LOG_COLUMNS or name.startswith("val_")]
    faults += [f"metrics: {name[:60]!r} is a column of the log already; rename the function" for name in taken]
    faults += [f"metrics: {name[:60]!r} stands twice, and names one column" for name in names if names[name] > 1]
    return faults


def metric_names(metrics: list[Any]) -> list[str]:
    """The names under which a config's metrics are logged."""
    return [str(metric["type"] if isinstance(metric, dict) and "type" in metric else metric) for metric in metrics]


def _check_object(path: str, entry: Any, expected: Object) -> list[str]:
    if isinstance(entry, str) and expected.plain_name:
        entry = {"type": entry}
    if not isinstance(entry, dict):
        form = 'a name or {"type": ..., "args": {...}}' if expected.plain_name else '{"type": ..., "args": {...}}'
        return [f"{path}: {_show(entry)} is not {form}"]
    faults = _unknown_keys(f"{path}.", entry, ["type", "args"], _argument_places(path, entry, expected))
    arguments = entry.get("args", {})
    if not isinstance(arguments, dict):
        faults.append(f"{path}.args: {_show(arguments)} is not an object")
    if not isinstance(entry.get("type"), str):
        return [*faults, f"{path}.type: {'missing' if 'type' not in entry else _show(entry['type'])}; it needs a name"]
    faults += _check_type(f"{path}.type", entry["type"], expected)
    if not faults:
        definition = catalog.definitions(expected.package)[entry["type"]]
        parameters, is_open = definition.parameters
        # train.py and test.py give `training`
        parameters = [p for p in parameters[expected.n_given :] if p.name != "training"]
        faults += _check_arguments(f"{path}.args", definition.name, arguments, parameters, is_open)
        if path == "data_loader" and not definition.names_itself("training"):
            faults.append(f"{path}.type: {definition.name} must take `training` (False: the test split) and hand it on")
    return faults


def _check_type(path: str, name: str, expected: Object) -> list[str]:
    known = catalog.definitions(expected.package)
    valid = [n for n, definition in known.items() if n not in NOT_FROM_JSON and definition.is_a(expected.kind)]
    if name in valid:
        other = known[name].also_in
        return [f"{path}: {name} stands in {known[name].path.name} and in {other.name}; rename one"] if other else []
    what = "cannot be described by a config" if name in NOT_FROM_JSON else "is unknown"
    if name in known and name not in NOT_FROM_JSON:
        what = f"is no {expected.kind}"
    return [f"{path}: {_show(name)} {what}{did_you_mean(name, valid)}; {expected.package} has {', '.join(valid)}"]


def _check_arguments(
    path: str, name: str, arguments: dict[str, Any], parameters: list[catalog.Parameter], is_open: bool
) -> list[str]:
    known = {parameter.name: parameter for parameter in parameters}
    faults = []
    if not is_open:
        sayable = [parameter.name for parameter in parameters if catalog.fits_json(parameter.annotation)]
        unknown = {argument: None for argument in arguments if argument not in known}
        faults = _unknown_keys(f"{path}.", unknown, sayable, what=f"argument of {name}")
    for parameter in parameters:
        place, value = f"{path}.{parameter.name}", arguments.get(parameter.name, MISSING)
        if value is MISSING:
            faults += [f"{place}: missing; {name} needs it"] if parameter.required else []
        elif place in RANGES and not RANGES[place].test(value):
            continue  # its own message is clearer
        elif not catalog.accepts(parameter.annotation, value):
            faults.append(f"{place}: {_show(value)} is not {catalog.unparse(parameter.annotation)}")
    return faults


def _check_trainer(trainer: dict[str, Any]) -> list[str]:
    """The trainer's type, the arguments of its own in `args`, and whether it takes what the section's keys ask for."""
    name, arguments = trainer["type"], trainer["args"]
    if not (isinstance(name, str) and isinstance(arguments, dict)):
        return []
    faults = _check_type("trainer.type", name, TRAINER)
    if faults:
        return faults
    known = catalog.definitions(TRAINER.package)
    common = {parameter.name for parameter in known["Trainer"].parameters[0]}
    parameters, is_open = known[name].parameters
    own = [parameter for parameter in parameters if parameter.name not in common]
    faults = _check_arguments("trainer.args", name, arguments, own, is_open)
    accepted = {parameter.name for parameter in parameters}
    for key in TRAINER_KEYS:
        default = KEYS[f"trainer.{key}"].default
        if not is_open and key not in accepted and key not in NOT_FOR_TRAINER and trainer.get(key, default) != default:
            faults.append(f"trainer.{key}: {name} does not take it")
    return faults


def _check_monitor(config: dict[str, Any]) -> list[str]:
    """A monitored metric must be one that is logged. A project's own trainer may log others: only Trainer is judged."""
    trainer, metrics = config["trainer"], config["metrics"]
    if (
        trainer["type"] != "Trainer"
        or not isinstance(metrics, list)
        or not KEYS["trainer.monitor"].test(trainer["monitor"])
    ):
        return []
    logged = ["loss", *metric_names(metrics)]
    logged += [f"val_{name}" for name in logged]
    name = trainer["monitor"].split()[-1]
    if name == "off" or name in logged:
        return []
    return [f"trainer.monitor: {_show(name)} is not logged{did_you_mean(name, logged)}; logged are {', '.join(logged)}"]


def _unknown_keys(
    prefix: str, place: dict[str, Any], known: list[str], places: dict[str, str] | None = None, what: str = "key"
) -> list[str]:
    """places: where keys that are unknown here would be right."""
    faults = []
    for key in place:
        if key not in known:
            hint = f", did you mean {places[key]!r}?" if places and key in places else did_you_mean(key, known)
            all_known = ", ".join(known) or "none"
            faults.append(f"{prefix}{escape(key[:60])}: unknown {what}{hint}; known are {all_known}")
    return faults


def _places(config: dict[str, Any]) -> dict[str, str]:
    """Where the config's keys, and the arguments of the types it names, stand: "epochs" -> "trainer.epochs"."""
    places: dict[str, str] = {}
    for path, expected in reversed(OBJECTS.items()):
        places |= _argument_places(path, config.get(path), expected)
    return places | {key.removeprefix("trainer."): key for key in (*OBJECTS, *KEYS) if key not in AT_EVERY_ENTRY}


def _argument_places(path: str, entry: Any, expected: Object) -> dict[str, str]:
    name = entry.get("type") if isinstance(entry, dict) else None
    definition = catalog.definitions(expected.package).get(name) if isinstance(name, str) else None
    parameters = definition.parameters[0][expected.n_given :] if definition else []
    sayable = [p.name for p in parameters if catalog.fits_json(p.annotation) and p.name != "training"]
    return {name: f"{path}.args.{name}" for name in sayable}


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
