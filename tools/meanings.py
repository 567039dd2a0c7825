"""What a config's keys, arguments and types mean, read from the code: for the reference and the schema."""

import ast
import re
from collections.abc import Mapping

from utils.config import NOT_FROM_JSON, OBJECTS, RANGES, Definition, Parameter, accepts, definitions

NOT_IN_JSON = ("Callable", "Tensor", "Dataset")  # parameters of these types are for code alone
# What the keys mean that are no argument of a class, whose docstring would say it.
_OF_KEYS = {
    "name": "the folder of the runs below `trainer.save_dir`",
    "n_gpu": "0: stay on the CPU; 1: use a GPU if there is one; more: a process for each of so many GPUs",
    "threads": "CPU threads, at most one per core. `null`: 1 for a small network on vectors, else what torch takes",
    "seed": "seeds weights, order of the data, dropout and augmentation",
    "arch": 'the model, of `model/`; or several by name, `{"generator": {"type": ...}, ...}`',
    "data_loader": "the data, of `data_loader/`",
    "valid_data_loader": "data to validate with, where they come split; `null`: those of `validation_split`",
    "test_data_loader": "data to test with, all of them; `null`: the test split of `data_loader`",
    "optimizer": "the optimizer, of `torch.optim`; of several models one each, by name",
    "loss": "the loss, of `model/loss.py` or a class of `torch.nn`: a name, or type and args",
    "metrics": "what to log beside the loss, of `model/metric.py` or `sklearn_metric.py`: names, or type and args",
    "groups": 'options for some layers, by their name: `{"features": {"lr": 1e-5}}`',
    "freeze": "names of layers that do not learn",
    "lr_scheduler": "of `torch.optim.lr_scheduler`; stepped once an epoch, or see `trainer.schedule_per`. `null`: none",
    "trainer": "how to train: the keys of the next table",
    "trainer.type": "a trainer of your own, of `trainer/`",
    "trainer.args": "its own arguments",
    "trainer.save_dir": "where the runs go",
    "trainer.verbosity": "0: warnings, 1: a line per epoch, 2: the model too",
    "trainer.parallel": "of several processes, each has all weights (`ddp`), or a part of each (`fsdp`)",
    "batch_size": "samples per step, on any number of processes",
    "shuffle": "a new order in every epoch",
    "drop_last": "leave out a last batch that is smaller",
}


def meanings() -> dict[str, str]:
    """What each key means: those of a config, of its section `trainer`, and the arguments of every data loader."""
    trainers = definitions("base")["BaseTrainer"], definitions("trainer")["Trainer"]
    of_trainer = {f"trainer.{name}": text for code in trainers for name, text in argument_meanings(code).items()}
    return _OF_KEYS | of_trainer | argument_meanings(definitions("base")["BaseDataLoader"])


def named_by(key: str) -> dict[str, Definition]:
    """The definitions that `type` of this key can name."""
    found = definitions(OBJECTS[key].package).items()
    return {name: code for name, code in found if code.is_a(OBJECTS[key].kind) and name not in NOT_FROM_JSON}


def arguments_of(key: str, definition: Definition) -> dict[str, Parameter]:
    """The parameters that a config may give: not those that the code gives, and none that JSON cannot say."""
    parameters, _ = definition.parameters
    given = [*definition.given(OBJECTS[key]), "training", "fitted", "whole"]
    if key == "trainer":
        given += [*definitions("trainer")["Trainer"].parameters[0]]
    return from_json({name: parameter for name, parameter in parameters.items() if name not in given}, key)


def from_json(parameters: Mapping[str, Parameter], key: str) -> dict[str, Parameter]:
    return {
        name: Parameter(RANGES.get(f"{key}.args.{name}", parameter.annotation), parameter.default)
        for name, parameter in parameters.items()
        if accepted(RANGES.get(f"{key}.args.{name}", parameter.annotation)).partition(" ")[0] not in NOT_IN_JSON
        and name != "training"
    }


def argument_meanings(definition: Definition) -> dict[str, str]:
    """What a class's docstring says of each argument, in lines such as `momentum: how much of the last step stays.`"""
    found = re.findall(r"^(\w+(?:, \w+)*): (.*(?:\n {4}.*)*)", ast.get_docstring(definition.node) or "", re.MULTILINE)
    return {name: in_words(text) for names, text in found for name in names.split(", ")}


def in_words(text: str) -> str:
    """One line for a table, with None as JSON writes it."""
    text = re.sub(r"\bNone\b", "`null`", " ".join(text.split()).removesuffix("."))
    return re.sub(r"\S+<\w+>[\w.]+", r"`\g<0>`", text)


def accepted(annotation: str) -> str:
    """What an annotation accepts, in the config check's words."""
    return accepts(annotation, None)[1].replace("Any", "")
