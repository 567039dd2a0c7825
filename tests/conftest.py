"""What the tests share: running the two commands in this process, and data where it can be had."""

import ast
import dataclasses
import gc
import importlib.util
import inspect
import json
import logging
import multiprocessing
import os
import signal
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from utils.config import definitions
from utils.errors import run_command

PROJECT = Path(__file__).resolve().parent.parent
EXAMPLE = next(path for path in (PROJECT / "tests/example.json", PROJECT / "config.json") if path.exists())
hypothesis.settings.register_profile("template", deadline=None, max_examples=50)  # the first example pays for imports
hypothesis.settings.register_profile("long", deadline=None, max_examples=20_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "template"))
gc.disable()  # until all that stays is imported


def pytest_collection_finish() -> None:
    """In each process that runs tests: the one that hands them out need not import torch."""
    import torch

    torch.set_num_threads(1)  # the models of the tests are tiny
    gc.freeze()  # the garbage collector passes over the modules and the tests, which are millions of objects
    gc.enable()


def load_script(name: str) -> ModuleType:
    """A script as a module. By path: `import test` would find Python's own package of that name."""
    spec = importlib.util.spec_from_file_location(Path(name).name, PROJECT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def define(monkeypatch: pytest.MonkeyPatch, package: str, own: type) -> str:
    """Let a config find a class of a test's module, as if its file lay in the package. Returns its name."""
    node = ast.parse(textwrap.dedent(inspect.getsource(own))).body[0]
    definition = dataclasses.replace(next(iter(definitions(package).values())), node=node, module=own.__module__)
    monkeypatch.setitem(definitions(package), own.__name__, definition)
    return own.__name__


def fork(function: Callable[[], object], log: Path) -> BaseProcess:
    """Start a real process that calls a function; what it says goes to `log`.

    It is a fork of this one: a new Python would take seconds to import torch.
    """
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")

    log.touch()

    def run() -> None:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        logging.getLogger().handlers.clear()  # those of the commands that this process has run
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.exit(function())

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def fork_command(name: str, *argv: str, log: Path) -> BaseProcess:
    """`fork_command("train", "-c", config, log=...)`: a real process of the command; see fork."""
    return fork(partial(run_command, load_script(name).main, list(argv)), log)


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The commands are run from the project's folder, as the README says, and are no terminal's."""
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.getbasetemp() / "torch"))  # where decoded images are kept
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Path]:
    """`train(example, "trainer.epochs=2", run_id="a")`: train.py -c ... -s ...; returns the run's folder."""
    main = load_script("train").main

    def run(config: str | Path, *settings: str, run_id: str = "run") -> Path:
        save_dir = tmp_path / "saved"
        argv = ["-c", str(config), "--run-id", run_id, "-s", f"trainer.save_dir={save_dir}", *settings]
        assert run_command(main, argv) == 0
        [run_dir] = save_dir.glob(f"*/{run_id}")
        return run_dir

    return run


@pytest.fixture(scope="session")
def example() -> str:
    """The config that the commands are tested with: config.json or, in a copy, where that is its owner's, the example
    it began with. An owner who has deleted the example's code needs no tests of it.
    """
    from utils.config import checked, read_json
    from utils.errors import ConfigError

    try:
        checked(read_json(EXAMPLE), str(EXAMPLE))
    except ConfigError as error:
        pytest.skip(f"the example is no longer here: {error}")
    return str(EXAMPLE)


@pytest.fixture(scope="session")
def offline(example: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The settings with which the example runs without a network.

    A loader that reads files, and a model that reads weights, say how: `offline_settings(folder)` in their tests.
    """
    from utils.config import definitions, named, read_json

    config, settings = read_json(Path(example)), []
    for package, entry in (
        ("data_loader", config["data_loader"]),
        *(("model", m) for m in named(config["arch"]).values()),
    ):
        module = definitions(package)[entry["type"]].path.stem
        tests = f"tests/{package}/test_{module}"
        make = getattr(load_script(tests), "offline_settings", None) if (PROJECT / f"{tests}.py").exists() else None
        settings += make(tmp_path_factory.mktemp(package)) if make else []
    return settings


@pytest.fixture
def refused(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """`refused("train", *argv)`: the command ends with exit code 2; returns what it says. Any traceback fails."""

    def run(command: str, *argv: str) -> str:
        capsys.readouterr()
        try:
            code = run_command(load_script(command).main, [str(argument) for argument in argv])
        except SystemExit as usage_error:
            code = usage_error.code
        assert code == 2
        return capsys.readouterr().err

    return run


@pytest.fixture
def resume() -> Callable[..., Path]:
    """`resume(run_dir, "trainer.epochs=4")`: train.py -r ... -s ...; returns the run's folder."""
    main = load_script("train").main

    def run(path: Path, *settings: str) -> Path:
        assert run_command(main, ["-r", str(path), *(["-s", *settings] if settings else [])]) == 0
        return path if path.is_dir() else path.parent

    return run


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict]:
    """`evaluate(run_dir_or_checkpoint)`: test.py -r ...; returns test_metrics.json. No pictures: they take long."""
    main = load_script("test").main
    monkeypatch.setattr("logger.figures.results.draw_figures", lambda *arguments: [])

    def run(path: Path, *settings: str) -> dict:
        assert run_command(main, ["-r", str(path), *(["-s", *settings] if settings else [])]) == 0
        return json.loads(((path if path.is_dir() else path.parent) / "test_metrics.json").read_text())

    return run


def read_metrics(run_dir: Path) -> list[dict]:
    """metrics.jsonl as a list, one dict per epoch."""
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(name="read_metrics")
def _read_metrics() -> Callable[[Path], list[dict]]:
    return read_metrics


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the project, for the tests that use it where it is there."""
    path = PROJECT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("no ../shared/data here")
    return path
