"""Is this config right? Every fault at once, before torch is imported and before anything is built.

Works on a plain dict. Types are looked up only in the packages that OBJECTS lists, and read there as source text.
"""

import copy
import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from utils import catalog
from utils.errors import escape

REQUIRED = object()
MAX_EPOCHS = 10_000_000
MAX_THREADS = 1024
LOG_COLUMNS = ("epoch", "step", "loss", "lr", "seconds")
# They need what JSON cannot say: a closure, sparse gradients, functions, other schedulers.
NOT_FROM_JSON = ("LBFGS", "SparseAdam", "LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler")


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


def _above_0(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_folder_name(value: Any) -> bool:
    """Whether a text names one folder: no slash, no leading dot, nothing unprintable, at most 100 characters."""
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
    "threads": Key(
        f"an integer from 1 to {MAX_THREADS}, or null",
        lambda v: v is None or (_integer(v, 1) and v <= MAX_THREADS),
        None,
    ),
    "seed": Key("an integer from 0 to 2^32 - 1", lambda v: _integer(v) and v < 2**32, 123),
    "trainer.type": Key("a class name", lambda v: isinstance(v, str), "Trainer"),
    "trainer.args": Key("an object", lambda v: isinstance(v, dict), {}),
    "trainer.epochs": Key(f"an integer >= 1 and at most {MAX_EPOCHS:,}", lambda v: _integer(v, 1) and v <= MAX_EPOCHS),
    "trainer.save_dir": Key("a folder's path", lambda v: isinstance(v, str) and v.isprintable() and v != "", "saved/"),
    "trainer.save_period": Key("an integer >= 1 (epochs)", lambda v: _integer(v, 1), 1),
    "trainer.save_every_steps": Key("an integer >= 0 (steps; 0 is off)", _integer, 0),
    "trainer.keep_last": Key("an integer >= 1, or null", lambda v: v is None or _integer(v, 1), None),
    "trainer.verbosity": Key("0 (warnings), 1 (epochs) or 2 (everything)", lambda v: _integer(v) and v <= 2, 2),
    "trainer.monitor": Key(
        '"off", "min METRIC" or "max METRIC"',
        lambda v: isinstance(v, str) and bool(re.fullmatch(r"off|(min|max) \S+", v)),
        "off",
    ),
    "trainer.early_stop": Key("an integer >= 0 (epochs; 0 is off)", _integer, 0),
    "trainer.tensorboard": Key("true or false", _flag, True),
    "trainer.schedule_per": Key('"epoch" or "step"', lambda v: v in ("epoch", "step"), "epoch"),
    "trainer.warmup_steps": Key("an integer >= 0 (steps)", _integer, 0),
    "trainer.accumulate": Key("an integer >= 1 (parts of a batch)", lambda v: _integer(v, 1), 1),
    "trainer.amp": Key('"bf16", "fp16" or null', lambda v: v in ("bf16", "fp16", None), None),
    "trainer.channels_last": Key("true or false", _flag, False),
    "trainer.clip_grad_norm": Key("a number above 0, or null", lambda v: v is None or _above_0(v), None),
    "trainer.compile": Key("true or false", _flag, False),
    "trainer.ema": Key("a decay between 0 and 1, or null", lambda v: v is None or (_above_0(v) and v < 1), None),
    "trainer.on_nan": Key('"stop" or "skip"', lambda v: v in ("stop", "skip"), "stop"),
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
NOT_FOR_TRAINER = ("type", "args", "save_dir", "verbosity")  # keys of the trainer's section that train.py reads itself
SECTIONS = [*OBJECTS, *(key for key in KEYS if "." not in key), "trainer"]

# Arguments whose range is known beforehand, so that they are refused together with everything else.
RANGES = {
    "data_loader.args.batch_size": Key("an integer >= 1", lambda v: _integer(v, 1)),
    "data_loader.args.num_workers": Key("an integer >= 0 and at most 256", lambda v: _integer(v) and v <= 256),
    "data_loader.args.validation_split": Key(
        "a share from 0.0 to below 1.0, or a number of samples",
        lambda v: _integer(v) or (isinstance(v, float) and 0.0 <= v < 1.0),
    ),
    "optimizer.args.lr": Key("a number >= 0", lambda v: type(v) in (int, float) and v >= 0),
    # torch divides by these, the first time after an epoch
    "lr_scheduler.args.step_size": Key("an integer >= 1", lambda v: _integer(v, 1)),
    "lr_scheduler.args.T_max": Key("an integer >= 1", lambda v: _integer(v, 1)),
    "lr_scheduler.args.T_0": Key("an integer >= 1", lambda v: _integer(v, 1)),
    "lr_scheduler.args.total_iters": Key("an integer >= 1", lambda v: _integer(v, 1)),
}


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
        faults.append(f"trainer: {_show(trainer)} is not an object")
        trainer = complete({})["trainer"] | {"epochs": 1}
        config = config | {"trainer": trainer}
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
        parameters = [
            p for p in parameters[expected.n_given :] if p.name != "training"
        ]  # train.py and test.py say that
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
        faults = _unknown_keys(f"{path}.", unknown, sayable, f"argument of {name}")
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
    faults = _check_arguments("trainer.args", trainer["type"], trainer["args"], own, is_open)
    accepted = {p.name for p in parameters}
    for path, key in KEYS.items():
        name = path.removeprefix("trainer.")
        is_option = name != path and name not in NOT_FOR_TRAINER and not is_open
        if is_option and name not in accepted and trainer.get(name, key.default) != key.default:
            faults.append(f"{path}: {trainer['type']} does not take it")
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


def _unknown_keys(prefix: str, place: dict[str, Any], known: list[str], what: str = "key") -> list[str]:
    return [
        f"{prefix}{escape(key[:60])}: unknown {what}{did_you_mean(key, known)}; known are {', '.join(known) or 'none'}"
        for key in place
        if key not in known
    ]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ ", did you mean 'Adam'?" if a known name is near, else nothing."""
    by_lower_case = {option.lower(): option for option in known}
    nearest = difflib.get_close_matches(name[:60].lower(), by_lower_case, n=1)
    return f", did you mean {by_lower_case[nearest[0]]!r}?" if nearest else ""


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
