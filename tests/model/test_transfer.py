"""The model of stage 2, with a stage 1 that was hardly trained."""

import copy

import pytest
import torch

from base import BaseDataLoader, InMemoryDataset
from model.cnn import CNN
from model.loss import cross_entropy
from model.transfer import TransferCNN
from trainer import Trainer

NET = {"channels": [4, 8], "image_size": 8}


def offline_settings(folder):
    """With which a config with this model runs although the first stage's checkpoint is not at hand."""
    return ["arch.args.checkpoint=null"]


def fit(model, num_classes, run_dir=None):
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(num_classes, (100,), generator=generator)
    learning = [p for p in model.parameters() if p.requires_grad]
    loader = BaseDataLoader(InMemoryDataset(torch.rand(100, 1, 8, 8, generator=generator), target), 32)
    trainer = Trainer(model, cross_entropy, (), torch.optim.AdamW(learning, lr=0.01), loader, epochs=2)
    trainer.train(run_dir)


@pytest.fixture(scope="module")
def stage1(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("stage1")
    model = CNN(**NET, num_classes=5)
    fit(model, 5, run_dir)
    return run_dir / "checkpoint-last.pth", model


def test_only_the_head_learns_and_the_features_are_stage_1s_bit_by_bit(stage1):
    path, trained = stage1
    model = TransferCNN(str(path), **NET, num_classes=3, dropout=0.2)
    head = copy.deepcopy(model.classifier.state_dict())
    fit(model, 3)
    features = trained.features.state_dict()
    assert any("running_mean" in key for key in features)
    assert all(torch.equal(value, features[key]) for key, value in model.features.state_dict().items())
    assert all(not torch.equal(value, head[key]) for key, value in model.classifier.state_dict().items())


def test_the_features_stay_in_evaluation_mode_and_the_head_does_not(stage1):
    model = TransferCNN(str(stage1[0]), **NET, num_classes=3)
    for mode in (None, True, False, True):  # None: as it is made
        if mode is not None:
            model.train(mode)
        assert not any(layer.training for layer in model.features.modules())
        assert all(layer.training == (mode is not False) for layer in model.classifier.modules())


def test_without_a_checkpoint_nothing_is_read_and_the_features_are_frozen_too():
    model = TransferCNN(None, **NET, num_classes=3)
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"classifier"}


def test_a_missing_checkpoint_is_named_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.pth: no such checkpoint.*arch\.args\.checkpoint=null"):
        TransferCNN(str(tmp_path / "gone.pth"), **NET, num_classes=3)


def test_a_damaged_checkpoint_is_named(stage1, tmp_path):
    path = tmp_path / "half.pth"
    path.write_bytes(stage1[0].read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"half\.pth is damaged"):
        TransferCNN(str(path), **NET, num_classes=3)


def test_another_architecture_is_refused_with_the_keys(stage1):
    with pytest.raises(ValueError, match=r"0\.weight is \[4, 1, 3, 3\], the model's is \[5, 1, 3, 3\]"):
        TransferCNN(str(stage1[0]), channels=[5, 8], image_size=8, num_classes=3)
