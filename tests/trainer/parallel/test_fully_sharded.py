"""What FSDP cannot do is one line. What it does is compared with one process in test_same_training.py."""

import pytest
import torch
from torch import nn

from trainer.parallel.fully_sharded import _blocks, place_model
from utils.errors import UserError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs several processes.* one goes on with -s trainer.parallel=ddp"),
        ({"ema": 0.9}, "cannot be with trainer.ema"),
        ({"compile": True}, "cannot be with trainer.compile"),
        ({"sync_batchnorm": True}, "cannot be with trainer.sync_batchnorm"),
        ({"amp": "fp16"}, "use bf16"),
    ],
)
def test_what_cannot_be_is_one_line(options, words):
    with pytest.raises(UserError, match=words):
        place_model(nn.Linear(2, 1), torch.device("cpu"), {"parallel": "fsdp"} | options)


def test_a_block_is_an_outermost_entry_with_weights():
    layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    model = nn.ModuleDict({"layers": layers, "head": nn.Linear(2, 1)})
    assert _blocks(model) == [layers[0], layers[2]]


def test_a_trainer_that_does_not_know_the_option_trains_as_ever():
    assert next(place_model(nn.Linear(2, 1), torch.device("meta"), {}).parameters()).is_meta
