"""The benchmarks of the data run, and time what they say."""

import re
import sys

import pytest

from benchmarks import augmentation, batches
from benchmarks.timing import time_in_turns


@pytest.mark.parametrize(
    ("module", "arguments", "names"),
    [
        (augmentation, ["--images", "64"], ["PIL image", "a tensor", "BaseDataLoader"]),
        (batches, [], ["plain indexing", "BaseDataLoader"] * 3),
    ],
)
def test_minimum_and_median_of_each_are_printed(monkeypatch, capsys, module, arguments, names):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--rounds", "1", *arguments])
    module.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if " min " in line]
    assert len(rows) == len(names)
    for row, name in zip(rows, names, strict=True):
        minimum, median = map(float, re.search(r"min +([\d.]+) +median +([\d.]+)", row).groups())
        assert name in row and 0 < minimum <= median


def test_functions_take_turns_and_the_first_round_is_left_out():
    calls = []

    def work(name: str) -> int:
        calls.append(name)
        return 10

    times = time_in_turns({name: lambda name=name: work(name) for name in "ab"}, rounds=3)
    assert calls == ["a", "b"] * 4 and [len(values) for values in times.values()] == [3, 3]
