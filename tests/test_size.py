"""People copy the core and own every line: there are not too many."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CORE_BUDGET = 3400  # lines of Python, comments included; without the writers and the figures
BESIDE_BUDGET = 1300
WAY_BUDGET = 1100  # of the files that docs/architecture.md says to read in half an hour
CORE = ("train.py", "test.py", "parse_config.py", "base/**/*.py", "logger/*.py", "utils/**/*.py", "trainer/trainer.py",
        "model/loss.py", "model/metric.py")  # fmt: skip


def core() -> list[Path]:
    return [path for pattern in CORE for path in PROJECT.glob(pattern)]


def n_lines(paths: list[Path]) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def test_the_core_is_small():
    assert n_lines(core()) <= CORE_BUDGET


def test_what_stands_beside_it_is_small():
    """Files of the rooms that belong to no example: they build a run's objects, look at them, run them side by side."""
    names = ("build", "check", "faults", "fingerprint", "parallel/*", "report", "several", "sizes")
    beside = [
        path for room in ("data_loader", "trainer") for name in names for path in PROJECT.glob(f"{room}/{name}.py")
    ]
    assert len(beside) == 14 and n_lines(beside) <= BESIDE_BUDGET


def test_no_file_of_it_is_long():
    for path in core():
        assert n_lines([path]) <= 300, path


def test_the_way_of_a_run_is_read_in_half_an_hour():
    section = (PROJECT / "docs" / "architecture.md").read_text("utf-8").split("## Read it in half an hour")[1]
    files = re.findall(r"^\d+\. `([\w/]+\.py)`", section, re.MULTILINE)
    assert len(files) == len(set(files)) == 8
    assert n_lines([PROJECT / file for file in files]) <= WAY_BUDGET
