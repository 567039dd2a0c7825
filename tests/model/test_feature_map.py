import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.feature_map import feature_map_size


@settings(max_examples=100)
@given(size=st.integers(1, 40), kernel_size=st.integers(1, 12), stride=st.integers(1, 6), padding=st.integers(0, 5))
def test_torch_makes_maps_of_the_same_size_or_refuses_too(size, kernel_size, stride, padding):
    layer = torch.nn.Conv2d(1, 1, kernel_size, stride, padding)
    try:
        height, width = layer(torch.zeros(1, 1, size, size)).shape[2:]
    except RuntimeError:
        with pytest.raises(ValueError, match=f"kernel of {kernel_size} does not fit"):
            feature_map_size(size, kernel_size, padding, stride)
    else:
        assert feature_map_size(size, kernel_size, padding, stride) == height == width
