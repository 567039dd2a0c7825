"""The rooms import one way, and heavy packages only where they are used."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent

# Each room, and what it may import of the project beside itself.
ROOMS = {
    "utils": {"utils"},
    "logger": {"logger", "utils"},
    "base": {"base", "logger", "utils"},
    "model": {"model", "base", "utils"},
    "data_loader": {"data_loader", "base", "utils"},
    "trainer": {"trainer", "base", "logger", "model", "utils"},
}
PROJECT_MODULES = {*ROOMS, "parse_config", "tools", "train", "test", "new_project", "benchmarks"}
HEAVY = {"torchvision", "pandas", "sklearn", "matplotlib", "tensorboard", "ray", "scipy"}
SOURCES = [path for room in ROOMS for path in sorted((PROJECT / room).glob("*.py"))]


def imported(tree: ast.AST) -> set[str]:
    """The top-level packages that some code imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_arrows_point_one_way(path):
    of_the_project = imported(ast.parse(path.read_text())) & PROJECT_MODULES
    assert of_the_project <= ROOMS[path.parent.name]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_heavy_packages_are_imported_where_they_are_used(path):
    top_level = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not imported(ast.Module(top_level, [])) & HEAVY


def test_no_code_is_chosen_or_run_by_text():
    """Checkpoints hold tensors and plain values; a config's text is never code."""
    forbidden = {"pickle", "eval", "exec", "__import__"}
    for path in [*SOURCES, *PROJECT.glob("*.py")]:
        tree = ast.parse(path.read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | imported(tree)
        assert not names & forbidden, path
        for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
            for keyword in call.keywords:
                assert keyword.arg != "weights_only" or keyword.value.value is True, path
