import ast
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils.config import catalog
from utils.config.catalog import accepts, definitions


def annotation(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


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
    assert [p.name for p in parameters] == list(real)
    assert [p.required for p in parameters] == [p.default is inspect.Parameter.empty for p in real.values()]
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
        assert [(p.name, p.required) for p in parameters] == [("width", True), ("size", True), ("color", False)]
        assert not is_open
    assert found["Dark"].parameters == ([], True)
    assert found["Heir"].is_a("Base") and not found["Base"].is_a("Heir")


def test_private_nested_and_dunder_names_are_not_found(package):
    (package / "a.py").write_text("class _Hidden: ...\ndef outer():\n    def inner(): ...\n__x__ = 1\n")
    assert set(definitions("shapes")) == {"outer"}


def test_looking_up_runs_nothing(package):
    (package / "trap.py").write_text("raise SystemExit('imported')\nclass Trap:\n    def __init__(self, a): ...\n")
    assert [p.name for p in definitions("shapes")["Trap"].parameters[0]] == ["a"]


def test_a_class_named_like_its_base_ends_the_search(package):
    (package / "a.py").write_text("import torch\nclass Adam(torch.optim.Adam): ...\n")
    assert definitions("shapes")["Adam"].parameters == ([], True)


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("int", [0, -3], [1.0, "1", True, None, []]),
        ("float", [0, 1.5], ["1", False, None]),
        ("bool", [True], [0, 1, "true"]),
        ("str | None", ["a", None], [1]),
        ("Optional[int]", [None, 2], ["2"]),
        ("Union[float, Tensor]", [0.1], ["0.1"]),
        ("list[int]", [[], [1, 2]], [[1, "a"], 3, {}]),
        ("tuple[float, float]", [[0.9, 1]], [[0.9], [1, 2, 3], ["a", "b"]]),
        ("tuple[int, ...]", [[1, 2, 3]], ["123"]),
        ("Literal['min', 'max']", ["min"], ["mean", 1]),
        ("dict[str, int]", [{"a": 1}], [[]]),
        ("Callable[[int], float]", [], ["f", 1, None]),
        ("torch.Tensor", [], [1.0, [1.0]]),
        ("'int'", [1], ["1"]),
        ("SomethingElse", [1, "a", None], []),
    ],
)
def test_annotations(text, right, wrong):
    assert all(accepts(annotation(text), value) for value in right)
    assert not any(accepts(annotation(text), value) for value in wrong)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_optional_adds_null_and_nothing_else(value):
    assert accepts(annotation("list[int] | None"), value) == (accepts(annotation("list[int]"), value) or value is None)
