"""What is said of outputs and targets that do not fit their loss, once, and of numbers of one's own."""

import logging

import pytest
import torch
from torch import nn

from base import BaseDataLoader, BaseModel, InMemoryDataset
from model.loss import bce_with_logits, cross_entropy, mse_loss, nll_loss
from trainer import Trainer
from utils.errors import UserError

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
CLASSES = X[:, 0].gt(0).long()


class Net(BaseModel):
    def __init__(self, n_outputs=2, end=None, squeeze=False):
        super().__init__()
        self.layer, self.end, self.squeeze = nn.Linear(4, n_outputs), end or nn.Identity(), squeeze

    def forward(self, x):
        output = self.end(self.layer(x))
        return output.squeeze(1) if self.squeeze else output


def make(model, criterion, target=CLASSES, kind=Trainer, metrics=(), **options):
    torch.manual_seed(0)
    loader = BaseDataLoader(InMemoryDataset(X, target), 10, validation_split=0.25)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return kind(model, criterion, metrics, optimizer, loader, loader.split_validation(), tensorboard=False, **options)


@pytest.mark.parametrize("model, criterion, words", [
    (Net(end=nn.Softmax(1)), cross_entropy, "a softmax of its own"),
    (Net(end=nn.Softmax(1)), nn.CrossEntropyLoss(), "a softmax of its own"),
    (Net(), nll_loss, "say cross_entropy"),
    (Net(end=nn.Softmax(1)), nll_loss, "say cross_entropy"),
    (Net(3, nn.Sigmoid()), lambda output, target: output.mean(), None),
    (Net(end=nn.LogSoftmax(1)), nll_loss, None),
    (Net(), cross_entropy, None),
    (Net(end=nn.Sigmoid()), cross_entropy, None),
])  # fmt: skip
def test_an_output_that_its_loss_was_not_made_for_is_said_once(model, criterion, words, caplog):
    make(model, criterion, epochs=2).train()
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == (words is not None) and all(words in warning for warning in warnings)


def test_a_sigmoid_before_a_sigmoid_is_said(caplog):
    make(Net(1, nn.Sigmoid(), squeeze=True), bce_with_logits, torch.cat([CLASSES] * 1)).train()
    make(Net(2, nn.Sigmoid()), bce_with_logits, torch.stack([CLASSES, 1 - CLASSES], dim=1)).train()
    assert caplog.text.count("a sigmoid of its own") == 1  # of ten outputs, all may be in [0, 1] by chance


@pytest.mark.parametrize("model, criterion, target, words", [
    (Net(1), mse_loss, X[:, 0], r"\[10, 1\] float32, with the target, \[10\] float32.*hand out target.unsqueeze\(1\)"),
    (Net(1), nn.HuberLoss(), X[:, 0], r"same shape.*The dataset should hand out target.unsqueeze\(1\)"),
    (Net(1, squeeze=True), mse_loss, X[:, :1], r"forward should return output.unsqueeze\(1\)"),
    (Net(2), mse_loss, CLASSES, "For class numbers say cross_entropy"),
    (Net(2), mse_loss, X[:, :3], "The target has 3 values per sample: the model needs as many outputs"),
    (Net(2), cross_entropy, CLASSES + 3, "Class 4 needs at least 5 outputs .arch.args, such as num_classes"),
    (Net(2), cross_entropy, CLASSES.float(), r"The dataset should hand out target.long\(\)"),
    (Net(2), cross_entropy, X[:, 0], "For numbers as targets say mse_loss"),
    (Net(2), cross_entropy, CLASSES.unsqueeze(1), r"target.squeeze\(1\).long\(\)"),
    (Net(1), cross_entropy, CLASSES, "For one output say bce_with_logits or mse_loss"),
    (Net(1), nn.BCEWithLogitsLoss(), CLASSES.unsqueeze(1), r"target.float\(\)"),
])  # fmt: skip
def test_what_does_not_fit_comes_with_advice(model, criterion, target, words):
    with pytest.raises(UserError, match=f"^loss: .*{words}"):
        make(model, criterion, target).train()


class Logging(Trainer):
    def compute_loss(self, batch):
        loss, output, target = super().compute_loss(batch)
        self.log("largest", output.max())
        self.log("one", 1)
        return loss, output, target


def test_a_number_of_ones_own_is_the_mean_over_the_calls():
    records = []
    trainer = make(Net(), cross_entropy, kind=Logging, epochs=2)
    trainer.train(on_epoch=records.append)
    data = trainer.valid_data_loader.read(trainer.valid_data_loader.all_indices)[0]
    expected = trainer.model.eval()(data).max()
    assert records[1]["val_largest"] == pytest.approx(expected.item()) and records[1]["one"] == 1  # one batch of ten
    assert list(records[0])[2:8] == ["loss", "largest", "one", "val_loss", "val_largest", "val_one"]
    assert records[0]["largest"] != records[1]["largest"]
    assert trainer.evaluate([(data[:4], CLASSES[:4]), (data, CLASSES[: len(data)])])["one"] == 1


def test_a_name_that_is_logged_already_is_refused():
    with pytest.raises(ValueError, match="loss is logged already"):
        make(Net(), cross_entropy).log("loss", 1.0)


def test_a_number_that_an_own_epoch_would_lose_is_said(caplog):
    class Own(Logging):
        def _train_epoch(self, epoch):
            for batch in self.data_loader:
                loss, _, _ = self.train_step(batch)
                self.end_step()
            return {"loss": loss}

    make(Net(), cross_entropy, kind=Own).train()
    assert "self.log's largest, one is lost" in caplog.text
