import pytest
import torch
from torch import nn

from utils.loop.threads import WORTH, choosing_threads, n_multiplications


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("layer", "data", "expected"),
    [
        (nn.Linear(3, 7), torch.zeros(5, 3), 5 * 3 * 7),
        (nn.Conv2d(2, 10, 5), torch.zeros(3, 2, 28, 28), 3 * 10 * 24 * 24 * 2 * 5 * 5),
        (nn.LSTM(4, 6, batch_first=True), torch.zeros(5, 9, 4), 5 * 9 * 4 * (4 * 6 + 6 * 6)),
        (nn.Conv1d(4, 6, 3, groups=2), torch.zeros(5, 4, 9), 5 * 7 * 6 * 2 * 3),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), torch.zeros(5, 4, 7, 7), 5 * 7 * 7 * 4 * 6 * 2 * 2),
    ],
)
def test_the_multiplications_are_those_of_the_textbook(layer, data, expected):
    assert n_multiplications(layer, layer(data)) == expected


def test_any_legal_way_to_call_a_layer_is_counted():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = nn.LSTM(4, 6), nn.Linear(6, 1)

        def forward(self, packed):
            output, _ = self.lstm(packed)
            return self.out(input=output.data)

    model = Named()
    with choosing_threads(model):
        model(nn.utils.rnn.pack_sequence([torch.zeros(3, 4), torch.zeros(2, 4)]))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(("n_samples", "n_threads"), [(WORTH // 10_000 - 1, 1), (WORTH // 10_000, 2)])
def test_little_work_gets_one_thread_and_much_work_all(n_samples, n_threads):
    model = nn.Sequential(nn.Linear(100, 100))
    with choosing_threads(model):
        model(torch.zeros(n_samples, 100))
    assert torch.get_num_threads() == n_threads
    assert not model[0]._forward_hooks


def test_after_a_step_that_failed_nothing_is_left_in_the_model():
    model = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(RuntimeError), choosing_threads(model):
        model(torch.zeros(1, 4))
    assert not model[0]._forward_hooks
    assert torch.get_num_threads() == 2
