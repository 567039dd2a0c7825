"""Command line + JSON file -> one checked config -> objects."""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.config import (
    FOLDER_NAME,
    NOT_FOR_TRAINER,
    OBJECTS,
    TRAINER,
    Object,
    apply_settings,
    as_json,
    catalog,
    complete,
    find_faults,
    is_folder_name,
    read_json,
)
from utils.errors import ConfigError, UserError

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
    add("--debug", action="store_true", help="show the traceback of an error too")
    if train:
        add("--lr", "--learning_rate", metavar="LR", help="short for -s optimizer.args.lr=LR")
        add("--bs", "--batch_size", metavar="N", help="short for -s data_loader.args.batch_size=N")
        add("--run-id", metavar="ID", help="the run folder's name (default: the time)")
        add("--check", action="store_true", help="try everything on one batch, write nothing, and stop")
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(
            f"unknown: {' '.join(unknown)}. A config is named by -c FILE, its keys are set by -s KEY=VALUE ..."
        )
    if train and not (args.config or args.resume):
        parser.error("say what to train: -c config.json, or -r CHECKPOINT to go on with a run")
    if train and args.run_id is not None:
        if not is_folder_name(args.run_id):
            parser.error(f"--run-id {args.run_id!r} is not {FOLDER_NAME}")
    if train:
        shortcuts = {"optimizer.args.lr": args.lr, "data_loader.args.batch_size": args.bs}
        args.set += [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    return args


# ------------------------------------------------------------------------------------- from the config to objects


class ConfigParser:
    """A checked config, and the objects it names.

    where: what to call the config in an error.
    may_download: False: nothing that the config names may fetch files. For a config out of a checkpoint, which may be
        a stranger's: it would choose the folder into which they go.

    `config` is the plain dict with its defaults filled in; `args` the command line; `checkpoint` the loaded checkpoint
    when one was given, and `resume` its path. Raises ConfigError with every fault at once.
    """

    def __init__(self, config: dict[str, Any], where: str = "config", may_download: bool = True):
        self.config = complete(as_json(config, where))
        faults = find_faults(self.config)
        if faults:
            raise ConfigError(where, faults)
        self.may_download = may_download
        self.args = argparse.Namespace(device=None, run_id=None)
        self.notes: list[str] = []
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
        config = read_json(args.config) if args.config else as_json(checkpoint["config"], str(resume))
        apply_settings(config, args.set)
        parser = cls(config, str(args.config or resume), may_download=args.config is not None)
        parser.args, parser.resume, parser.checkpoint = args, resume, checkpoint
        return parser

    def __getitem__(self, key: str) -> Any:
        return self.config[key]

    def init_obj(self, key: str, *args: Any, **overrides: Any) -> Any:
        """Build the object that a key names: its `type` called with `args`, the config's arguments and `overrides`.

        None where the config has null. See `_call` for what becomes of an exception.
        """
        entry = self.config[key]
        if entry is None:
            return None
        definition = catalog.definitions(OBJECTS[key].package)[entry["type"]]
        parameters, is_open = definition.parameters
        names = {parameter.name for parameter in parameters}
        if not self.may_download and "download" in names:
            overrides["download"] = False
        refused = overrides.keys() - names
        if refused and not is_open:
            raise ConfigError(f"{key}.type", [f"{definition.name} must accept {', '.join(sorted(refused))}"])
        return _call(key, definition.load(), *args, **entry.get("args", {}) | overrides)

    def init_optimizer(self, model: Any) -> Any:
        """The optimizer of a model's trainable weights: a fused one, where torch has it, unless the config decides.

        Fused, an update of all weights is one operation: two to four times as fast, on a CPU too.
        """
        trainable = [p for p in model.parameters() if p.requires_grad]
        entry = self.config["optimizer"]
        if entry["type"] in ("Adam", "AdamW") and not entry.get("args", {}).keys() & {"fused", "foreach"}:
            return self.init_obj("optimizer", trainable, fused=True)
        return self.init_obj("optimizer", trainable)

    def trained_model(self, checkpoint):
        from utils.checkpoint import load_model, trained_weights

        model = self.init_obj("arch")
        load_model(model, trained_weights(checkpoint))
        return model.eval()

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
        """The trainer that `trainer.type` names; the section's keys are its options, if it takes them."""
        section = self.config["trainer"]
        definition = catalog.definitions(TRAINER.package)[section["type"]]
        parameters, is_open = definition.parameters
        options = section | {"threads": self.config["threads"], "config": self.config}
        accepted = options if is_open else {parameter.name for parameter in parameters}
        options = {k: value for k, value in options.items() if k in accepted and k not in NOT_FOR_TRAINER}
        return _call("trainer", definition.load(), *args, **kwargs, **options, **section["args"])


def _call(key: str, build: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call a constructor; what it raises because of the config's arguments becomes a ConfigError.

    RuntimeError is torch's word for a tensor that cannot be; torch's optimizers and schedulers raise anything.
    """
    try:
        return build(*args, **kwargs)
    except (ValueError, OSError) as error:
        raise ConfigError(key, [str(error)]) from error
    except Exception as error:
        if key in ("optimizer", "lr_scheduler") or isinstance(error, RuntimeError | MemoryError):
            raise ConfigError(key, [f"{type(error).__name__}: {error}"]) from error
        raise


def _function(entry: str | dict[str, Any], expected: Object) -> Callable:
    if isinstance(entry, str):
        entry = {"type": entry}
    function = catalog.definitions(expected.package)[entry["type"]].load()
    if not entry.get("args"):
        return function
    return functools.update_wrapper(functools.partial(function, **entry["args"]), function)
