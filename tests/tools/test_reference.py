"""docs/reference.md is what the code says."""

import re

import pytest

from tools.meanings import argument_meanings, named_by
from tools.reference import PAGE, page
from utils.config import TOP, definitions, make_parser, trainer_keys

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_is_up_to_date():
    assert page() == TEXT, "run `python -m tools.reference`"


def rows(text: str) -> dict[str, list[str]]:
    """The tables' rows by their first cell."""
    lines = re.findall(r"^\| `(.+) \|$", text, re.MULTILINE)
    cells = [line.replace("\\|", "").split(" | ") for line in lines]
    return {first.split("`")[0]: rest for first, *rest in cells}


@pytest.mark.parametrize("key", [*TOP, *(f"trainer.{name}" for name in trainer_keys())])
def test_every_key_has_a_meaning(key):
    assert rows(TEXT)[key][0]


def test_every_argument_of_every_data_loader_has_a_meaning():
    section = TEXT.split("## Arguments of every data loader")[1].split("\n## ")[0]
    assert len(rows(section)) >= 8 and all(meaning for meaning, *_ in rows(section).values())


def test_every_option_and_type_is_there():
    for action in make_parser("train")._actions[1:]:
        assert all(f"`{name}`" in TEXT for name in action.option_strings) and action.help
    for key in ("arch", "data_loader", "trainer", "loss", "metrics"):
        own = [name for name, code in named_by(key).items() if not code.package.startswith("torch")]
        assert own and all(rows(TEXT)[name][0] for name in own), key


def test_a_docstring_is_read():
    meanings = argument_meanings(definitions("base")["BaseTrainer"])
    assert meanings["keep_last"] == "keep only so many of the newest `checkpoint-epoch<N>.pth`; `null`: all"
