import pytest
import torch
from torch import nn

from utils.threads import WORTH, WorkCounter, choose_threads


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_multiplications_are_those_of_the_textbook():
    model = nn.Sequential(nn.Conv2d(1, 10, 5), nn.ReLU(), nn.Flatten(), nn.Linear(10 * 24 * 24, 7))
    with WorkCounter(model) as work:
        model(torch.zeros(3, 1, 28, 28))
    assert work.n == 3 * (10 * 24 * 24 * 5 * 5 + 10 * 24 * 24 * 7)
    model(torch.zeros(3, 1, 28, 28))
    assert work.n == 3 * (10 * 24 * 24 * 5 * 5 + 10 * 24 * 24 * 7)  # counted inside the block only


def test_little_work_gets_one_thread_and_much_work_all():
    assert choose_threads(WORTH - 1) == 1
    assert choose_threads(WORTH) == 2
