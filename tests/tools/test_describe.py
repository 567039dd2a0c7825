import numpy as np
import pytest
import torch

from tools.describe import describe


def lines(value):
    return describe(value).split("\n")


def test_a_small_tensor_is_shown_whole():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert lines(x)[:4] == ["Type: torch.FloatTensor", "Shape: (2, 2)", "Dtype: torch.float32", "Device: cpu"]
    assert lines(x)[4] == "Values:"
    assert "[3., 4.]" in describe(x)


@pytest.mark.parametrize(
    ("value", "type_name", "shape", "dtype"),
    [
        (np.zeros((2, 3), np.int16), "numpy.ndarray", "(2, 3)", "int16"),
        ([[1, 2], [3, 4]], "list", "(2, 2)", "int64"),
        (1.5, "float", "()", "float64"),
        (True, "bool", "()", "bool"),
        (np.float32(2), "numpy.float32", "()", "float32"),
    ],
)
def test_arrays_lists_and_numbers_too(value, type_name, shape, dtype):
    assert lines(value)[:4] == [f"Type: {type_name}", f"Shape: {shape}", f"Dtype: {dtype}", "Device: cpu"]
    assert lines(value)[5] == repr(value).split("\n")[0]


@pytest.mark.parametrize("make", [torch.tensor, np.array, list])
def test_a_large_one_is_summarized_and_nan_is_only_counted(make):
    numbers = [float(i) for i in range(1, 1000)] + [float("nan")] * 3
    assert lines(make(numbers))[-1] == "Values: 1,002, min 1, max 999, mean 500, NaN 3"


def test_a_hundred_values_are_shown_and_one_more_is_not():
    assert "Values:\ntensor(" in describe(torch.zeros(100))
    assert lines(torch.zeros(101))[-1] == "Values: 101, min 0, max 0, mean 0, NaN 0"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint8, torch.bool, torch.int64])
def test_every_dtype_can_be_summarized(dtype):
    values = torch.ones(200, dtype=dtype)
    values[:100] = 0
    assert lines(values)[-1] == "Values: 200, min 0, max 1, mean 0.5, NaN 0"


def test_what_has_no_order_shows_its_first_values():
    assert lines(torch.full((200,), 1 + 2j))[-1] == "Values: 200, the first are (1+2j), (1+2j), (1+2j)"
    assert lines(["a", "b"] * 100)[-1] == "Values: 200, the first are a, b, a"
    assert lines(torch.full((200,), float("nan")))[-1] == "Values: 200, all NaN"


def test_a_tensor_that_needs_a_gradient_is_left_alone():
    x = torch.ones(200, requires_grad=True)
    describe(x)
    assert x.requires_grad and x.grad_fn is None


def test_lists_of_unequal_lengths_have_no_shape():
    with pytest.raises(ValueError):
        describe([[1, 2], [3]])
