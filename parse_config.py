"""Command line + JSON file -> one checked config -> objects."""

import argparse
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from utils.config import OBJECTS, RUN_KEYS, apply_settings, as_json, checked, definitions, named, parse_args, read_json
from utils.errors import ConfigError


class ConfigParser:
    """A checked config, and the objects it names. Raises ConfigError with every fault at once.

    trusted: False for a config out of a checkpoint, which may be a stranger's: it downloads and compiles nothing.
    settings: "KEY=VALUE" each; they win over the config, whether it is trusted or not.
    """

    def __init__(self, config: dict, where: str = "config", trusted: bool = True, settings: Iterable[str] = ()):
        config = as_json(config, where)
        self.trusted = trusted
        self.notes: list[str] = []  # what was changed
        trainer = config.get("trainer")
        if not trusted and isinstance(trainer, dict) and trainer.get("compile"):
            trainer["compile"] = False
            self.notes.append("trainer.compile is off: it runs a compiler; name your own config with -c")
        apply_settings(config, settings)
        self.config = checked(config, where)
        self.args = argparse.Namespace(resume=None, run_id=None, device=None)
        self.resume: Any = None  # the path of the checkpoint, with -r, ...
        self.checkpoint: Any = None  # ... and its content
        self.other_data = ""  # the name of the file or folder to test on, if it is not the checkpoint's

    @classmethod
    def from_args(cls, command: str, argv: list[str] | None = None) -> "ConfigParser":
        """Read the command line of `command` ("train" or "test"), then the config it names."""
        args = parse_args(command, argv)
        resume = checkpoint = None
        if args.resume:
            from utils.checkpoint import open_checkpoint  # imports torch

            resume, checkpoint = open_checkpoint(args.resume, prefer_best=command == "test")
        if command == "train" and args.run_id and not args.config:  # a stranger's config does not say where that goes
            args.set.insert(0, "trainer.save_dir=saved/")
        config = checkpoint["config"] if checkpoint and not args.config else read_json(args.config)
        parser = cls(config, str(args.config or resume), trusted=args.config is not None, settings=args.set)
        parser.args, parser.resume, parser.checkpoint = args, resume, checkpoint
        return parser

    def __getitem__(self, key: str) -> Any:
        return self.config[key]

    def init_obj(self, key: str, *args: Any, **overrides: Any) -> Any:
        """What "optimizer", or "arch.generator", names, built with its arguments, `args`, `overrides`; None of null."""
        place, _, name = key.partition(".")
        entry = named(self.config[place])[name]
        if entry is None:
            return None
        definition = definitions(OBJECTS[place].package)[entry["type"]]
        if not self.trusted:  # nothing is downloaded, nor written outside the run's folder
            overrides |= {option: False for option in ("download", "cache") if option in definition.parameters[0]}
        return _call(key.rstrip("."), definition.load(), *args, **entry.get("args", {}) | overrides)

    def init_model(self) -> Any:
        """The model of `arch`; of several by name, a torch.nn.ModuleDict."""
        from torch import nn

        models = {name: self.init_obj(f"arch.{name}") for name in named(self.config["arch"])}
        return models[""] if "" in models else nn.ModuleDict(models)

    def test_file(self, name: str) -> Path:
        """Where test.py writes what is called `name`: beside the checkpoint, with the name of other data in it."""
        path = self.resume.parent / name
        return path.with_stem(f"{path.stem}-{self.other_data}") if self.other_data else path

    def init_ftn(self, key: str, entry: Any = None, device: Any = "cpu") -> Any:
        """What `loss`, or an entry of a list, names: a function with its arguments filled in, an object, or a dict."""
        from torch import Tensor, nn

        entry = entry or self.config[key]
        if "" not in named(entry):
            return {name: self.init_ftn(key, part, device) for name, part in named(entry).items()}
        entry = {"type": entry} if isinstance(entry, str) else entry
        code, arguments = definitions(OBJECTS[key].package)[entry["type"]].load(), {**entry.get("args", {})}
        for name in [name for name in ("weight", "pos_weight") if isinstance(arguments.get(name), list)]:
            arguments[name] = Tensor(arguments[name]).to(device)
        if isinstance(code, type):
            made = _call(key, code, **arguments)
            return made.to(device) if isinstance(made, nn.Module) else made
        return functools.update_wrapper(functools.partial(code, **arguments), code) if arguments else code

    def init_metrics(self) -> list[Callable]:
        return [self.init_ftn("metrics", entry) for entry in self.config["metrics"]]

    def init_trainer(self, *args: Any, **kwargs: Any) -> Any:
        """The trainer that `trainer.type` names; the section's keys are its options, if it takes them."""
        section = self.config["trainer"]
        definition = definitions("trainer")[section["type"]]
        parameters, is_open = definition.parameters
        options = {name: value for name, value in section.items() if name not in RUN_KEYS} | {"config": self.config}
        options = {name: value for name, value in options.items() if is_open or name in parameters}
        return _call("trainer", definition.load(), *args, **kwargs, **options, **section["args"])

    def trained_model(self, checkpoint: dict[str, Any]) -> Any:
        """The model that `arch` describes with a checkpoint's trained weights, in evaluation mode, on the CPU."""
        from utils.checkpoint import load_model, trained_weights

        model = self.init_model()
        load_model(model, trained_weights(checkpoint))
        return model.eval()


def _call(key: str, build: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call a constructor; what it raises because of the config's arguments becomes a ConfigError."""
    try:
        return build(*args, **kwargs)
    except Exception as error:  # torch's optimizers and schedulers raise anything; RuntimeError: no such tensor
        if key.startswith(("optim", "lr_")) or isinstance(error, ValueError | OSError | RuntimeError | MemoryError):
            raise ConfigError(key, [str(error) or type(error).__name__]) from error
        raise
