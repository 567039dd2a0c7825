from pathlib import Path

import pytest
import torch

from utils.config import catalog, definitions
from utils.config.catalog import REQUIRED, Parameter
from utils.errors import UserError


def test_what_torch_exports_is_found_without_importing_it():
    optimizers = {name for name, found in definitions("torch.optim").items() if found.is_a("Optimizer")}
    assert optimizers == {
        name
        for name in torch.optim.__all__
        if isinstance(getattr(torch.optim, name), type) and name not in ("Optimizer", "lr_scheduler")
    }


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "LBFGS"])
def test_parameters_are_those_of_the_real_signature(name):
    import inspect

    found = definitions("torch.optim")[name]
    real = inspect.signature(found.load()).parameters
    parameters, is_open = found.parameters
    assert list(parameters) == list(real)
    for name, parameter in parameters.items():
        assert (parameter.default is REQUIRED) == (real[name].default is inspect.Parameter.empty)
        assert parameter.default in (REQUIRED, ..., real[name].default)
    assert not is_open


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package `shapes` in a project of its own."""
    monkeypatch.setattr(catalog, "PROJECT", tmp_path)
    (tmp_path / "shapes").mkdir()
    definitions.cache_clear()
    yield tmp_path / "shapes"
    definitions.cache_clear()


def test_keyword_arguments_stand_for_what_the_base_class_leaves_open(package):
    (package / "a.py").write_text(
        "class Base:\n    def __init__(self, data, size: int, color='red', *, flag=False): ...\n"
        "class Child(Base):\n    def __init__(self, width, **rest): super().__init__(None, flag=True, **rest)\n"
        "class Heir(Child):\n    pass\n"
        "class Dark(Base):\n    def __init__(self, **rest): self.rest = rest\n"
    )
    found = definitions("shapes")
    for name in ("Child", "Heir"):
        parameters, is_open = found[name].parameters
        assert list(parameters) == ["width", "size", "color"]
        assert parameters["size"] == Parameter("int")
        assert parameters["color"].default == "red"
        assert not is_open
    assert found["Dark"].parameters == ({}, True)
    assert found["Heir"].is_a("Base") and not found["Base"].is_a("Heir")


def test_private_nested_and_dunder_names_are_not_found(package):
    (package / "a.py").write_text("class _Hidden: ...\ndef outer():\n    def inner(): ...\n__x__ = 1\n")
    assert set(definitions("shapes")) == {"outer"}


def test_looking_up_runs_nothing(package):
    (package / "trap.py").write_text("raise SystemExit('imported')\nclass Trap:\n    def __init__(self, a): ...\n")
    assert list(definitions("shapes")["Trap"].parameters[0]) == ["a"]


def test_a_class_named_like_its_base_ends_the_search(package):
    (package / "a.py").write_text("import torch\nclass Adam(torch.optim.Adam): ...\n")
    assert definitions("shapes")["Adam"].parameters == ({}, True)


def test_folders_in_a_package_are_searched_but_not_hidden_ones(package):
    for folder in ("round/thick", ".checkpoints", "__pycache__"):
        (package / folder).mkdir(parents=True)
        (package / folder / "a.py").write_text(f"class In{len(folder)}: ...\n")
    found = definitions("shapes")
    assert {name: definition.module for name, definition in found.items()} == {"In11": "shapes.round.thick.a"}


def test_a_file_that_is_no_python_is_named_with_the_line(package):
    (package / "a.py").write_text("class Right: ...\n\nclass Wrong:\n    def f(:\n")
    with pytest.raises(UserError, match=r"shapes/a\.py:4: not valid Python: invalid syntax"):
        definitions("shapes")
