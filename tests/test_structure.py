"""The rooms: who may import whom, and what is nobody else's."""

import ast
import functools
import graphlib
import importlib
import sys
import traceback
from pathlib import Path

import pytest
import torch
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from trainer import Trainer

PROJECT = Path(__file__).resolve().parent.parent

# Each room, and what it may import of the project beside itself. tools and benchmarks may import all of these.
ROOMS = {
    "utils": set(),
    "logger": {"utils"},
    "base": {"logger", "utils"},
    "model": {"base", "utils"},
    "data_loader": {"base", "utils"},
    "trainer": {"base", "logger", "model", "utils"},
}
SCRIPTS = {
    "parse_config": {"base", "utils"},
    "train": {"parse_config", "data_loader", "logger", "trainer", "utils"},
    "test": {"parse_config", "data_loader", "logger", "trainer", "utils"},
    "new_project": {"tools", "utils"},
}
# The rooms in utils, and the other rooms there that each may import. All may import utils' own files, which import no
# room; `config` only `errors`, so that a config is checked before torch is imported.
UTILS = {"config": set(), "parallel": set(), "data": {"parallel"}, "checkpoint": {"parallel"},
         "loop": {"data", "parallel"}}  # fmt: skip
# What each shows is its __all__.
DOORS = (*(f"utils.{room}" for room in UTILS), "logger.writers", "logger.figures", "trainer.parallel")
HEAVY = {"torchvision", "pandas", "sklearn", "matplotlib", "tensorboard", "ray", "scipy"}


def sources(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in PROJECT.glob(pattern))


IN_ROOMS = sources(*(f"{room}/**/*.py" for room in ROOMS))
ALL = [*IN_ROOMS, *sources("*.py", "tools/**/*.py", "benchmarks/**/*.py")]


def name_of(path: Path) -> str:
    """`utils/data/batch.py` is utils.data.batch, `base/__init__.py` is base."""
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in ALL}
MODULES_BY_FILE = {str(path): name for name, path in MODULES.items()}
each_of = pytest.mark.parametrize


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(tree: ast.AST) -> set[str]:
    """What some code imports; of `from utils.data import to_device`, utils.data.to_device."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def top_level(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def modules_imported(path: Path) -> set[str]:
    """The project's modules that a file imports."""
    names = imported(tree_of(path))
    return {name if name in MODULES else name.rpartition(".")[0] for name in names} & MODULES.keys()


@each_of("path", ALL, ids=name_of)
def test_arrows_point_one_way(path):
    [room] = top_level({name_of(path)})
    allowed = (ROOMS | SCRIPTS).get(room, {*ROOMS, "parse_config", "train"})
    assert top_level(modules_imported(path)) <= allowed | {room}


@each_of("path", sources("utils/**/*.py"), ids=name_of)
def test_arrows_within_utils(path):
    room = path.relative_to(PROJECT / "utils").with_suffix("").parts[0]
    found = {name.split(".")[1] for name in modules_imported(path)} - {room}
    assert found & UTILS.keys() <= UTILS.get(room, set())
    if room == "config":
        assert found <= {"errors"}
    if room in ("config", "errors"):
        assert top_level(imported(tree_of(path))) <= {*sys.stdlib_module_names, "utils"}


def test_no_imports_go_in_a_circle():
    graph = {name: modules_imported(path) for name, path in MODULES.items()}
    assert {*graphlib.TopologicalSorter(graph).static_order()} == MODULES.keys()  # a CycleError names the circle


@each_of("path", [*ALL, *sources("tests/**/*.py")], ids=name_of)
def test_a_room_is_entered_by_its_door(path):
    """The tests of a room may import its modules, other tests may patch them."""
    for door in DOORS:
        if f"{name_of(path)}.".startswith((f"{door}.", f"tests.{door}.")):
            continue
        module = importlib.import_module(door)
        shown = getattr(module, "__all__", dir(module))
        for name in imported(tree_of(path)):
            if name.startswith(f"{door}."):
                inside = name.removeprefix(f"{door}.")
                assert inside in shown or (path not in ALL and "." not in inside), name


def test_base_holds_only_classes_to_subclass():
    for path in sources("base/base_*.py"):
        public = [node for node in tree_of(path).body if not getattr(node, "name", "_").startswith("_")]
        assert public and all(isinstance(node, ast.ClassDef) for node in public), path
        assert {node.name for node in public} <= {*importlib.import_module("base").__all__}
    assert len(sources("base/base_*.py")) == len(sources("base/**/*.py")) - 1  # __init__.py


@each_of("path", IN_ROOMS, ids=name_of)
def test_heavy_packages_are_imported_where_they_are_used(path):
    at_top = [node for node in tree_of(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not top_level(imported(ast.Module(at_top, []))) & HEAVY


def test_from_the_epoch_to_the_model_there_are_three_functions():
    """All in trainer/trainer.py, so that a reader need not search."""
    calls = []

    class Model(nn.Linear):
        def forward(self, data):
            calls.append([(frame.filename, frame.name) for frame in traceback.extract_stack()])
            return super().forward(data)

    model = Model(2, 1)
    loader = BaseDataLoader(InMemoryDataset(torch.rand(4, 2), torch.rand(4, 1)), 4)
    Trainer(model, nn.functional.mse_loss, (), torch.optim.SGD(model.parameters(), 0.1), loader).train()
    way = [(MODULES_BY_FILE[file], name) for file, name in calls[0] if file in MODULES_BY_FILE]
    way = way[way.index(("trainer.trainer", "_train_epoch")) :]
    assert way == [("trainer.trainer", name) for name in ("_train_epoch", "train_step", "compute_loss")]
