import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.config import accepts


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("int", [0, -3], [1.0, "1", True, None, []]),
        ("float", [0, 1.5], ["1", False, None]),
        ("bool", [True], [0, 1, "true"]),
        ("str | None", ["a", None], [1]),
        ("float | Tensor", [0.1], ["0.1"]),
        ("list[int]", [[], [1, 2]], [[1, "a"], 3, {}]),
        ("tuple[float, float]", [[0.9, 1]], [0.9, ["a", "b"]]),
        ("tuple[int, ...]", [[1, 2, 3]], ["123", [1, "2"]]),
        ("Annotated[int, '>= 1', '<= 1_000'] | None", [1, 1000, None], [0, 1001, 1.5, True]),
        ("Annotated[float, '> 0', '< 1']", [0.5], [0, 1, 0.0, 1.0, "0.5"]),
        ("Annotated[str, 'a name']", ["x"], [1]),
        ("Annotated[str, 'a code', 'like [A-Z]+']", ["A", "AB"], ["a", "A1", "A\n", "", 1]),
        ("Annotated[str, 'a printable text', 'like (?s).*']", ["A", "가"], ["\n", "\x1b", "\u202e"]),
        ("Literal[0, 1]", [0, 1], [False, True, 2]),
        ("Literal['min', 'max']", ["min"], ["mean", 1]),
        ("dict[str, int]", [{"a": 1}], [[]]),
        ("Callable[[int], float]", [], ["f", 1, None]),
        ("torch.Tensor", [], [1.0, [1.0]]),
        ("SomethingElse", [1, "a", None], []),
    ],
)
def test_annotations(text, right, wrong):
    assert all(accepts(text, value)[0] for value in right)
    assert not any(accepts(text, value)[0] for value in wrong)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_optional_adds_null_and_nothing_else(value):
    assert accepts("list[int] | None", value)[0] == (accepts("list[int]", value)[0] or value is None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int | None", "an integer or null"),
        ("Annotated[int, '>= 1', '<= 10_000']", "an integer >= 1 and <= 10,000"),
        ("Annotated[str, 'off or on']", "off or on"),
        ("Literal['bf16', 'fp16'] | None", '"bf16" or "fp16" or null'),
        ("list[int]", "list[int]"),
        ("torch.Tensor", "Tensor"),
    ],
)
def test_what_is_accepted_is_said_in_words(text, words):
    assert accepts(text, None)[1] == words
