"""JSON file + command line -> one checked config -> objects. Nothing else in the project knows about JSON."""

import argparse
import copy
import functools
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from utils import catalog
from utils.check_config import (
    FOLDER_NAME,
    OBJECTS,
    TRAINER,
    Object,
    complete,
    did_you_mean,
    find_faults,
    is_folder_name,
)
from utils.errors import UserError


class ConfigError(UserError):
    """One or several faults in a config or on the command line."""

    def __init__(self, where: str, faults: list[str]):
        if len(faults) == 1:
            super().__init__(f"{where}: {faults[0]}")
        else:
            super().__init__(f"{where} has {len(faults)} faults:\n" + "\n".join(f"  {fault}" for fault in faults))


# ------------------------------------------------------------------------------------------------ the command line


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


# ------------------------------------------------------------------------------------------------------------ JSON


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
    raise ConfigError("-s", [f"{path}: {where} has no {key!r}{did_you_mean(key, known)}"])


# ------------------------------------------------------------------------------------- from the config to objects


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
            if not args.resume.exists():
                raise UserError(f"{args.resume}: no such checkpoint or run folder")
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

    def init_test_loader(self) -> Any:
        """The data loader, built with `training=False`: the test split, every sample once."""
        loader = self.init_obj("data_loader", training=False)
        if loader.training:
            name = self.config["data_loader"]["type"]
            raise ConfigError(
                "data_loader.type", [f"{name} must hand `training` on: super().__init__(..., training=training)"]
            )
        return loader

    def init_ftn(self, key: str) -> Callable:
        """The function that `loss` names, with the config's arguments filled in."""
        return _function(self.config[key], OBJECTS[key])

    def init_metrics(self) -> list[Callable]:
        """The functions that `metrics` names, with the config's arguments filled in."""
        return [_function(entry, OBJECTS["metrics"]) for entry in self.config["metrics"]]

    def init_trainer(self, *args: Any, **kwargs: Any) -> Any:
        """The trainer that `trainer.type` names; the section's keys are its options."""
        section = self.config["trainer"]
        keys = ("epochs", "save_period", "save_every_steps", "keep_last", "monitor", "early_stop", "tensorboard")
        options = {key: section[key] for key in keys}
        build = catalog.definitions(TRAINER.package)[section["type"]].load()
        return _call("trainer", build, *args, **kwargs, **options, **section["args"], config=self.config)


def _call(key: str, build: Callable, *args: Any, **kwargs: Any) -> Any:
    try:
        return build(*args, **kwargs)
    except (ValueError, OSError) as error:
        raise ConfigError(key, [str(error)]) from error
    except RuntimeError as error:
        if key not in (
            "optimizer",
            "lr_scheduler",
        ):  # torch's own, which raise it for arguments that exclude each other
            raise
        raise ConfigError(key, [str(error)]) from error


def _function(entry: str | dict[str, Any], expected: Object) -> Callable:
    if isinstance(entry, str):
        entry = {"type": entry}
    function = catalog.definitions(expected.package)[entry["type"]].load()
    if not entry.get("args"):
        return function
    return functools.update_wrapper(functools.partial(function, **entry["args"]), function)
