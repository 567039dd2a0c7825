import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils.checkpoint import snapshot
from utils.seed import derive_seed, random_state, seed_everything, set_random_state


def draw() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(()).item()]


def test_a_state_brings_back_what_is_drawn_next():
    draw()
    state = snapshot(random_state())
    expected = draw(), draw()
    set_random_state(state)
    assert (draw(), draw()) == expected


def test_a_seed_seeds_everything():
    seed_everything(5)
    first = draw()
    seed_everything(5)
    assert draw() == first
    seed_everything(6)
    assert not set(draw()) & set(first)


@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=3, unique=True))
def test_derived_seeds_tell_their_numbers_apart(numbers):
    assert derive_seed(*numbers) == derive_seed(*numbers)
    assert derive_seed(*numbers) != derive_seed(*numbers[:-1], numbers[-1] + 1)
