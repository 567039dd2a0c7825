"""JSON file + command line -> one checked config -> objects. Nothing else in the project knows about JSON.

The config is checked as a whole before torch is imported and before anything is built: every fault is reported at
once, with the key's path, what is wrong, the nearest right answer and what is accepted. A config names code only
through `type`, and a type is looked up only in the packages listed in OBJECTS.
"""

import argparse
import copy
import difflib
import functools
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils import catalog
from utils.errors import UserError

REQUIRED = object()


class ConfigError(UserError):
    """One or several faults in a config or on the command line."""

    def __init__(self, where: str, faults: list[str]):
        lines = faults if len(faults) == 1 else ["", *(f"  {fault}" for fault in faults)]
        super().__init__(f"{where}: " + "\n".join(lines).lstrip(" "))


# ---------------------------------------------------------------------------------------------------------------
# What a config may hold
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A key with a plain value: what is accepted, in words and as a test, and the default."""

    accepted: str
    test: Callable[[Any], bool]
    default: Any = REQUIRED


@dataclass(frozen=True)
class Object:
    """A key that names code: the package it is looked up in, the kind it must be, how many arguments the code gives."""

    package: str
    kind: str
    n_given: int = 0
    plain_name: bool = False
    default: Any = REQUIRED


def _integer(value: Any, minimum: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_folder_name(value: Any) -> bool:
    """Whether a text names one folder: no path separator, no leading dot, nothing unprintable, at most 100 characters."""
    return (
        isinstance(value, str)
        and value.strip() == value != ""
        and len(value) <= 100
        and value.isprintable()
        and not value.startswith(".")
        and not re.search(r'[/\\:*?"<>|]', value)
    )


FOLDER_NAME = "a folder's name: no slash, no leading dot, at most 100 characters"

KEYS = {
    "name": Key(FOLDER_NAME, is_folder_name),
    "n_gpu": Key("an integer >= 0", _integer, 1),
    "seed": Key("an integer from 0 to 2^32 - 1", lambda v: _integer(v) and v < 2**32, 123),
    "trainer.type": Key("a class name", lambda v: isinstance(v, str), "Trainer"),
    "trainer.args": Key("an object", lambda v: isinstance(v, dict), {}),
    "trainer.epochs": Key("an integer >= 1", lambda v: _integer(v, 1)),
    "trainer.save_dir": Key("a folder's path", lambda v: isinstance(v, str) and v.isprintable() and v != "", "saved/"),
    "trainer.save_period": Key("an integer >= 1 (epochs)", lambda v: _integer(v, 1), 1),
    "trainer.verbosity": Key("0 (warnings), 1 (epochs) or 2 (everything)", lambda v: _integer(v) and v <= 2, 2),
    "trainer.monitor": Key(
        '"off", "min METRIC" or "max METRIC"',
        lambda v: isinstance(v, str) and bool(re.fullmatch(r"off|(min|max) \S+", v)),
        "off",
    ),
    "trainer.early_stop": Key("an integer >= 0 (epochs; 0 is off)", _integer, 0),
    "trainer.tensorboard": Key("true or false", _flag, True),
}

OBJECTS = {
    "arch": Object("model", "BaseModel"),
    "data_loader": Object("data_loader", "BaseDataLoader"),
    "optimizer": Object("torch.optim", "Optimizer", n_given=1),
    "loss": Object("model.loss", "function", n_given=2, plain_name=True),
    "metrics": Object("model.metric", "function", n_given=2, plain_name=True, default=[]),
    "lr_scheduler": Object("torch.optim.lr_scheduler", "LRScheduler", n_given=1, default=None),
}
TRAINER = Object("trainer", "BaseTrainer")
SECTIONS = [*OBJECTS, *(key for key in KEYS if "." not in key), "trainer"]

# Arguments whose range is known beforehand, so that they are refused together with everything else.
RANGES = {
    "data_loader.args.batch_size": Key("an integer >= 1", lambda v: _integer(v, 1)),
    "data_loader.args.num_workers": Key("an integer >= 0", _integer),
    "data_loader.args.validation_split": Key(
        "a share from 0.0 to below 1.0, or a number of samples",
        lambda v: _integer(v) or (isinstance(v, float) and 0.0 <= v < 1.0),
    ),
    "optimizer.args.lr": Key("a number >= 0", lambda v: type(v) in (int, float) and v >= 0),
}


# ---------------------------------------------------------------------------------------------------------------
# The command line
# ---------------------------------------------------------------------------------------------------------------


def parse_args(command: str, argv: list[str] | None) -> argparse.Namespace:
    """The command line of train.py (`command` = "train") or test.py ("test")."""
    train = command == "train"
    description = {
        "train": "Train the model that a config describes, or go on with a run.",
        "test": "Evaluate a checkpoint on the test split.",
    }
    parser = argparse.ArgumentParser(f"{command}.py", description=description[command])
    add = parser.add_argument
    add("-c", "--config", type=Path, metavar="FILE", help="the config to use (default: the one in the checkpoint)")
    add("-r", "--resume", type=Path, metavar="PATH", required=not train, help="a checkpoint, or a run's folder")
    add("-d", "--device", metavar="DEVICE", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    add("-s", "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="change a config key: -s optimizer.args.lr=0.01 trainer.epochs=3")  # fmt: skip
    if train:
        add("--lr", "--learning_rate", metavar="LR", help="short for -s optimizer.args.lr=LR")
        add("--bs", "--batch_size", metavar="N", help="short for -s data_loader.args.batch_size=N")
        add("--run-id", metavar="ID", help="the run folder's name (default: the time)")
        add("--check", action="store_true", help="try everything on one batch, write nothing, and stop")
    args = parser.parse_args(argv)
    if train and not (args.config or args.resume):
        parser.error("say what to train: -c config.json, or -r CHECKPOINT to go on with a run")
    if train and args.run_id is not None:
        if args.resume:
            parser.error("--run-id names a new run, -r goes on with an old one: give one of them")
        if not is_folder_name(args.run_id):
            parser.error(f"--run-id {args.run_id!r} is not {FOLDER_NAME}")
    if train:
        shortcuts = {"optimizer.args.lr": args.lr, "data_loader.args.batch_size": args.bs}
        args.set += [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    return args


# ---------------------------------------------------------------------------------------------------------------
# JSON
# ---------------------------------------------------------------------------------------------------------------


def parse_json(text: str) -> Any:
    """Strict JSON: also refuses duplicate keys, NaN and numbers without a finite value. Raises ValueError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        repeated = {key for key in keys if keys.count(key) > 1}
        if repeated:
            raise ValueError(f"the key {min(repeated)!r} stands twice in one object")
        return dict(pairs)

    def finite(text: str) -> float:
        if not math.isfinite(float(text)):
            raise ValueError(f"{text} is not a finite number")
        return float(text)

    try:
        return json.loads(text, object_pairs_hook=unique, parse_float=finite, parse_constant=finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a config file; a fault is a ConfigError with file, line and column."""
    try:
        config = parse_json(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        nearest = _did_you_mean(path.name, [p.name for p in path.parent.glob("*.json")])
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
    if isinstance(place, list) and key.isdecimal() and int(key) < len(place):
        return place[int(key)]
    where = ".".join(parents) or "the config"
    known = list(place) if isinstance(place, dict) else [str(i) for i in range(len(place))] if place else []
    raise ConfigError("-s", [f"{path}: {where} has no {key!r}{_did_you_mean(key, known)}"])


# ---------------------------------------------------------------------------------------------------------------
# The check
# ---------------------------------------------------------------------------------------------------------------


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
    faults = _unknown_keys("", config, SECTIONS)
    trainer = config["trainer"]
    if not isinstance(trainer, dict):
        return [*faults, f"trainer: {_show(trainer)} is not an object"]
    faults += _unknown_keys("trainer.", trainer, [key.split(".")[1] for key in KEYS if key.startswith("trainer.")])
    for path, key in KEYS.items():
        *section, last = path.split(".")
        faults += _check_value(path, key, trainer if section else config, last)
    for path, expected in OBJECTS.items():
        if path not in config:
            faults.append(f'{path}: missing; it needs {{"type": ..., "args": {{...}}}}')
        elif path == "metrics":
            faults += _check_metrics(config["metrics"], expected)
        elif not (path == "lr_scheduler" and config[path] is None):
            faults += _check_object(path, config[path], expected)
    if isinstance(trainer["type"], str) and isinstance(trainer["args"], dict):
        faults += _check_type("trainer.type", trainer["type"], TRAINER)
        faults += _check_trainer_args(trainer)
    for path, key in RANGES.items():
        section, _, last = path.split(".")
        arguments = config[section].get("args") if isinstance(config.get(section), dict) else None
        if isinstance(arguments, dict) and last in arguments:
            wrong = _check_value(path, key, arguments, last)
            faults = [f for f in faults if not (wrong and f.startswith(f"{path}:"))] + wrong
    return faults + _check_monitor(config)


def _check_value(path: str, key: Key, place: dict[str, Any], name: str) -> list[str]:
    if name not in place:
        return [f"{path}: missing; it needs {key.accepted}"]
    if not key.test(place[name]):
        return [f"{path}: {_show(place[name])} is not {key.accepted}"]
    return []


def _check_metrics(metrics: Any, expected: Object) -> list[str]:
    if not isinstance(metrics, list):
        return [f"metrics: {_show(metrics)} is not a list of names"]
    faults = []
    for i, metric in enumerate(metrics):
        faults += _check_object(f"metrics.{i}", metric, expected)
    names = metric_names(metrics)
    faults += [f"metrics: {name!r} stands twice, and names one column" for name in sorted(set(names)) if names.count(name) > 1]
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
    faults = _unknown_keys(f"{path}.", entry, ["type", "args"])
    arguments = entry.get("args", {})
    if not isinstance(arguments, dict):
        faults.append(f"{path}.args: {_show(arguments)} is not an object")
    if not isinstance(entry.get("type"), str):
        return [*faults, f"{path}.type: {'missing' if 'type' not in entry else _show(entry['type'])}; it needs a name"]
    faults += _check_type(f"{path}.type", entry["type"], expected)
    if not faults:
        definition = catalog.definitions(expected.package)[entry["type"]]
        parameters, is_open = definition.parameters
        faults += _check_arguments(f"{path}.args", definition.name, arguments, parameters[expected.n_given :], is_open)
    return faults


def _check_type(path: str, name: str, expected: Object) -> list[str]:
    known = catalog.definitions(expected.package)
    if name in known and known[name].is_a(expected.kind):
        return []
    valid = [definition.name for definition in known.values() if definition.is_a(expected.kind)]
    what = f"is not a {expected.kind}" if name in known else "is unknown"
    return [f"{path}: {_show(name)} {what}{_did_you_mean(name, valid)}; {expected.package} has {', '.join(valid)}"]


def _check_arguments(
    path: str, name: str, arguments: dict[str, Any], parameters: list[catalog.Parameter], is_open: bool
) -> list[str]:
    known = {parameter.name: parameter for parameter in parameters}
    faults = [] if is_open else _unknown_keys(f"{path}.", arguments, list(known), f"argument of {name}")
    for parameter in parameters:
        if parameter.name not in arguments:
            if parameter.required:
                faults.append(f"{path}.{parameter.name}: missing; {name} needs it")
        elif not catalog.accepts(parameter.annotation, arguments[parameter.name]):
            annotation = catalog.unparse(parameter.annotation)
            faults.append(f"{path}.{parameter.name}: {_show(arguments[parameter.name])} is not {annotation}")
    return faults


def _check_trainer_args(trainer: dict[str, Any]) -> list[str]:
    """Arguments of its own that a project's trainer adds; those every trainer has are keys of the section."""
    known = catalog.definitions(TRAINER.package)
    if trainer["type"] not in known or not known[trainer["type"]].is_a(TRAINER.kind):
        return []
    common = {p.name for p in known["Trainer"].parameters[0]}
    parameters, is_open = known[trainer["type"]].parameters
    own = [p for p in parameters if p.name not in common]
    return _check_arguments("trainer.args", trainer["type"], trainer["args"], own, is_open)


def _check_monitor(config: dict[str, Any]) -> list[str]:
    """A monitored metric must be one that is logged. A trainer of one's own may log others, so only Trainer is judged."""
    trainer, metrics = config["trainer"], config["metrics"]
    if trainer["type"] != "Trainer" or not isinstance(metrics, list) or not KEYS["trainer.monitor"].test(trainer["monitor"]):
        return []
    logged = ["loss", *metric_names(metrics)]
    logged += [f"val_{name}" for name in logged]
    name = trainer["monitor"].split()[-1]
    if name == "off" or name in logged:
        return []
    return [f"trainer.monitor: {_show(name)} is not logged{_did_you_mean(name, logged)}; logged are {', '.join(logged)}"]


def _unknown_keys(prefix: str, place: dict[str, Any], known: list[str], what: str = "key") -> list[str]:
    return [
        f"{prefix}{key}: unknown {what}{_did_you_mean(key, known)}; known are {', '.join(known) or 'none'}"
        for key in place
        if key not in known
    ]


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    by_lower_case = {option.lower(): option for option in known}
    nearest = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f", did you mean {by_lower_case[nearest[0]]!r}?" if nearest else ""


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ---------------------------------------------------------------------------------------------------------------
# From the config to objects
# ---------------------------------------------------------------------------------------------------------------


class ConfigParser:
    """A checked config, and the objects it names.

    `config` is the plain dict with its defaults filled in; `args` the command line; `checkpoint` the loaded checkpoint
    when one was given, and `resume` its path. Raises ConfigError with every fault at once.
    """

    def __init__(self, config: dict[str, Any], where: str = "config"):
        self.config = complete(config)
        faults = find_faults(self.config)
        if faults:
            raise ConfigError(where, faults)
        self.args: argparse.Namespace | None = None
        self.resume: Path | None = None
        self.checkpoint: dict[str, Any] | None = None

    @classmethod
    def from_args(cls, command: str, argv: list[str] | None = None) -> "ConfigParser":
        """Read the command line of `command` ("train" or "test"), then the config it names."""
        args = parse_args(command, argv)
        resume = checkpoint = None
        if args.resume:
            from utils.checkpoint import open_checkpoint  # imports torch

            resume, checkpoint = open_checkpoint(args.resume, prefer_best=command == "test")
        config = read_json(args.config) if args.config else copy.deepcopy(checkpoint["config"])
        apply_settings(config, args.set)
        parser = cls(config, str(args.config or resume))
        parser.args, parser.resume, parser.checkpoint = args, resume, checkpoint
        return parser

    def __getitem__(self, key: str) -> Any:
        return self.config[key]

    def init_obj(self, key: str, *args: Any, **overrides: Any) -> Any:
        """Build the object that a key names: its `type` called with `args`, the config's arguments and `overrides`.

        None where the config has null. A ValueError or OSError of the constructor becomes a ConfigError.
        """
        entry = self.config[key]
        if entry is None:
            return None
        definition = catalog.definitions(OBJECTS[key].package)[entry["type"]]
        parameters, is_open = definition.parameters
        refused = overrides.keys() - {p.name for p in parameters}
        if refused and not is_open:
            raise ConfigError(f"{key}.type", [f"{definition.name} must accept {', '.join(sorted(refused))}"])
        return _call(key, definition.load(), *args, **entry.get("args", {}) | overrides)

    def init_ftn(self, key: str) -> Callable:
        """The function that `loss` names, with the config's arguments filled in."""
        return _function(self.config[key], OBJECTS[key])

    def init_metrics(self) -> list[Callable]:
        """The functions that `metrics` names, with the config's arguments filled in."""
        return [_function(entry, OBJECTS["metrics"]) for entry in self.config["metrics"]]

    def init_trainer(self, *args: Any, **kwargs: Any) -> Any:
        """The trainer that `trainer.type` names; the section's keys are its options."""
        section = self.config["trainer"]
        options = {key: section[key] for key in ("epochs", "save_period", "monitor", "early_stop", "tensorboard")}
        build = catalog.definitions(TRAINER.package)[section["type"]].load()
        return _call("trainer", build, *args, **kwargs, **options, **section["args"], config=self.config)


def _call(key: str, build: Callable, *args: Any, **kwargs: Any) -> Any:
    try:
        return build(*args, **kwargs)
    except (ValueError, OSError) as error:
        raise ConfigError(key, [str(error)]) from error


def _function(entry: str | dict[str, Any], expected: Object) -> Callable:
    if isinstance(entry, str):
        entry = {"type": entry}
    function = catalog.definitions(expected.package)[entry["type"]].load()
    if not entry.get("args"):
        return function
    return functools.update_wrapper(functools.partial(function, **entry["args"]), function)
