"""Is this config right? Every fault at once, before torch is imported and before anything is built.

Works on a plain dict. Types are looked up only in the packages that OBJECTS lists, and read there as source text.
"""

import copy
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from utils.config.annotations import check
from utils.config.catalog import REQUIRED, Definition, Parameter, definitions
from utils.config.keys import LOG_COLUMNS, NOT_FROM_JSON, OBJECTS, RANGES, TOP, Object, has_form, trainer_keys
from utils.config.text import as_json
from utils.errors import ConfigError, did_you_mean, escape


def checked(config: dict[str, Any], where: str) -> dict[str, Any]:
    """A copy with every default filled in. Raises ConfigError with every fault."""
    config = complete(as_json(config, where))
    faults = find_faults(config)
    if faults:
        raise ConfigError(where, faults)
    return config


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """A copy with every default filled in."""
    config = copy.deepcopy(config)
    trainer = config.setdefault("trainer", {})
    for place, keys in ((config, TOP), (trainer, trainer_keys(_trainer_type(trainer)))):
        for name, key in keys.items() if isinstance(place, dict) else ():
            if key.default not in (REQUIRED, ...):
                place.setdefault(name, copy.deepcopy(key.default))
    return config


def find_faults(config: dict[str, Any]) -> list[str]:
    """Every fault of a complete config, each a line: the key's path, what is wrong, what is right."""
    faults = _check_keys("", config, TOP)
    if not isinstance(config["trainer"], dict):  # a fault, named by now
        config = config | {"trainer": complete({"trainer": {"epochs": 1}})["trainer"]}
    name = _trainer_type(config["trainer"])
    faults += _check_keys("trainer.", config["trainer"], trainer_keys(name), f"option of {name}")
    for path, expected in OBJECTS.items():
        faults += _check_metrics(config[path]) if path == "metrics" else _check_entry(path, config.get(path), expected)
    return faults + _check_monitor(config["trainer"], config["metrics"])


def _trainer_type(trainer: Any) -> str:
    """The type that a section names, if it is a known one."""
    name = trainer.get("type") if isinstance(trainer, dict) else None
    return name if isinstance(name, str) and name in definitions("trainer") else "Trainer"


def _check_keys(prefix: str, place: dict[str, Any], known: Mapping[str, Parameter], what: str = "key") -> list[str]:
    """The faults of an object: keys that are unknown or missing, and values that are not accepted."""
    faults = []
    elsewhere = {"": {name: f"trainer.{name}" for name in trainer_keys()}, "trainer.": {name: name for name in TOP}}
    for name in [name for name in place if name not in known]:
        right = elsewhere.get(prefix, {}).get(name)
        hint = f", did you mean {right!r}?" if right else did_you_mean(name, known)
        faults.append(f"{prefix}{escape(name[:60])}: unknown {what}{hint}; known are {', '.join(known) or 'none'}")
    for name, key in known.items():
        value = place.get(name, REQUIRED)
        fits, accepted = check(RANGES.get(prefix + name, key.annotation), value)
        if value is REQUIRED:
            faults += [f"{prefix}{name}: missing; it needs {accepted}"] if key.default is REQUIRED else []
        elif not fits or not has_form(prefix + name, value):
            faults.append(f"{prefix}{name}: {_show(value)} is not {accepted}")
    return faults


# ------------------------------------------------------------------------------------------------ what names code


def _check_entry(path: str, entry: Any, expected: Object) -> list[str]:
    """The faults of {"type": ..., "args": {...}} or of a plain name; whether it may be that is checked before."""
    if isinstance(entry, str):
        entry = {"type": entry}
    if not isinstance(entry, dict):
        return []
    if path == "trainer":
        entry = {"type": entry["type"], "args": entry["args"]}  # the section's other keys are options
    form = {"type": Parameter("Annotated[str, 'a name']"), "args": Parameter("dict", {})}
    faults = _check_keys(f"{path}.", entry, form) or _check_type(f"{path}.type", entry["type"], expected)
    return faults or _check_arguments(path, entry, definitions(expected.package)[entry["type"]], expected.n_given)


def _check_metrics(metrics: Any) -> list[str]:
    faults, names = [], _metric_names(metrics)
    for i, metric in enumerate(metrics if names else ()):
        faults += _check_entry(f"metrics.{i}", metric, OBJECTS["metrics"])
    for name, count in Counter(names).items():
        if name in LOG_COLUMNS or name.startswith("val_"):
            faults.append(f"metrics: {name[:60]!r} is a column of the log already; rename the function")
        elif count > 1:
            faults.append(f"metrics: {name[:60]!r} stands twice, and names one column")
    return faults


def _metric_names(metrics: Any) -> list[str]:
    entries = metrics if isinstance(metrics, list) else []
    return [str(metric["type"] if isinstance(metric, dict) and "type" in metric else metric) for metric in entries]


def _check_type(path: str, name: str, expected: Object) -> list[str]:
    known = definitions(expected.package)
    valid = [n for n, definition in known.items() if definition.is_a(expected.kind) and n not in NOT_FROM_JSON]
    if name not in valid:
        what = f"is no {expected.kind} that a config can name{did_you_mean(name, valid)}"
        return [f"{path}: {_show(name)} {what}; {expected.package} has {', '.join(valid)}"]
    first, other = known[name].path, known[name].also_in
    return [] if other is None else [f"{path}: {name} stands in {first.name} and in {other.name}; rename one"]


def _check_arguments(path: str, entry: dict[str, Any], definition: Definition, n_given: int) -> list[str]:
    parameters, is_open = definition.parameters
    if path == "data_loader" and ("training" not in parameters or parameters["training"].package != path):
        return [f"{path}.type: {definition.node.name} must take `training` (False: the test split) and hand it on"]
    given = {"training", *list(parameters)[:n_given]}  # by the code
    if path == "trainer":
        given |= definitions(path)["Trainer"].parameters[0].keys()  # they are options
    known = {name: parameter for name, parameter in parameters.items() if name not in given}
    arguments = {name: value for name, value in entry.get("args", {}).items() if name in known or not is_open}
    return _check_keys(f"{path}.args.", arguments, known, what=f"argument of {definition.node.name}")


def _check_monitor(trainer: dict[str, Any], metrics: Any) -> list[str]:
    """A monitored metric must be one that is logged. A project's own trainer may log others: only Trainer is judged."""
    if trainer["type"] != "Trainer" or not has_form("trainer.monitor", trainer["monitor"]):
        return []
    logged = ["loss", *_metric_names(metrics)]
    logged += [f"val_{name}" for name in logged]
    name = trainer["monitor"].split()[-1]
    if name in ("off", *logged):
        return []
    return [f"trainer.monitor: {_show(name)} is not logged{did_you_mean(name, logged)}; logged are {', '.join(logged)}"]


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
