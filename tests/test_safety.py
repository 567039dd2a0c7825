"""No text is ever run as code: checkpoints hold tensors and plain values, and a config's words choose among names.

In a copy, this is held of the core's files: what its owner writes in files of their own is theirs.
"""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
CORE = ("base/**/*.py", "logger/**/*.py", "utils/**/*.py", "train.py", "test.py", "parse_config.py",
        "trainer/trainer.py")  # fmt: skip
ALL = (*CORE, "*.py", *(f"{room}/**/*.py" for room in ("data_loader", "model", "trainer", "tools", "benchmarks")))
IS_TEMPLATE = (PROJECT / "new_project.py").is_file()
FILES = sorted({path for pattern in (ALL if IS_TEMPLATE else CORE) for path in PROJECT.glob(pattern)})


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def imported(tree: ast.AST) -> set[str]:
    """The top-level packages that some code imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


# What unpickles, runs text, or lets torch unpickle more. They may not be imported, called or mentioned.
UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "runpy", "code",
                  "builtins"}  # fmt: skip
UNSAFE_BUILTINS = {"eval", "exec", "compile", "__import__"}
UNSAFE_ATTRIBUTES = {"add_safe_globals", "safe_globals", "read_pickle", "system", "popen"}
CHOOSES_CODE = {"utils/config/catalog.py"}  # of names that stand in the project's own source, see test_catalog.py


def faults_of(source: str, path: str) -> list[str]:
    """What would let a file's or a config's text be code."""
    tree = ast.parse(source)
    own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}  # a parameter may be called compile
    found = [f"imports {name}" for name in imported(tree) & UNSAFE_MODULES]
    for node in ast.walk(tree):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name in (UNSAFE_BUILTINS - own if isinstance(node, ast.Name) else UNSAFE_ATTRIBUTES):
            found.append(f"line {node.lineno} uses {name}")
        if name in ("import_module", "getattr") and path not in CHOOSES_CODE and not _has_fixed_name(tree, node):
            found.append(f"line {node.lineno} uses {name} with a name that is not written there")
        if isinstance(node, ast.Call):
            safe = [k for k in node.keywords if k.arg == "weights_only" and getattr(k.value, "value", None) is True]
            given = [k for k in node.keywords if k.arg in ("weights_only", "allow_pickle")]
            loads = ast.unparse(node.func) in ("torch.load", "torch.hub.load_state_dict_from_url")
            if given != safe or (loads and not safe):
                found.append(f"line {node.lineno} loads without weights_only=True")
    return found


def _has_fixed_name(tree: ast.AST, function: ast.AST) -> bool:
    """Whether a use of getattr or import_module is a call in which the name is a text."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.func is function]
    return bool(calls) and isinstance(calls[0].args[-1 if len(calls[0].args) == 1 else 1], ast.Constant)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_code_is_chosen_or_run_by_text(path):
    """Checkpoints hold tensors and plain values; a config's text is never code."""
    assert faults_of(path.read_text(encoding="utf-8"), name_of(path)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import joblib",
        "eval('1')",
        "run = exec",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "import torch\nsafe = False\ntorch.load('x', weights_only=safe)",
        "import torch\ntorch.serialization.add_safe_globals([int])",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import importlib\nimportlib.import_module(config['type'])",
        "getattr(torch.optim, config['type'])",
        "import os\nos.system('ls')",
    ],
)
def test_the_walk_through_the_source_finds(source):
    assert faults_of(source, "x.py") != []


def test_the_walk_through_the_source_leaves_alone():
    source = "# eval(x), pickle\n'exec'\nre.compile('a')\ngetattr(x, 'name', None)\nmodel.eval()\n"
    assert faults_of(source + "torch.load(path, weights_only=True)", "x.py") == []
