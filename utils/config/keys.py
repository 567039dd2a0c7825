"""What a config may hold: every key, what it accepts, and its default.

The trainer's options are not listed: each is a parameter of `Trainer.__init__`, and is read there.
"""

import os
import re
from dataclasses import dataclass
from typing import Any

from utils.config.catalog import REQUIRED, Parameter, definitions

ENTRY = """Annotated[dict, '{"type": ..., "args": {...}}']"""


@dataclass(frozen=True)
class Object:
    """A key that names code: the package it is looked up in, the kind it must be, how many arguments the code gives."""

    package: str
    kind: str
    n_given: int = 0
    annotation: str = ENTRY
    default: Any = REQUIRED


OBJECTS = {
    "arch": Object("model", "BaseModel"),
    "data_loader": Object("data_loader", "BaseDataLoader"),
    "optimizer": Object("torch.optim", "Optimizer", 1),
    "loss": Object("model.loss", "function", 2, f"Annotated[str, 'a name'] | {ENTRY}"),
    "metrics": Object("model.metric", "function", 2, "Annotated[list[str | dict], 'a list of names']", []),
    "lr_scheduler": Object("torch.optim.lr_scheduler", "LRScheduler", 1, f"{ENTRY} | None", None),
    "trainer": Object("trainer", "BaseTrainer", annotation="dict", default={}),
}
KEYS = {
    "name": Parameter("Annotated[str, 'a folder name: no slash, no leading dot, at most 100 characters']"),
    "n_gpu": Parameter("Annotated[int, '>= 0']", 1),
    "threads": Parameter(f"Annotated[int, '>= 1', '<= {os.cpu_count()} (CPU cores)'] | None", None),
    "seed": Parameter(f"Annotated[int, '>= 0', '<= {2**32 - 1}']", 123),
    "trainer.type": Parameter("Annotated[str, 'a name']", "Trainer"),
    "trainer.args": Parameter("dict", {}),
    "trainer.save_dir": Parameter("Annotated[str, 'the path of a folder, such as ~/saved or saved/']", "saved/"),
    "trainer.verbosity": Parameter("Literal[0, 1, 2]", 2),
}
# What train.py gives a trainer; its other parameters are its options, keys of the section `trainer`.
NOT_OPTIONS = ("model", "criterion", "metrics", "optimizer", "data_loader", "valid_data_loader", "lr_scheduler",
               "threads", "config")  # fmt: skip
# Printable texts of a certain form. A home is ~ alone: ~user may be nobody's.
FORMS = {
    "name": r'(?![.\s])[^/\\:*?"<>|]{1,100}(?<!\s)',
    "trainer.save_dir": r"~(/.*)?|[^~].*",
    "trainer.monitor": r"off|(min|max) \S+",
}
# Ranges that a signature, such as one of torch's, does not say.
RANGES = {
    "data_loader.args.batch_size": "Annotated[int, '>= 1']",
    "data_loader.args.num_workers": "Annotated[int, '>= 0', '<= 256']",
    "data_loader.args.validation_split": "Annotated[int, '>= 0'] | Annotated[float, '>= 0', '< 1']",
    "optimizer.args.lr": "Annotated[float, '>= 0']",
    # torch divides by these, the first time after an epoch
    "lr_scheduler.args.step_size": "Annotated[int, '>= 1']",
    "lr_scheduler.args.T_max": "Annotated[int, '>= 1']",
    "lr_scheduler.args.T_0": "Annotated[int, '>= 1']",
    "lr_scheduler.args.total_iters": "Annotated[int, '>= 1']",
}
# They need what JSON cannot say: a closure, sparse gradients, functions, other schedulers.
NOT_FROM_JSON = ("LBFGS", "SparseAdam", "LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler")
LOG_COLUMNS = ("epoch", "step", "loss", "lr", "seconds")  # of every log, which no metric may be called


def all_keys() -> dict[str, Parameter | Object]:
    """KEYS, OBJECTS and, as `trainer.NAME`, the options of Trainer."""
    parameters, _ = definitions("trainer")["Trainer"].parameters
    options = {f"trainer.{name}": option for name, option in parameters.items() if name not in NOT_OPTIONS}
    epochs = Parameter(options["trainer.epochs"].annotation)  # its default is for notebooks
    return KEYS | OBJECTS | options | {"trainer.epochs": epochs}


def has_form(path: str, value: Any) -> bool:
    """Whether a value has the form that its key asks for, if it asks for one."""
    if path not in FORMS:
        return True
    return isinstance(value, str) and value.isprintable() and re.fullmatch(FORMS[path], value) is not None
