"""What does not fit is named in one line; a model's own faults keep their tracebacks."""

import pytest
import torch
from torch import nn

from utils.errors import UserError
from utils.loop.fitting import compare, forward


@pytest.mark.parametrize("model", [nn.Linear(2, 1), nn.Conv1d(1, 1, 2)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.uint8])
def test_data_of_another_type_than_the_weights(model, dtype):
    data = torch.ones(3, 1, 2, dtype=dtype)
    with pytest.raises(UserError, match=rf"the data are {dtype}, the model's weights torch.float32: .*data\.to\("):
        forward(model, data)
    assert forward(model, data.to(torch.float32)).shape[0] == 3


def test_ids_are_not_taken_for_data_of_a_wrong_type():
    model = nn.Sequential(nn.Embedding(4, 2), nn.Linear(3, 1))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        forward(model, torch.tensor([0, 3]))
    with pytest.raises(RuntimeError, match="scalar types"):
        forward(model, torch.tensor([0, 3], dtype=torch.uint8))


def test_memory_that_runs_out_is_left_to_the_trainer():
    class Full(nn.Linear):
        def forward(self, x):
            raise torch.OutOfMemoryError("no memory of this type")

    with pytest.raises(torch.OutOfMemoryError):
        forward(Full(2, 1), torch.ones(3, 2, dtype=torch.float64))


def test_other_faults_of_a_model_keep_their_traceback():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        forward(nn.Linear(2, 1), torch.ones(3, 5, dtype=torch.float32))
    with pytest.raises(RuntimeError, match="my own"):

        class Faulty(nn.Linear):
            def forward(self, x):
                raise RuntimeError("my own")

        forward(Faulty(2, 1), torch.ones(3, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("target", "is_said", "is_not_said"),
    [
        (torch.tensor([0, 9]), "the last size of arch", "int64"),
        (torch.tensor([0, 1], dtype=torch.int32), r"torch\.int64 \(\.long\(\)\)", "the last size of arch"),
    ],
)
def test_the_advice_is_about_the_fault(target, is_said, is_not_said):
    with pytest.raises(UserError, match=is_said) as error:
        compare("loss", nn.functional.cross_entropy, torch.zeros(2, 2), target)
    assert is_not_said not in str(error.value)


def test_an_argument_out_of_range_is_no_matter_of_shapes():
    with pytest.raises(UserError, match=r"label_smoothing must be between .*") as error:
        compare("loss", nn.CrossEntropyLoss(label_smoothing=2), torch.zeros(2, 2), torch.tensor([0, 1]))
    assert "arch" not in str(error.value) and "int64" not in str(error.value)
