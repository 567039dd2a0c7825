import pytest
import torch
from torch import nn

from utils.loop.weights_reader import WeightsReader


def assert_reads_the_state(reader, model):
    read, told = reader(), model.state_dict()
    assert list(read) == list(told)
    for name, tensor in told.items():
        assert torch.equal(read[name], tensor)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.same = self.first
        self.register_buffer("counted", torch.zeros(2))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)


class WithExtraState(nn.Linear):
    def get_extra_state(self):
        return torch.ones(1)

    def set_extra_state(self, state):
        pass


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(4, 2)),
        nn.Linear(2, 1),
        nn.ReLU(),
        Tied(),
        WithExtraState(2, 2),
        nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_it_reads_what_the_model_says(model):
    assert_reads_the_state(WeightsReader(model), model)


def test_it_sees_tensors_that_are_changed_replaced_added_and_removed():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    reader = WeightsReader(model)
    with torch.no_grad():
        model[0].weight += 1
    assert_reads_the_state(reader, model)
    model[0].weight = nn.Parameter(torch.zeros(2, 2))
    model[1].running_mean = torch.full((2,), 7.0)
    assert_reads_the_state(reader, model)
    model[0].register_buffer("late", torch.ones(1))
    assert_reads_the_state(reader, model)
    del model[0].late
    assert_reads_the_state(reader, model)
    model[0].bias = None
    assert_reads_the_state(reader, model)
    model[0].bias = nn.Parameter(torch.ones(2))
    assert_reads_the_state(reader, model)
    model.append(nn.Linear(2, 1))
    assert_reads_the_state(reader, model)


def test_a_layer_that_takes_the_place_of_another_is_seen():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    reader = WeightsReader(model)
    model[0] = nn.Linear(2, 2)
    assert_reads_the_state(reader, model)


def test_a_tensor_under_another_name_and_a_late_hook_are_seen():
    model = nn.Linear(2, 2)
    reader = WeightsReader(model)
    del model.bias
    model.register_parameter("scale", nn.Parameter(torch.ones(2)))
    assert_reads_the_state(reader, model)
    model.register_state_dict_post_hook(lambda module, state, prefix, metadata: state.__delitem__("scale"))
    assert_reads_the_state(reader, model)
    assert list(reader()) == ["weight"]


def test_a_late_pre_hook_and_a_buffer_that_is_no_longer_kept_are_seen():
    model = nn.BatchNorm1d(2)
    reader = WeightsReader(model)
    model._non_persistent_buffers_set.add("num_batches_tracked")
    assert_reads_the_state(reader, model)
    model.register_state_dict_pre_hook(lambda module, *_: module.running_mean.add_(1))
    reader()
    before = model.running_mean.clone()
    assert torch.equal(reader()["running_mean"], before + 1)
