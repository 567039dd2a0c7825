"""A run's folder, read for people: all that is there and can be read, and a note of what cannot."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.errors import UserError

MAX_BYTES = 50_000_000  # of a file; more is not read
MAX_PICTURES = 40
MAX_LINES = 12  # of the log that are shown
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Run:
    """What is known of a run; what is missing is empty. tests: by the file's suffix, the numbers of each test."""

    path: Path
    label: str  # the folder's name; among several runs, one that is no other's
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    tests: dict[str, dict[str, Any]] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    said: list[tuple[bool, str]] = field(default_factory=list)  # lines of the log: whether it warns, and its words
    faults: list[str] = field(default_factory=list)

    @property
    def test(self) -> dict[str, Any]:
        """The numbers of the test on the run's own data."""
        return self.tests.get("", {})

    def option(self, *keys: str, default: Any = None) -> Any:
        """A value of the config, such as option("trainer", "epochs")."""
        value: Any = self.config
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return default if value is None else value

    @property
    def monitor(self) -> str:
        return str(self.option("trainer", "monitor", default="off"))

    @property
    def numbers(self) -> list[str]:
        """The names of the numbers of an epoch, without `val_`."""
        names = dict.fromkeys(name.removeprefix("val_") for record in self.records for name in record)
        return [name for name in names if name not in ("epoch", "step", "seconds")]

    @property
    def best(self) -> dict[str, Any]:
        """The record of the best epoch; without a monitor, or a number of it, the last; {} before the first."""
        from logger.figures import best_epoch

        epoch = best_epoch(self.records, self.monitor)
        return next((record for record in self.records if record["epoch"] == epoch), (self.records or [{}])[-1])


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Several runs; those with the same name are told apart by the folder above. UserError: as for one."""
    runs = [read_run(path) for path in paths]
    names = [run.label for run in runs]
    for run in runs:
        if names.count(run.label) > 1:
            run.label = f"{run.path.parent.name}/{run.path.name}"
    return runs


def read_run(path: Path) -> Run:
    """A run's folder, or that of a checkpoint. Raises UserError if it is none."""
    path = path.parent if path.suffix == ".pth" else path
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; name a run's, saved/<name>/<run_id>")
    run = Run(path.resolve(), path.resolve().name)
    if not (path / "metrics.jsonl").is_file() and not (path / "config.json").is_file():
        raise UserError(f"{path} is no run's folder: it has neither metrics.jsonl nor config.json{_nearby(path)}")
    run.config = _read_json(run, "config.json")
    run.environment = _read_json(run, "environment.json")
    run.records = _read_records(run)
    for file in sorted(path.glob("test_metrics*.json")):
        if numbers := {k: v for k, v in _read_json(run, file.name).items() if v is None or _is_number(v)}:
            run.tests[file.stem.removeprefix("test_metrics").lstrip("-")] = numbers
    run.said = _read_log(run)
    run.pictures = _read_pictures(run)
    return run


def _nearby(path: Path) -> str:
    """A hint for who names the folder above."""
    found = sorted(file.parent for pattern in ("*/config.json", "*/*/config.json") for file in path.glob(pattern))
    return f"; did you mean {found[-1]}?" if found else ""


def _read_bytes(run: Run, name: str) -> bytes:
    """A file's content; nothing, with a note, where it cannot be read. A link leads out of the folder: not followed."""
    file = run.path / name
    try:
        if file.is_symlink() or (file.exists() and not file.is_file()):
            run.faults.append(f"{name} is no file of its own and was not read")
        elif file.exists() and file.stat().st_size > MAX_BYTES:
            run.faults.append(f"{name} has more than {MAX_BYTES:,} bytes and was not read")
        elif file.exists():
            return file.read_bytes()
    except OSError as error:
        run.faults.append(f"{name} cannot be read: {error.strerror}")
    return b""


def _read_json(run: Run, name: str) -> dict[str, Any]:
    content = _read_bytes(run, name)
    try:
        value = json.loads(content) if content else {}
        json.dumps(value)  # what is nested too deep to be written is not shown either
        if isinstance(value, dict):
            return value
    except (RecursionError, ValueError):
        pass
    run.faults.append(f"{name} is damaged")
    return {}


def _read_records(run: Run) -> list[dict[str, Any]]:
    """The epochs in ascending order; a damaged line costs itself alone."""
    records, n_bad = {}, 0
    for line in _read_bytes(run, "metrics.jsonl").split(b"\n"):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            epoch = record["epoch"]
            if not isinstance(epoch, int) or not 0 <= epoch < 10**9:
                raise ValueError
            records[epoch] = {str(name): value if _is_number(value) else None for name, value in record.items()}
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            n_bad += 1
    if n_bad:
        run.faults.append(
            f"{n_bad} damaged line{'s' * (n_bad > 1)} of metrics.jsonl {'are' if n_bad > 1 else 'is'} left out"
        )
    return [records[epoch] for epoch in sorted(records)]


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)
    )


def _read_log(run: Run) -> list[tuple[bool, str]]:
    """What the log says of data, model and steps, and its warnings, each once."""
    found: dict[str, bool] = {}
    for line in _read_bytes(run, "train.log").decode(errors="replace").split("\n"):
        level, _, words = line[24:].partition(" ")  # behind the time
        words = words.strip()
        if level in ("WARNING", "ERROR") or (level == "INFO" and words.startswith(("Data:", "Model:", "Steps:"))):
            found[words] = level != "INFO"
    return [(is_warning, words) for words, is_warning in found.items()][:MAX_LINES]


def _read_pictures(run: Run) -> dict[str, bytes]:
    """The PNG files in figures/ and its sisters of tests on other data, by their names."""
    folders = sorted(path for path in run.path.glob("figures*") if path.is_dir() and not path.is_symlink())
    pictures = {}
    for file in (file for folder in folders for file in sorted(folder.glob("*.png"))):
        name = str(file.relative_to(run.path))
        content = _read_bytes(run, name) if len(pictures) < MAX_PICTURES else b""
        if content.startswith(PNG):
            pictures[name.removesuffix(".png")] = content
    return pictures
