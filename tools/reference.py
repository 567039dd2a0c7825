"""Write docs/reference.md and config.schema.json from the code: every key of a config, every type that it can name.

python -m tools.reference

A test compares the two files with the code, so that they are never behind. In your own project, run it after you added
a class: an editor then completes its name and its arguments.
"""

import argparse
import ast
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.meanings import accepted, arguments_of, from_json, in_words, meanings, named_by
from tools.schema import config_schema
from utils.config import (
    NOT_FROM_JSON,
    RANGES,
    REQUIRED,
    TOP,
    Definition,
    Parameter,
    definitions,
    make_parser,
    trainer_keys,
)
from utils.errors import run_command

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "reference.md"
SCHEMA = PROJECT / "config.schema.json"


def main(argv: list[str] | None = None) -> None:
    """Write both files."""
    what = "Write docs/reference.md and config.schema.json from the code."
    argparse.ArgumentParser("python -m tools.reference", description=what).parse_args(argv)
    PAGE.parent.mkdir(exist_ok=True)
    for path, text in ((PAGE, page()), (SCHEMA, json.dumps(config_schema(), indent=1) + "\n")):
        path.write_text(text, encoding="utf-8")
        print(f"Written: {path.relative_to(PROJECT)}")


def page() -> str:
    """The page as Markdown."""
    words = meanings()
    trainer = {f"trainer.{name}": key for name, key in trainer_keys().items()}
    common = definitions("base")["BaseDataLoader"]
    options = from_json(common.parameters[0], "data_loader")
    sections = [
        "# Reference\n\nWritten from the code by `python -m tools.reference`: change it there. How to use it "
        "all stands in\n[everyday use](everyday.md) and [options of the training](08_training_options.md).",
        "## Options of train.py and test.py\n\n" + _option_table(),
        "## Tools\n\n`python -m tools.NAME --help` says more.\n\n" + _tool_table(),
        "## Keys of a config\n\nA key without a default is needed.\n\n" + _key_table(TOP, words),
        "## Keys of `trainer`\n\n" + _key_table(trainer, words),
        "## Arguments of every data loader\n\nKeys of `data_loader.args`, beside those of its type.\n\n"
        + _key_table(options, words),
        "## What `type` can name",
    ]
    for key, name in (("arch", "Models"), ("data_loader", "Data loaders"), ("trainer", "Trainers"),
                      ("loss", "Losses"), ("metrics", "Metrics")):  # fmt: skip
        own = {name: code for name, code in named_by(key).items() if not code.package.startswith("torch")}
        sections.append(f"### {name}: `{key}`\n\n" + _type_table(key, own))
    sections.append(
        "### Optimizers, schedulers and losses of torch\n\n`optimizer` names any class of `torch.optim`, "
        "`lr_scheduler` any of `torch.optim.lr_scheduler`, and `loss` also any\nloss of `torch.nn`, such as "
        "`HuberLoss`, but those that need what JSON cannot say, or more than an output and a target: "
        + ", ".join(f"`{name}`" for name in NOT_FROM_JSON)
        + "."
    )
    return "\n\n".join(sections) + "\n"


def _option_table() -> str:
    rows, test = [], {action.dest for action in make_parser("test")._actions}
    for action in make_parser("train")._actions:
        names = ", ".join(f"`{name}`" for name in action.option_strings)
        of = "both" if action.dest in test else "train.py"
        rows.append((names, of, action.help or ""))
    return _table(("option", "of", "meaning"), rows[1:])  # without --help


def _tool_table() -> str:
    rows = []
    for path in sorted([*(PROJECT / "tools").glob("*.py"), *(PROJECT / "tools").glob("*/__main__.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.If) for node in tree.body) and "__main__" in path.read_text(encoding="utf-8"):
            name = path.parent.name if path.stem == "__main__" else path.stem
            rows.append((f"`python -m tools.{name}`", (ast.get_docstring(tree) or "").splitlines()[0]))
    return _table(("command", "what it does"), rows)


def _key_table(keys: Mapping[str, Parameter], words: Mapping[str, str]) -> str:
    rows = []
    for name, key in keys.items():
        rows.append((f"`{name}`", words[name], accepted(RANGES.get(name, key.annotation)), _default(key)))
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
        rows.append((f"`{name}`", in_words(doc), ", ".join(shown)))
    return _table(("type", "what it is", "args"), rows)


def _default(key: Parameter) -> str:
    return "" if key.default in (REQUIRED, ...) else f"`{json.dumps(key.default)}`"


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
