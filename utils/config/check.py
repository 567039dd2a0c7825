"""Is this config right? Every fault at once, before torch is imported and before anything is built."""

import ast
import copy
import json
import operator
import re
from collections.abc import Mapping
from typing import Any

from utils.config.catalog import REQUIRED, Parameter, definitions
from utils.config.keys import ENTRY_KEYS, LAYER_KEYS, NOT_FROM_JSON, OBJECTS, RANGES, TOP, named, trainer_keys
from utils.config.text import as_json
from utils.errors import ConfigError, did_you_mean, escape, in_json

_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
# What fits a name: types of JSON values, and the words for them. A name that is not here fits anything.
_NAMES: dict[str, tuple[list[type], str]] = {
    "None": ([type(None)], "null"), "int": ([int], "an integer"), "float": ([int, float], "a number"),
    "bool": ([bool], "true or false"), "str": ([str], "a text"), "Path": ([str], "a path"),
    **dict.fromkeys(("dict", "Mapping"), ([dict], "an object")),
    **dict.fromkeys(("list", "tuple", "Sequence", "Iterable"), ([list], "a list")),
    **{name: ([], name) for name in ("Callable", "Tensor", "Optimizer", "Module", "Dataset")},
}  # fmt: skip


def checked(config: dict[str, Any], where: str) -> dict[str, Any]:
    """A copy with every default filled in. Raises ConfigError with every fault."""
    config = as_json(config, where)
    config.pop("$schema", None)  # is for editors
    trainer = config.setdefault("trainer", {})
    if not isinstance(trainer, dict):  # a fault of the top; go on with a right section
        trainer = {"epochs": 1}
    name = str(trainer.get("type"))
    name = name if name in definitions("trainer") and definitions("trainer")[name].is_a("BaseTrainer") else "Trainer"
    options = trainer_keys(name)
    for place, keys in ((config, TOP), (trainer, options)):
        for key, parameter in keys.items():
            if parameter.default not in (REQUIRED, ...):
                place.setdefault(key, copy.copy(parameter.default))

    faults = _check_keys("", config, TOP) + _check_keys("trainer.", trainer, options, f"option of {name}")
    metrics = config["metrics"] if isinstance(config["metrics"], list) else []
    entries = {key: config.get(key) for key in OBJECTS if key != "metrics"}
    for key in ("arch", "optimizer", "loss", "lr_scheduler"):
        entries |= {f"{key}.{name}": part for name, part in named(entries.pop(key)).items()}
    entries |= {f"metrics.{i}": metric for i, metric in enumerate(metrics)}
    entries["trainer"] = {key: trainer[key] for key in ENTRY_KEYS}  # its other keys are options
    for path, entry in entries.items():
        faults += _check_entry(path.rstrip("."), entry, OBJECTS[path.partition(".")[0]])
    faults += _check_names(config, trainer["type"])
    data = config.get("data_loader")
    arguments = data.get("args") if isinstance(data, dict) else None
    if config["valid_data_loader"] and isinstance(arguments, dict) and arguments.get("validation_split"):
        faults.append("valid_data_loader: it takes the place of data_loader.args.validation_split; keep one of them")
    names = [str(metric["type"] if isinstance(metric, dict) and "type" in metric else metric) for metric in metrics]
    logged = [prefix + name for prefix in ("", "val_") for name in ("loss", *names)]
    monitor = str(trainer.get("monitor")).partition(" ")[2]
    if monitor and monitor not in logged and trainer["type"] == "Trainer":  # one of one's own may log other numbers
        what = f"is not logged{did_you_mean(monitor, logged)}; logged are {', '.join(logged)}"
        faults.append(f"trainer.monitor: {in_json(monitor)} {what}")
    if faults:
        raise ConfigError(where, faults)
    return config


def _check_keys(prefix: str, place: dict[str, Any], known: Mapping[str, Parameter], what: str = "key") -> list[str]:
    """Keys that are unknown or missing, and values that are not accepted."""
    faults = []
    for name in [name for name in place if name not in known]:
        is_option = not prefix and name in trainer_keys()
        hint = f", did you mean 'trainer.{name}'?" if is_option else did_you_mean(name, known)
        hint = hint or (", one of your own goes into trainer.args" if prefix in ("", "trainer.") else "")
        faults.append(f"{prefix}{escape(name[:60])}: unknown {what}{hint}; known are {', '.join(known) or 'none'}")
    for name, key in known.items():
        path, value = prefix + name, place.get(name)
        fits, accepted = accepts(RANGES.get(path, key.annotation), value)
        if name in place and not fits:
            faults.append(f"{path}: {in_json(value)} is not {accepted}")
        elif name not in place and key.default is REQUIRED:
            faults.append(f"{path}: missing; it needs {accepted}")
    return faults


def _check_names(config: dict[str, Any], trainer: Any) -> list[str]:
    """Several models have an optimizer each, by the same names, and a trainer that knows what to do with them."""
    models = named(config.get("arch")).keys()
    faults = [f"arch.{escape(name)}: no name; say letters, digits, _" for name in models if re.search(r"\W", name)]
    for key in [key for key in ("optimizer", "lr_scheduler") if config.get(key) is not None]:
        names = named(config[key]).keys()
        if names != models and (key == "optimizer" or names - models):
            told = [escape(", ".join(sorted(found))) or "a single one" for found in (names, models)]
            faults.append(f"{key}: it is for {told[0]}; arch has {told[1]}")
    if "" not in models and trainer == "Trainer":
        faults.append("trainer.type: several models need a trainer of your own, a Trainer with another train_step")
    return faults


def _check_entry(path: str, entry: Any, expected: Parameter) -> list[str]:
    """{"type": ..., "args": {...}}, or a plain name: is there such code, and does it accept these arguments?"""
    entry = {"type": entry} if isinstance(entry, str) else entry
    if not isinstance(entry, dict):  # null, or a fault by now
        return []
    faults = _check_keys(f"{path}.", entry, ENTRY_KEYS | (LAYER_KEYS if path.startswith("optimizer") else {}))
    if faults:
        return faults

    name, package, kind = entry["type"], expected.package, expected.kind
    known = {n: found for n, found in definitions(package).items() if found.is_a(kind) and n not in NOT_FROM_JSON}
    if name not in known:
        what = f"is no {kind} that a config can name{did_you_mean(name, known)}"
        if name in definitions(package) and kind.startswith("Base"):
            what = f"must be a subclass of base.{kind}"
        return [f"{path}.type: {in_json(name)} {what}; {package.replace(' ', ', ')} has {', '.join(known)}"]
    if other := known[name].also_in:
        return [f"{path}.type: {name} stands in {other.path.name} and in {known[name].path.name}; rename one"]

    parameters, is_open = known[name].parameters
    inherited = definitions("base")["BaseDataLoader"].parameters[0]["training"]
    if path.endswith("data_loader") and parameters.get("training", inherited) is inherited:
        return [f"{path}.type: {name} must take `training` (False: the test split) and hand it on"]
    given = {"training", "fitted", "whole", *known[name].given(expected)}  # by the code
    if path == "trainer":
        given |= definitions(path)["Trainer"].parameters[0].keys()  # they are options
    accepted = {key: parameter for key, parameter in parameters.items() if key not in given}
    arguments = {key: value for key, value in entry.get("args", {}).items() if key in accepted or not is_open}
    if path.startswith("arch"):  # where "auto" stands, the data will put a number
        arguments = {key: _with_numbers(value, accepted.get(key)) for key, value in arguments.items()}
    for layer, options in entry.get("groups", {}).items():
        options = options if isinstance(options, dict) else {in_json(options): None}
        faults += _check_keys(f"{path}.groups.{escape(layer)}.", options, accepted, f"option of {name}")
    return faults + _check_keys(f"{path}.args.", arguments, accepted, f"argument of {name}")


def _with_numbers(value: Any, parameter: Parameter | None) -> Any:
    is_right = parameter is None or accepts(parameter.annotation, value)[0]
    return value if is_right else json.loads(json.dumps(value).replace('"auto"', "1"))


def accepts(annotation: str | ast.expr, value: Any) -> tuple[bool, str]:
    """Whether a JSON value fits an annotation's source text, and what would: `int | None` is "an integer or null"."""
    match ast.parse(annotation, mode="eval").body if isinstance(annotation, str) else annotation:
        case ast.BinOp(left=left, right=right):
            (fits_left, left_words), (fits_right, right_words) = accepts(left, value), accepts(right, value)
            return fits_left or fits_right, f"{left_words} or {right_words}"
        case ast.Subscript(value=ast.Name("Annotated"), slice=ast.Tuple(elts=[kind, *rest])):
            fits, words = accepts(kind, value)
            bounds = [ast.literal_eval(node) for node in rest]
            words = f"{words} {' and '.join(bounds).replace('_', ',')}" if bounds[0][0] in "<>" else bounds[0]
            return fits and all(_is_within(value, bound) for bound in bounds), words
        case ast.Subscript(value=ast.Name("Literal"), slice=inside):
            choices = [json.dumps(node.value) for node in ast.walk(inside) if isinstance(node, ast.Constant)]
            return json.dumps(value) in choices, " or ".join(choices)
        case ast.Subscript(value=container, slice=inside) as node:
            item = inside.elts[0] if isinstance(inside, ast.Tuple) else inside
            items_fit = not isinstance(value, list) or all(accepts(item, part)[0] for part in value)
            return accepts(container, value)[0] and items_fit, ast.unparse(node)
        case node:
            name = ast.unparse(node).rpartition(".")[2]
            types, words = _NAMES.get(name, ([type(value)], name))
            return type(value) in types, words


def _is_within(value: Any, bound: str) -> bool:
    """Whether a bound such as ">= 1" or "like [A-Z]+" holds; other words are for the reader."""
    sign, _, rest = bound.partition(" ")
    if sign == "like":
        return value.isprintable() and re.fullmatch(rest, value) is not None
    return sign not in _COMPARE or _COMPARE[sign](value, float(rest))
