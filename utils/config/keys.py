"""What a config may hold: every key, what it accepts, and its default. A new key of the template is a line here."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

REQUIRED = object()
MAX_EPOCHS = 10_000_000
MAX_THREADS = 1024
Test = Callable[[Any], bool]


@dataclass(frozen=True)
class Key:
    """A key with a plain value: what is accepted, in words and as a test, and the default."""

    accepted: str
    test: Test
    default: Any = REQUIRED


@dataclass(frozen=True)
class Object:
    """A key that names code: the package it is looked up in, the kind it must be, how many arguments the code gives."""

    package: str
    kind: str
    n_given: int = 0
    plain_name: bool = False
    default: Any = REQUIRED


def _integer(minimum: int, maximum: float = float("inf")) -> Test:
    return lambda v: type(v) is int and minimum <= v <= maximum


def _number(test: Test) -> Test:
    return lambda v: isinstance(v, int | float) and not isinstance(v, bool) and test(v)


def _one_of(*values: Any) -> Test:
    return lambda v: any(type(v) is type(value) and v == value for value in values)


def _kind(kind: type) -> Test:
    return lambda v: isinstance(v, kind)


def _or_null(test: Test) -> Test:
    return lambda v: v is None or test(v)


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


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and value != ""


def _is_monitor(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"off|(min|max) \S+", value))


def _is_split(value: Any) -> bool:
    return _integer(0)(value) or (isinstance(value, float) and 0.0 <= value < 1.0)


FOLDER_NAME = "a folder's name: no slash, no leading dot, at most 100 characters"

KEYS = {
    "name": Key(FOLDER_NAME, is_folder_name),
    "n_gpu": Key("an integer >= 0", _integer(0), 1),
    "threads": Key(f"an integer from 1 to {MAX_THREADS}, or null", _or_null(_integer(1, MAX_THREADS)), None),
    "seed": Key("an integer from 0 to 2^32 - 1", _integer(0, 2**32 - 1), 123),
    "trainer.type": Key("a class name", _kind(str), "Trainer"),
    "trainer.args": Key("an object", _kind(dict), {}),
    "trainer.epochs": Key(f"an integer >= 1 and at most {MAX_EPOCHS:,}", _integer(1, MAX_EPOCHS)),
    "trainer.save_dir": Key("a folder's path", _is_path, "saved/"),
    "trainer.save_period": Key("an integer >= 1 (epochs)", _integer(1), 1),
    "trainer.save_every_steps": Key("an integer >= 0 (steps; 0 is off)", _integer(0), 0),
    "trainer.keep_last": Key("an integer >= 1, or null", _or_null(_integer(1)), None),
    "trainer.verbosity": Key("0 (warnings), 1 (epochs) or 2 (everything)", _integer(0, 2), 2),
    "trainer.monitor": Key('"off", "min METRIC" or "max METRIC"', _is_monitor, "off"),
    "trainer.early_stop": Key("an integer >= 0 (epochs; 0 is off)", _integer(0), 0),
    "trainer.tensorboard": Key("true or false", _kind(bool), True),
    "trainer.schedule_per": Key('"epoch" or "step"', _one_of("epoch", "step"), "epoch"),
    "trainer.warmup_steps": Key("an integer >= 0 (steps)", _integer(0), 0),
    "trainer.accumulate": Key("an integer >= 1 (parts of a batch)", _integer(1), 1),
    "trainer.amp": Key('"bf16", "fp16" or null', _one_of("bf16", "fp16", None), None),
    "trainer.channels_last": Key("true or false", _kind(bool), False),
    "trainer.clip_grad_norm": Key("a number above 0, or null", _or_null(_number(lambda v: v > 0)), None),
    "trainer.compile": Key("true or false", _kind(bool), False),
    "trainer.ema": Key("a decay between 0 and 1, or null", _or_null(_number(lambda v: 0 < v < 1)), None),
    "trainer.on_nan": Key('"stop" or "skip"', _one_of("stop", "skip"), "stop"),
}
NOT_FOR_TRAINER = ("type", "args", "save_dir", "verbosity")  # keys of the trainer's section that train.py reads itself


def check_options(**options: Any) -> None:
    """Raise ValueError for values that a trainer's options may not have, from a config or from a notebook."""
    keys = {name: KEYS[name if name in KEYS else f"trainer.{name}"] for name in options}
    wrong = [
        f"{name} is {options[name]!r}, not {key.accepted}" for name, key in keys.items() if not key.test(options[name])
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


OBJECTS = {
    "arch": Object("model", "BaseModel"),
    "data_loader": Object("data_loader", "BaseDataLoader"),
    "optimizer": Object("torch.optim", "Optimizer", n_given=1),
    "loss": Object("model.loss", "function", n_given=2, plain_name=True),
    "metrics": Object("model.metric", "function", n_given=2, plain_name=True, default=[]),
    "lr_scheduler": Object("torch.optim.lr_scheduler", "LRScheduler", n_given=1, default=None),
}
TRAINER = Object("trainer", "BaseTrainer")
# They need what JSON cannot say: a closure, sparse gradients, functions, other schedulers.
NOT_FROM_JSON = ("LBFGS", "SparseAdam", "LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler")

# Arguments whose range is known beforehand, so that they are refused together with everything else.
RANGES = {
    "data_loader.args.batch_size": Key("an integer >= 1", _integer(1)),
    "data_loader.args.num_workers": Key("an integer >= 0 and at most 256", _integer(0, 256)),
    "data_loader.args.validation_split": Key("a share from 0.0 to below 1.0, or a number of samples", _is_split),
    "optimizer.args.lr": Key("a number >= 0", _number(lambda v: v >= 0)),
    # torch divides by these, the first time after an epoch
    "lr_scheduler.args.step_size": Key("an integer >= 1", _integer(1)),
    "lr_scheduler.args.T_max": Key("an integer >= 1", _integer(1)),
    "lr_scheduler.args.T_0": Key("an integer >= 1", _integer(1)),
    "lr_scheduler.args.total_iters": Key("an integer >= 1", _integer(1)),
}

LOG_COLUMNS = ("epoch", "step", "loss", "lr", "seconds")  # of every log, which no metric may be called
