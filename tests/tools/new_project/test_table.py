"""Tables as people have them: how they are read, and what is predicted."""

import json

import numpy as np
import pytest

import new_project
from parse_config import ConfigParser
from tools.new_project.table import config_for_table
from utils.errors import UserError, run_command


@pytest.fixture
def arguments(tmp_path):
    """`arguments(*lines)`: write the lines to a file; the arguments of the loader that is to read it."""

    def decide(*lines, target="y", task=None):
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines), encoding="utf-8")
        config, _ = config_for_table(path, target, task)
        parser = ConfigParser(config)
        assert parser.init_obj("data_loader").n_samples > 0
        usual = ("path", "target", "shuffle", "batch_size", "validation_split")
        return {name: value for name, value in config["data_loader"]["args"].items() if name not in usual}

    return decide


def rows(n, *columns, separator=","):
    """Lines of a table: of each column its name, and a function of the row's number."""
    names, functions = columns[::2], columns[1::2]
    return [separator.join(names), *(separator.join(str(f(i)) for f in functions) for i in range(n))]


def noise(i):
    return f"{np.sin(i * 37.7):.3f}"


CLASSES = {"task": "classification", "test_size": 0.2, "stratify": True}
NUMBERS = {"task": "regression", "test_size": 0.2}


@pytest.mark.parametrize(
    ("value", "expected"),
    {
        "two words": (lambda i: ("yes", "no")[i % 2], CLASSES),
        "booleans": (lambda i: i % 3 == 0, CLASSES),
        "two numbers": (lambda i: i % 2, CLASSES),
        "two numbers, not whole": (lambda i: (0.5, 1.5)[i % 2], CLASSES),
        "three numbers": (lambda i: i % 3 + 1, CLASSES),
        "three numbers, some missing": (lambda i: ("", 1, 2, 3)[i % 4], CLASSES),
        "ten numbers": (lambda i: i % 10, CLASSES | {"stratify": True}),
        "many whole numbers": (lambda i: i % 50, NUMBERS),
        "fractions": (noise, NUMBERS),
        "fractions, some missing": (lambda i: noise(i) if i % 9 else "?", NUMBERS | {"na_values": ["?"]}),
        "a class with one row": (lambda i: "rare" if i == 3 else "ab"[i % 2], CLASSES | {"stratify": False}),
        "words and numbers": (lambda i: ("1", "2", "3", "4 or more")[i % 4], CLASSES),
    }.values(),
)
def test_the_task_is_that_of_the_target(arguments, value, expected):
    assert arguments(*rows(100, "a", noise, "y", value)) == expected


def test_few_rows(arguments):
    assert arguments(*rows(30, "a", noise, "y", lambda i: i % 3)) == CLASSES
    assert arguments(*rows(12, "a", noise, "y", lambda i: "abcd"[i % 4])) == {
        "task": "classification", "test_size": 0.5, "stratify": False,
    }  # fmt: skip
    assert arguments(*rows(30, "a", noise, "y", lambda i: i % 10)) == NUMBERS  # three rows of each are no classes


def test_a_person_knows_better(arguments):
    assert arguments(*rows(99, "a", noise, "y", lambda i: i % 3), task="regression") == NUMBERS


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_found(arguments, separator):
    table = rows(60, "a", noise, "b, c", lambda i: i % 7, "y", lambda i: i % 2, separator=separator)
    assert arguments(*table) == CLASSES | {"separator": separator}


def test_decimal_commas_are_found(arguments):
    def with_comma(i):
        return noise(i).replace(".", ",")

    semicolons = rows(60, "a", with_comma, "b", lambda i: i % 7, "y", with_comma, separator=";")
    assert arguments(*semicolons) == NUMBERS | {"separator": ";", "decimal": ","}
    quoted = rows(60, "a", lambda i: f'"{with_comma(i)}"', "y", lambda i: i % 2)
    assert arguments(*quoted) == CLASSES | {"decimal": ","}


def test_a_comma_that_may_part_thousands_is_asked_about(arguments):
    table = rows(60, "a", lambda i: f'"{i + 1},{i + 100}"', "y", lambda i: i % 2)
    with pytest.raises(UserError, match=r"'a' holds '1,100', which may be 1100 or 1\.100; write it in one of these"):
        arguments(*table)


def test_gaps_and_codes_among_numbers(arguments):
    table = rows(60, "a", lambda i: "-" if i % 9 == 0 else noise(i), "b", lambda i: "12a" if i % 9 == 0 else i % 9,
                 "y", lambda i: i % 2)  # fmt: skip
    assert arguments(*table) == CLASSES | {"na_values": ["-"], "categories": ["b"]}


@pytest.mark.parametrize("name", ["zip", "Zip code", "PLZ", "post_code", "area_code"])
def test_codes_are_categories(arguments, name):
    expected = CLASSES | {"categories": [name]}
    assert arguments(*rows(60, "a", noise, name, lambda i: 10000 + i % 5, "y", lambda i: i % 2)) == expected


def test_prices_are_numbers(arguments):
    table = rows(60, "a", lambda i: f'"${1000 + i:,}.50"', "y", lambda i: f'"{(i * 37) % 60 + 1000:,} €"')
    assert arguments(*table) == NUMBERS


def decided(tmp_path, *lines):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return config_for_table(path, "y")


def test_of_many_columns_some_are_used_by_a_small_network(tmp_path):
    wide = [part for i in range(60) for part in (f"x{i}", lambda row, i=i: f"{np.sin((row + 1) * (i + 1) * 37.7):.3f}")]
    config, lines = decided(tmp_path, *rows(200, *wide, "y", lambda i: i % 2))
    assert config["data_loader"]["args"]["max_columns"] == 12  # of 128 rows to train on
    assert config["arch"]["args"] == {"sizes": ["auto", 32, "auto"], "dropout": 0.5}
    assert "60 columns are many for 128 rows to train on: the 12 that tell most are used" in lines


def test_rare_classes_count_as_much_as_frequent_ones(tmp_path):
    balanced = {"type": "cross_entropy", "args": {"weight": "balanced"}}
    config, lines = decided(tmp_path, *rows(200, "a", noise, "y", lambda i: "no" if i % 10 else "yes"))
    assert config["loss"] == balanced and "Classes of 20 to 180: in the loss each counts alike" in lines[-1]
    for n_rare, n in ((2, 200), (50, 150)):  # too few to learn from; nearly as many
        config, _ = decided(tmp_path, *rows(n, "a", noise, "y", lambda i, rare=n_rare: "yes" if i < rare else "no"))
        assert config["loss"] == "cross_entropy"


@pytest.mark.parametrize(
    ("lines", "target", "message"),
    [
        (rows(20, "a", noise, "cost", noise), None, "which column .* Add --target NAME; .* has a, cost"),
        (rows(20, "a", noise, "cost", noise), "costs", "there is no column 'costs', did you mean 'cost'"),
        (rows(20, "a", noise, "y", lambda i: f"text {i}"), "y", "20 classes in 20 rows"),
        (rows(20, "a", noise, "y", lambda i: 1), "y", "one class only"),
        (rows(20, "a", noise, "y", lambda i: ""), "y", "missing in all rows"),
        (rows(20, "row", lambda i: i, "y", lambda i: i % 2), "y", "nothing can be learnt from any column"),
        (["a,y"], "y", "has no row below its header"),
    ],
)
def test_what_cannot_be_learnt_is_one_line(arguments, lines, target, message):
    with pytest.raises(UserError, match=message):
        arguments(*lines, target=target)


def test_a_project_begins_with_a_table(tmp_path, capsys, refused):
    path = tmp_path / "my prices.csv"
    path.write_text("\n".join(rows(40, "Größe", noise, "y", noise)), encoding="utf-8")
    target = tmp_path / "mine"
    assert "Add --target NAME" in refused("new_project", target, "--from", path)
    assert "no file" in refused("new_project", target, "--from", tmp_path / "my price.csv", "--target", "y")
    assert "--from" in refused("new_project", target, "--target", "y")
    assert not target.exists()

    assert run_command(new_project.main, [str(target), "--from", str(path), "--target", "y"]) == 0
    printed = capsys.readouterr().out
    assert "Task: regression; 'y' holds" in printed and len(printed.splitlines()) <= 12
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    assert config["data_loader"]["args"]["path"] == str(path) and config["arch"]["args"]["sizes"][0] == "auto"
    for command in ("train.py -c config.json", "test.py -r 'saved/my prices/first'",
                    f"-m tools.predict -r 'saved/my prices/first' '{path}'"):  # fmt: skip
        assert command in printed and command in (target / "README.md").read_text()
    assert (target / "data_loader/table/columns.py").is_file() and (target / "docs/examples/csv.md").is_file()
    assert json.loads((target / "tests/example.json").read_text())["name"] == "Csv_Regression"
    assert "exists and is not empty" in refused("new_project", target, "--from", path, "--target", "y")
