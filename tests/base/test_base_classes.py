import pytest
import torch
from torch import nn

from base import BaseDataset, BaseModel, BaseTrainer, InMemoryDataset


@pytest.mark.parametrize(
    ("base", "arguments", "missing"),
    [
        (BaseDataset, (), ["__getitem__", "__len__"]),
        (BaseModel, (), ["forward"]),
        (BaseTrainer, (nn.Linear(1, 1), None), ["_train_epoch"]),
    ],
)
def test_a_subclass_without_the_required_method_is_refused_with_its_name(base, arguments, missing):
    incomplete = type("Incomplete", (base,), {})
    with pytest.raises(TypeError, match="Incomplete") as error:
        incomplete(*arguments)
    assert all(name in str(error.value) for name in missing)


def test_a_model_prints_how_many_parameters_are_trained():
    class Model(BaseModel):
        def __init__(self):
            super().__init__()
            self.frozen = nn.Linear(10, 1000).requires_grad_(False)
            self.head = nn.Linear(1000, 2)

        def forward(self, x):
            return self.head(self.frozen(x))

    assert str(Model()).endswith("Trainable parameters: 2,002")
    assert "(head): Linear(in_features=1000" in str(Model())


class TestInMemoryDataset:
    data, target = torch.arange(12).view(4, 3).to(torch.uint8), torch.tensor([0, 1, 0, 1])

    def test_a_batch_is_what_indexing_gives(self):
        dataset = InMemoryDataset(self.data, self.target)
        data, target = dataset.get_batch(torch.tensor([3, 0]))
        assert torch.equal(data, self.data[[3, 0]]) and data.dtype == torch.uint8
        assert torch.equal(target, torch.tensor([1, 0]))

    def test_a_sample_is_a_batch_of_one(self):
        dataset = InMemoryDataset(self.data, self.target, transform=lambda x: x.float() * 2)
        data, target = dataset[-1]
        assert data.tolist() == [18.0, 20.0, 22.0] and target == 1
        assert len(dataset) == 4
        with pytest.raises(IndexError):
            dataset[4]

    def test_the_data_are_not_copied_and_the_transform_does_not_change_them(self):
        dataset = InMemoryDataset(self.data, self.target, transform=lambda x: x.float().add_(1))
        dataset.get_batch(torch.arange(4))
        assert dataset.data is self.data and self.data.tolist()[0] == [0, 1, 2]

    def test_different_lengths_are_refused(self):
        with pytest.raises(ValueError, match="4 samples but 3 targets"):
            InMemoryDataset(self.data, self.target[:3])
