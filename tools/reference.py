"""Write docs/reference.md from the code: every option, every key of a config, every type that it can name.

python -m tools.reference

A test compares the page with the code, so that it is never behind.
"""

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from parse_config import make_parser
from utils.config import (
    NOT_FROM_JSON,
    OBJECTS,
    RANGES,
    REQUIRED,
    TOP,
    Definition,
    Parameter,
    accepts,
    definitions,
    trainer_keys,
)
from utils.errors import run_command

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "reference.md"
NOT_IN_JSON = ("Callable", "Tensor", "Dataset")  # parameters of these types are for code alone
# What the keys mean that are no argument of a class, whose docstring would say it.
MEANINGS = {
    "name": "the folder of the runs below `trainer.save_dir`",
    "n_gpu": "0: stay on the CPU; 1: use a GPU if there is one; of more, one is used",
    "threads": "CPU threads, at most one per core. `null`: 1 for a small network on vectors, else what torch takes",
    "seed": "seeds weights, order of the data, dropout and augmentation",
    "arch": "the model, of `model/`",
    "data_loader": "the data, of `data_loader/`",
    "optimizer": "the optimizer, of `torch.optim`",
    "loss": "the loss, of `model/loss.py`: a name, or type and args",
    "metrics": "what to log beside the loss, of `model/metric.py`: names, or type and args",
    "lr_scheduler": "of `torch.optim.lr_scheduler`; stepped once an epoch, or see `trainer.schedule_per`. `null`: none",
    "trainer": "how to train: the keys of the next table",
    "trainer.type": "a trainer of your own, of `trainer/`",
    "trainer.args": "its own arguments",
    "trainer.save_dir": "where the runs go",
    "trainer.verbosity": "0: warnings, 1: a line per epoch, 2: the model too",
    "batch_size": "samples per step, on any number of processes",
    "shuffle": "a new order in every epoch",
    "drop_last": "leave out a last batch that is smaller",
}


def main(argv: list[str] | None = None) -> None:
    """Write the page."""
    argparse.ArgumentParser("python -m tools.reference", description="Write docs/reference.md.").parse_args(argv)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Written: {PAGE.relative_to(PROJECT)}")


def page() -> str:
    """The page as Markdown."""
    trainer = {f"trainer.{name}": key for name, key in trainer_keys().items()}
    common = definitions("base")["BaseDataLoader"]
    options = _from_json(common.parameters[0], "data_loader")
    sections = [
        "# Reference\n\nWritten from the code by `python -m tools.reference`: change it there. How to use it "
        "all stands in\n[everyday use](everyday.md) and [options of the training](08_training_options.md).",
        "## Options of train.py and test.py\n\n" + _option_table(),
        "## Tools\n\n`python -m tools.NAME --help` says more.\n\n" + _tool_table(),
        "## Keys of a config\n\nA key without a default is needed.\n\n" + _key_table(TOP, MEANINGS),
        "## Keys of `trainer`\n\n" + _key_table(trainer, MEANINGS | _trainer_meanings()),
        "## Arguments of every data loader\n\nKeys of `data_loader.args`, beside those of its type.\n\n"
        + _key_table(options, MEANINGS | argument_meanings(common)),
        "## What `type` can name",
    ]
    for key, name in (("arch", "Models"), ("data_loader", "Data loaders"), ("trainer", "Trainers"),
                      ("loss", "Losses"), ("metrics", "Metrics")):  # fmt: skip
        sections.append(f"### {name}: `{key}`\n\n" + _type_table(key, named_by(key)))
    sections.append(
        "### Optimizers and schedulers\n\n`optimizer` names any class of `torch.optim`, and `lr_scheduler` any of "
        "`torch.optim.lr_scheduler`, but those that need\nwhat JSON cannot say: "
        + ", ".join(f"`{name}`" for name in NOT_FROM_JSON)
        + "."
    )
    return "\n\n".join(sections) + "\n"


def named_by(key: str) -> dict[str, Definition]:
    """The definitions that `type` of this key can name."""
    found = definitions(OBJECTS[key].package).items()
    return {name: code for name, code in found if code.is_a(OBJECTS[key].kind) and name not in NOT_FROM_JSON}


def arguments_of(key: str, definition: Definition) -> dict[str, Parameter]:
    """The parameters that a config may give: not those that the code gives, and none that JSON cannot say."""
    parameters, _ = definition.parameters
    given = [*list(parameters)[: OBJECTS[key].n_given], "training"]
    if key == "trainer":
        given += [*definitions("trainer")["Trainer"].parameters[0]]
    return _from_json({name: parameter for name, parameter in parameters.items() if name not in given}, key)


def _from_json(parameters: Mapping[str, Parameter], key: str) -> dict[str, Parameter]:
    return {
        name: Parameter(RANGES.get(f"{key}.args.{name}", parameter.annotation), parameter.default)
        for name, parameter in parameters.items()
        if _accepted(parameter.annotation).partition(" ")[0] not in NOT_IN_JSON and name != "training"
    }


def argument_meanings(definition: Definition) -> dict[str, str]:
    """What a class's docstring says of each argument, in lines such as `momentum: how much of the last step stays.`"""
    found = re.findall(r"^(\w+(?:, \w+)*): (.*(?:\n {4}.*)*)", ast.get_docstring(definition.node) or "", re.MULTILINE)
    return {name: _in_words(text) for names, text in found for name in names.split(", ")}


def _trainer_meanings() -> dict[str, str]:
    found = definitions("base")["BaseTrainer"], definitions("trainer")["Trainer"]
    return {f"trainer.{name}": text for code in found for name, text in argument_meanings(code).items()}


def _in_words(text: str) -> str:
    """One line for a table, with None as JSON writes it."""
    text = re.sub(r"\bNone\b", "`null`", " ".join(text.split()).removesuffix("."))
    return re.sub(r"\S+<\w+>[\w.]+", r"`\g<0>`", text)


def _option_table() -> str:
    rows, test = [], {action.dest for action in make_parser("test")._actions}
    for action in make_parser("train")._actions:
        names = ", ".join(f"`{name}`" for name in action.option_strings)
        of = "both" if action.dest in test else "train.py"
        rows.append((names, of, action.help or ""))
    return _table(("option", "of", "meaning"), rows[1:])  # without --help


def _tool_table() -> str:
    rows = []
    for path in sorted((PROJECT / "tools").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.If) for node in tree.body) and "__main__" in path.read_text(encoding="utf-8"):
            rows.append((f"`python -m tools.{path.stem}`", (ast.get_docstring(tree) or "").splitlines()[0]))
    return _table(("command", "what it does"), rows)


def _key_table(keys: Mapping[str, Parameter], meanings: Mapping[str, str]) -> str:
    rows = []
    for name, key in keys.items():
        accepted = _accepted(RANGES.get(name, key.annotation))
        rows.append((f"`{name}`", meanings.get(name, ""), accepted, _default(key)))
    return _table(("key", "meaning", "accepts", "default"), rows)


def _type_table(key: str, found: Mapping[str, Definition]) -> str:
    inherited = definitions("base")["BaseDataLoader"].parameters[0] if key == "data_loader" else {}
    rows = []
    for name, definition in found.items():
        known = arguments_of(key, definition).items()
        own = {argument: p for argument, p in known if p.default is REQUIRED or argument not in inherited}
        shown = [f"`{argument}`" if p.default in (REQUIRED, ...) else f"`{argument}={json.dumps(p.default)}`"
                 for argument, p in own.items() if argument != "batch_size"]  # fmt: skip
        doc = (ast.get_docstring(definition.node) or "").partition("\n\n")[0]
        rows.append((f"`{name}`", _in_words(doc), ", ".join(shown)))
    return _table(("type", "what it is", "args"), rows)


def _accepted(annotation: str) -> str:
    """What an annotation accepts, in the config check's words."""
    return accepts(annotation, None)[1].replace("Any", "")


def _default(key: Parameter) -> str:
    return "" if key.default in (REQUIRED, ...) else f"`{json.dumps(key.default)}`"


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
